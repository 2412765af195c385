"""Where a team's calls are reported to: integrations with the team's own credentials.

They live in the team's `options`, values sealed. Each entry stands alone and is never merged with another: whoever adds
one brings all of its values, so that nobody's credential goes to an address that somebody else chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tollway.config.logging_entries import is_credential
from tollway.config.sealing import hidden
from tollway.config.secret import Secret
from tollway.control.kit.context import Context, changing
from tollway.control.kit.stored import check_written, merged
from tollway.control.teams.answers import CallbackOut, CallbacksOut
from tollway.control.teams.repository import TeamRepository
from tollway.control.teams.schemas import CallbackAdd
from tollway.control.teams.service import replace_team
from tollway.core.errors import Forbidden, InvalidRequest, NotFound
from tollway.core.principal import Role
from tollway.core.reporting import place_of
from tollway.db.engine import reading
from tollway.stores.sql.rows import Team

MAX_CALLBACKS = 20
_CALLBACKS = "callbacks"
_DISABLED = "logging_disabled"
_EVENTS: Mapping[str, frozenset[str]] = {
    "success": frozenset({"success"}),
    "failure": frozenset({"failure"}),
    "success_and_failure": frozenset({"success", "failure"}),
}

Entry = dict[str, Any]
"""`callback_name`, `callback_type` and sealed `callback_vars`."""


class CallbackService:
    """Callbacks of teams, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def find(self, team_id: str) -> CallbacksOut:
        """The callbacks of a team. Raises `NotFound`, `Forbidden`."""
        async with reading(self._services.engine) as connection:
            team = await TeamRepository(connection).named(team_id)
        ids = {"team_id": team.team_id, "organization_id": team.organization_id}
        if self._context.actor.capacity_over(**ids) is None:
            raise Forbidden(f"You are not allowed to see the callbacks of team {team_id[:255]}.")
        return render_callbacks(team)

    async def add(self, team_id: str, body: CallbackAdd) -> tuple[CallbacksOut, list[str]]:
        """Adds a callback; all of them, and what ought to be known about this one.

        Raises `InvalidRequest` for one that the team has for the same outcome, `Forbidden` for a reference to the
        environment that is no proxy admin's.
        """
        await self._services.sealer.ready()
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            capacity = self._capacity(before)
            self._context.check_fields(capacity, body.changes())
            written = merged({}, body.callback_vars)
            lends = capacity is Role.PROXY_ADMIN
            warnings = check_written(self._services, written, field="callback_vars", lends_secrets=lends)
            entries = callbacks_of(before)
            _check_is_new(entries, body)
            entry = {
                "callback_name": body.callback_name,
                "callback_type": body.callback_type,
                "callback_vars": self._sealed(team_id, body, written),
            }
            team = _with(before, [*entries, entry], is_disabled=False)
            await replace_team(unit, teams, before, team)
        return render_callbacks(team), warnings

    async def remove(self, team_id: str, name: str) -> CallbacksOut:
        """Removes a callback, whatever outcomes it is for; those that are left. Raises `NotFound`."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            self._capacity(before)
            entries = callbacks_of(before)
            left = [one for one in entries if one["callback_name"] != name]
            if len(left) == len(entries):
                raise NotFound(f"Team {team_id[:255]} has no callback '{name[:100]}'.", param="callback_name")
            team = _with(before, left, is_disabled=_DISABLED in before.options)
            await replace_team(unit, teams, before, team)
        return render_callbacks(team)

    async def disable(self, team_id: str) -> CallbacksOut:
        """Removes all callbacks and notes that the team's calls are reported nowhere, until one is added again."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            self._capacity(before)
            team = _with(before, [], is_disabled=True)
            await replace_team(unit, teams, before, team)
        return render_callbacks(team)

    def _capacity(self, team: Team) -> Role:
        actor = self._context.actor
        return actor.require_over("this team", team_id=team.team_id, organization_id=team.organization_id)

    def _sealed(self, team_id: str, body: CallbackAdd, written: Mapping[str, str]) -> dict[str, Any]:
        secret = {name: Secret(text) if is_credential(name, text) else text for name, text in written.items()}
        place = place_of("teams", team_id, _CALLBACKS)
        sealed: dict[str, Any] = self._services.sealer.seal(secret, *place, body.callback_name, body.callback_type)
        return sealed


def callbacks_of(team: Team) -> list[Entry]:
    """The stored entries of a team, in the order in which they were added."""
    return list(team.options.get(_CALLBACKS, ()))


def render_callbacks(team: Team) -> CallbacksOut:
    """A team's callbacks with their values masked; references to the environment as they were written."""
    entries = [CallbackOut(**hidden(one)) for one in callbacks_of(team)]
    return CallbacksOut(
        team_id=team.team_id,
        success_callbacks=_names(entries, "success"),
        failure_callbacks=_names(entries, "failure"),
        callback_vars={name: value for one in entries for name, value in one.callback_vars.items()},
        callbacks=entries,
        logging_disabled=_DISABLED in team.options,
    )


def _names(entries: Iterable[CallbackOut], event: str) -> list[str]:
    return [one.callback_name for one in entries if event in _EVENTS[one.callback_type]]


def _check_is_new(entries: list[Entry], body: CallbackAdd) -> None:
    for one in entries:
        is_same = one["callback_name"] == body.callback_name
        if is_same and not _EVENTS[one["callback_type"]].isdisjoint(_EVENTS[body.callback_type]):
            raise InvalidRequest(
                f"callback_name = {body.callback_name} already exists for this team, with callback_type "
                f"{one['callback_type']}. Remove it first: DELETE /team/{{team_id}}/callback/{body.callback_name}.",
                param="callback_name",
                type="bad_request_error",
            )
    if len(entries) >= MAX_CALLBACKS:
        raise InvalidRequest(
            f"A team has at most {MAX_CALLBACKS} callbacks. Remove one first.",
            param="callback_name",
            type="bad_request_error",
        )


def _with(team: Team, entries: list[Entry], *, is_disabled: bool) -> Team:
    own = {name: value for name, value in team.options.items() if name not in (_CALLBACKS, _DISABLED)}
    listed = {_CALLBACKS: entries} if entries else {}
    disabled = {_DISABLED: True} if is_disabled else {}
    return msgspec.structs.replace(team, options={**own, **listed, **disabled})
