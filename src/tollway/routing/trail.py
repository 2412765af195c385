"""How a name leads to a model group, step by step: what `Router.group` does, for those who want to know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from tollway.core.snapshot import TeamModels
from tollway.routing.router import Router, matches

Kind = Literal["team", "group", "alias", "deployment_id", "wildcard"]
"""What a name is: a model of the caller's team, a model, another name for one, the id of a deployment, one of the many
that a pattern stands for."""

_NO_MODELS = TeamModels()


class Step(msgspec.Struct, frozen=True):
    """One name, and what it leads to: the next name, or the group."""

    kind: Kind
    name: str
    to: str


def trail(router: Router, model: str, team_id: str | None = None) -> list[Step]:
    """The steps from a name to its group; none if it leads nowhere."""
    found = router.group(model, team_id)
    return [] if found is None else list(_steps(router, model, team_id))


def _steps(router: Router, model: str, team_id: str | None) -> Iterator[Step]:
    snapshot = router.snapshot
    own = snapshot.teams.get(team_id, _NO_MODELS) if team_id is not None else _NO_MODELS
    if model in own.groups:
        yield Step("team", model, own.groups[model].name)
    elif model in snapshot.groups:
        yield Step("group", model, model)
    elif snapshot.aliases.get(model, model) != model:
        yield Step("alias", model, snapshot.aliases[model])
        yield from _steps(router, snapshot.aliases[model], team_id)
    elif (one := snapshot.by_id.get(model)) is not None and one.team_id in (None, team_id):
        yield Step("deployment_id", model, one.name)
    else:
        for wildcard in (*own.wildcards, *snapshot.wildcards):
            if matches(wildcard.pattern, model) and wildcard.expand(model) is not None:
                yield Step("wildcard", model, wildcard.pattern)
                return
