"""From names to deployments."""

from __future__ import annotations

from typing import Any

import pytest

from tollway.core.snapshot import Deployment, ModelGroup, Snapshot, TeamModels, Wildcard
from tollway.routing.router import Router, matches
from tollway.routing.trail import trail


def deployment(id: str, **more: Any) -> Deployment:
    return Deployment(id=id, group="g", provider="p", model=id, model_name=f"p/{id}", **more)


def group(name: str, *deployments: Deployment) -> ModelGroup:
    return ModelGroup(name=name, deployments=deployments or (deployment(name),))


def router(*groups: ModelGroup, **more: Any) -> Router:
    return Router(Snapshot(groups={each.name: each for each in groups}, **more))


def test_a_name_is_a_group_an_alias_an_id_or_nothing() -> None:
    one = group("one")
    found = router(one, aliases={"uno": "one"}, by_id={"id-1": one})
    assert found.group("one") is one
    assert found.group("uno") is one
    assert found.group("id-1") is one
    assert found.group("two") is None


def test_an_exact_name_wins_over_a_wildcard_and_the_first_wildcard_over_the_next() -> None:
    def expand_as(prefix: str) -> Any:
        return lambda name: group(f"{prefix}:{name}")

    wildcards = (
        Wildcard(pattern="openai/gpt-*", expand=expand_as("narrow")),
        Wildcard(pattern="openai/*", expand=expand_as("wide")),
        Wildcard(pattern="*", expand=lambda name: None if name == "nobody" else group(f"any:{name}")),
    )
    found = router(group("openai/gpt-9"), wildcards=wildcards)
    names = {
        name: each.name for name in ("openai/gpt-9", "openai/gpt-4", "openai/o1", "x") if (each := found.group(name))
    }
    assert names == {
        "openai/gpt-9": "openai/gpt-9",
        "openai/gpt-4": "narrow:openai/gpt-4",
        "openai/o1": "wide:openai/o1",
        "x": "any:x",
    }
    assert found.group("nobody") is None
    assert found.group("x") is found.group("x"), "expanded once"


def test_names_from_callers_do_not_pile_up() -> None:
    found = router(wildcards=(Wildcard(pattern="*", expand=group),))
    for number in range(10_000):
        assert found.group(f"model-{number}") is not None
    assert len(found._expanded) < 5_000


@pytest.mark.parametrize(
    ("pattern", "model", "expected"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "a", True),
        ("*b", "ab", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*", "", True),
        ("openai/*", "openai/x/y", True),
    ],
)
def test_a_pattern_fits_what_its_star_can_stand_for(pattern: str, model: str, expected: bool) -> None:
    assert matches(pattern, model) is expected


def test_listings_show_groups_aliases_and_what_is_known_behind_wildcards_once() -> None:
    found = router(
        group("one"),
        aliases={"uno": "one", "secret": "one"},
        hidden=frozenset({"secret"}),
        wildcards=(
            Wildcard(pattern="p/*", expand=group, examples=("p/x", "one")),
            Wildcard(pattern="q/*", expand=group),
        ),
    )
    assert list(found.names()) == ["one", "uno", "p/x", "q/*"]


# ---- models of one team ---------------------------------------------------------------------------------------------


def of_team(name: str, team_id: str = "t-1", *deployments: Deployment) -> ModelGroup:
    return ModelGroup(name=name, deployments=deployments or (deployment(f"{name}-of-{team_id}"),), team_id=team_id)


def team_router(*groups: ModelGroup, own: ModelGroup, **more: Any) -> Router:
    return router(
        *groups, teams={"t-1": TeamModels(groups={own.name: own})}, by_id={own.deployments[0].id: own}, **more
    )


def test_a_team_has_its_own_model_before_everybodys() -> None:
    shared, own = group("m"), of_team("m")
    routing = team_router(shared, own=own)
    assert routing.group("m", "t-1") is own
    assert routing.group("m", "t-2") is shared
    assert routing.group("m") is shared


def test_a_teams_model_is_found_by_its_id_by_the_team_alone() -> None:
    own = of_team("m")
    routing = team_router(own=own)
    model_id = own.deployments[0].id
    assert routing.group(model_id, "t-1") is own
    assert routing.group(model_id, "t-2") is None
    assert routing.group(model_id) is None


def test_a_teams_wildcard_yields_to_exact_names_and_goes_before_everybodys() -> None:
    exact = group("openai/exact")
    own, shared = of_team("openai/x"), group("openai/x")
    wildcards = (Wildcard(pattern="openai/*", expand=lambda _: shared),)
    mine = TeamModels(wildcards=(Wildcard(pattern="openai/*", expand=lambda _: own),))
    routing = router(exact, teams={"t-1": mine}, wildcards=wildcards)
    assert routing.group("openai/exact", "t-1") is exact
    assert routing.group("openai/x", "t-1") is own
    assert routing.group("openai/x", "t-2") is shared


def test_the_trail_says_how_a_name_leads_to_its_group() -> None:
    one, own = group("one"), group("own")
    nothing = Wildcard(pattern="x/a*", expand=lambda name: None)
    pattern = Wildcard(pattern="x/*", expand=lambda name: group(name))
    found = router(
        one,
        aliases={"uno": "one", "ein": "uno", "self": "self"},
        by_id={"id-1": one},
        wildcards=(nothing, pattern),
        teams={"t": TeamModels(groups={"own": own, "one": own})},
    )

    def kinds(model: str, team_id: str | None = None) -> list[str]:
        return [f"{step.kind} {step.to}" for step in trail(found, model, team_id)]

    assert kinds("one") == ["group one"]
    assert kinds("one", "t") == ["team own"]
    assert kinds("own") == []
    assert kinds("ein") == ["alias uno", "alias one", "group one"]
    assert kinds("ein", "t") == ["alias uno", "alias one", "team own"]
    assert kinds("id-1") == ["deployment_id one"]
    assert kinds("x/ab") == ["wildcard x/*"]
    assert kinds("self") == []
