"""What organizations, projects, members and linked budgets do to calls: the same numbers that management shows."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.gateway import MASTER_KEY
from tests.support.rows import store

from tollway.stores.sql.rows import Team, User

TINY = 0.000001
"""Dollars; the first call spends more."""


def two_models(upstream: FaultyUpstream) -> dict[str, Any]:
    config = model_list(upstream)
    (first,) = config["model_list"]
    return {"model_list": [first, {**first, "model_name": "n"}]}


@pytest.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Embedded]:
    """With the models `m` and `n`, and a user and a team in the database."""
    async with embedded_gateway(tmp_path, two_models(upstream)) as running:
        engine = (await running.runtime.database.opened()).engine
        model_budget = {"model_max_budget": {"m": {"max_budget": TINY, "budget_duration": "1d"}}}
        for name, options in (("plain", {}), ("limited", model_budget)):
            await store(engine, User, user_id=f"user-{name}", options=options)
            await store(engine, Team, team_id=f"team-{name}", options=options)
        yield running


async def manage(gateway: Embedded, path: str, body: Mapping[str, Any], *, method: str = "POST") -> dict[str, Any]:
    """What a management route answers."""
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    response = await gateway.session.request(method, gateway.url + path, json=body, headers=headers)
    assert response.status == 200, await response.text()
    answer: dict[str, Any] = await response.json()
    return answer


async def new_organization(gateway: Embedded, **fields: Any) -> None:
    await manage(gateway, "/organization/new", {"organization_id": "o1", "organization_alias": "One", **fields})


async def new_project(gateway: Embedded, **fields: Any) -> None:
    await manage(gateway, "/project/new", {"project_id": "p1", "team_id": "team-plain", **fields})


async def refusal(gateway: Embedded, status: int, *, key: str, model: str = "m") -> dict[str, Any]:
    """The error of a call that is turned away."""
    answer = await gateway.chat(key=key, model=model)
    assert answer.status == status, await answer.text()
    error: dict[str, Any] = (await answer.json())["error"]
    return error


async def over_budget(gateway: Embedded, key: str, entity: str, *, duration: str = "1d") -> None:
    """The next call finds the tiny budget of this entity spent, and is told all about it."""
    error = await refusal(gateway, 422, key=key)
    assert error["type"] == "budget_exceeded"
    message = error["message"]
    assert entity in message
    assert "1e-06" in message
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d 00:00:00 UTC")
    resets = f"window: {duration}, resets at {tomorrow}" if duration == "1d" else f"window: {duration}, never resets"
    assert resets in message


async def works(gateway: Embedded, key: str, model: str = "m") -> None:
    answer = await gateway.chat(key=key, model=model)
    assert answer.status == 200, await answer.text()


async def test_teams_and_keys_of_an_organization_share_its_budget(gateway: Embedded) -> None:
    await new_organization(gateway, max_budget=TINY, budget_duration="1d")
    engine = (await gateway.runtime.database.opened()).engine
    await store(engine, Team, team_id="inside", organization_id="o1")
    of_team, own = await gateway.create_key(team_id="inside"), await gateway.create_key(organization_id="o1")
    outside = await gateway.create_key(team_id="team-plain")
    await works(gateway, of_team)
    await over_budget(gateway, own, "Organization=o1")
    await over_budget(gateway, of_team, "Organization=o1")
    await works(gateway, outside)
    shown = await (await gateway.get("/organization/info?organization_id=o1")).json()
    (record,) = await gateway.records(api_key=of_team)
    assert shown["spend"] == pytest.approx(record["spend"], abs=1e-12)
    await manage(gateway, "/organization/update", {"organization_id": "o1", "max_budget": 1}, method="PATCH")
    await works(gateway, own)


async def test_an_organization_says_which_models(gateway: Embedded) -> None:
    await new_organization(gateway, models=["n"])
    key = await gateway.create_key(organization_id="o1")
    assert (await refusal(gateway, 403, key=key))["type"] == "org_model_access_denied"
    await works(gateway, key, "n")
    await manage(gateway, "/organization/update", {"organization_id": "o1", "models": ["m"]}, method="PATCH")
    await works(gateway, key)
    assert (await refusal(gateway, 403, key=key, model="n"))["type"] == "org_model_access_denied"


@pytest.mark.parametrize(("limits", "kind"), [({"rpm_limit": 1}, "requests"), ({"tpm_limit": 1}, "tokens")])
async def test_its_keys_share_the_rates_of_an_organization(
    gateway: Embedded, limits: dict[str, int], kind: str
) -> None:
    await new_organization(gateway, **limits)
    keys = [await gateway.create_key(organization_id="o1") for _ in range(2)]
    await works(gateway, keys[0])
    message = (await refusal(gateway, 429, key=keys[1]))["message"]
    assert f"Rate limit exceeded for organization: o1. Limit type: {kind}" in message


async def test_an_organization_limits_single_models(gateway: Embedded) -> None:
    await new_organization(gateway, model_rpm_limit={"m": 1})
    keys = [await gateway.create_key(organization_id="o1") for _ in range(2)]
    await works(gateway, keys[0])
    assert "model_per_organization: o1:m" in (await refusal(gateway, 429, key=keys[1]))["message"]
    await works(gateway, keys[1], "n")


async def test_a_members_budget_in_an_organization_is_theirs_alone(gateway: Embedded) -> None:
    await new_organization(gateway)
    member = {"role": "internal_user", "user_id": "user-plain"}
    body = {"organization_id": "o1", "member": member, "max_budget_in_organization": TINY}
    await manage(gateway, "/organization/member_add", body)
    key = await gateway.create_key(organization_id="o1", user_id="user-plain")
    await works(gateway, key)
    await over_budget(gateway, key, "OrganizationMember=o1:user-plain", duration="whole lifetime")
    await works(gateway, await gateway.create_key(organization_id="o1"))
    await works(gateway, await gateway.create_key(user_id="user-plain"))


async def test_a_project_has_a_budget_of_its_own(gateway: Embedded) -> None:
    await new_project(gateway, max_budget=TINY, budget_duration="1d")
    keys = [await gateway.create_key(team_id="team-plain", project_id="p1") for _ in range(2)]
    await works(gateway, keys[0])
    await over_budget(gateway, keys[1], "Project=p1")
    await works(gateway, await gateway.create_key(team_id="team-plain"))
    shown = await (await gateway.get("/project/info?project_id=p1")).json()
    (record,) = await gateway.records(api_key=keys[0])
    assert shown["spend"] == pytest.approx(record["spend"], abs=1e-12)


async def test_a_project_says_which_models_and_can_be_blocked(gateway: Embedded) -> None:
    await new_project(gateway, models=["n"])
    key = await gateway.create_key(team_id="team-plain", project_id="p1")
    assert (await refusal(gateway, 403, key=key))["type"] == "project_model_access_denied"
    await works(gateway, key, "n")
    await manage(gateway, "/project/update", {"project_id": "p1", "blocked": True})
    assert "Project=p1 is blocked" in (await refusal(gateway, 401, key=key, model="n"))["message"]
    await manage(gateway, "/project/update", {"project_id": "p1", "blocked": False})
    await works(gateway, key, "n")


async def test_a_linked_budget_holds_where_a_key_says_nothing(gateway: Embedded) -> None:
    limits = {"budget_id": "b1", "max_budget": TINY, "budget_duration": "1d", "rpm_limit": 2}
    await manage(gateway, "/budget/new", limits)
    silent = await gateway.create_key(budget_id="b1")
    richer = await gateway.create_key(budget_id="b1", max_budget=1, rpm_limit=100)
    await works(gateway, silent)
    await over_budget(gateway, silent, "Key=key")
    for _ in range(3):
        await works(gateway, richer)
    await manage(gateway, "/budget/update", {"budget_id": "b1", "max_budget": 1})
    await works(gateway, silent)
    assert "api_key" in (await refusal(gateway, 429, key=silent))["message"]
    shown = (await (await gateway.get(f"/key/info?key={silent}")).json())["info"]["spend"]
    assert shown == pytest.approx(sum(row["spend"] for row in await gateway.records(api_key=silent)), abs=1e-12)
    await manage(gateway, "/budget/delete", {"id": "b1"})
    await works(gateway, silent)


async def test_a_budget_is_larger_for_a_time(gateway: Embedded) -> None:
    await manage(gateway, "/budget/new", {"budget_id": "b1", "max_budget": TINY, "budget_duration": "1d"})
    await new_organization(gateway, budget_id="b1")
    key = await gateway.create_key(organization_id="o1")
    await works(gateway, key)
    await over_budget(gateway, key, "Organization=o1")
    raised = {"budget_id": "b1", "temp_budget_increase": 1, "temp_budget_expiry": _in_seconds(3600)}
    await manage(gateway, "/budget/update", raised)
    await works(gateway, key)
    await manage(gateway, "/budget/update", {**raised, "temp_budget_expiry": _in_seconds(-1)})
    await over_budget(gateway, key, "Organization=o1")


async def test_a_key_gets_more_for_a_time(gateway: Embedded) -> None:
    key = await gateway.create_key(max_budget=TINY, budget_duration="1d")
    await works(gateway, key)
    raised = {"key": key, "temp_budget_increase": 1, "temp_budget_expiry": _in_seconds(3600)}
    await manage(gateway, "/key/update", raised)
    await works(gateway, key)
    await manage(gateway, "/key/update", {**raised, "temp_budget_expiry": _in_seconds(-1)})
    await over_budget(gateway, key, "Key=key")


def _in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


MODEL_BUDGET = {"m": {"max_budget": TINY, "budget_duration": "1d"}}


@pytest.mark.parametrize(
    ("owner", "entity"),
    [
        ({"model_max_budget": MODEL_BUDGET}, "LiteLLM Virtual Key: "),
        ({"user_id": "user-limited"}, "LiteLLM User: user-limited"),
        ({"team_id": "team-limited"}, "LiteLLM Team: team-limited"),
        ({"organization_id": "o1"}, "LiteLLM Organization: o1"),
        ({"team_id": "team-plain", "project_id": "p1"}, "LiteLLM Project: p1"),
    ],
)
async def test_whoever_owns_a_key_can_have_a_budget_for_one_model(
    gateway: Embedded, owner: dict[str, Any], entity: str
) -> None:
    await new_organization(gateway, model_max_budget=MODEL_BUDGET)
    await new_project(gateway, model_max_budget=MODEL_BUDGET)
    key = await gateway.create_key(**owner)
    await works(gateway, key)
    await over_budget(gateway, key, entity)
    assert "exceeded budget for model=m" in (await refusal(gateway, 422, key=key))["message"]
    await works(gateway, key, "n")


async def test_a_key_has_several_windows_and_the_fullest_one_refuses(gateway: Embedded) -> None:
    windows = [{"budget_duration": "30d", "max_budget": 1}, {"budget_duration": "1d", "max_budget": TINY}]
    key = await gateway.create_key(budget_limits=windows, key_alias="many")
    await works(gateway, key)
    await over_budget(gateway, key, "ExceededBudget: Key=many")
    assert "over 1d budget" in (await refusal(gateway, 422, key=key))["message"]


async def test_a_soft_budget_is_told_of_once_and_refuses_nothing(
    gateway: Embedded, caplog: pytest.LogCaptureFixture
) -> None:
    await new_organization(gateway, soft_budget=TINY, max_budget=1)
    await manage(gateway, "/user/update", {"user_id": "user-plain", "soft_budget": TINY})
    await manage(gateway, "/team/update", {"team_id": "team-plain", "soft_budget": TINY, "organization_id": "o1"})
    key = await gateway.create_key(soft_budget=TINY, max_budget=1, user_id="user-plain", team_id="team-plain")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await works(gateway, key)
    told = [record.getMessage() for record in caplog.records if "Soft budget reached" in record.getMessage()]
    assert len(told) == 4
    assert any("api_key" in text for text in told)
    assert any("organization o1 (One)" in text for text in told)
    metrics = await (await gateway.get("/metrics")).text()
    for kind in ("api_key", "team", "organization", "user"):
        assert f'tollway_soft_budgets_crossed_total{{scope="{kind}"}} 1' in metrics


async def test_the_gateway_has_a_budget_that_all_but_the_master_key_share(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    config = {**two_models(upstream), "litellm_settings": {"max_budget": TINY, "budget_duration": "1d"}}
    async with embedded_gateway(tmp_path, config) as gateway:
        keys = [await gateway.create_key() for _ in range(2)]
        await works(gateway, MASTER_KEY)
        await works(gateway, keys[0])
        await over_budget(gateway, keys[1], "Budget has been exceeded! Current cost: ")
        await works(gateway, MASTER_KEY)
