"""What can be done with teams, and who may do it. Members are in `members`, looking in `reading`.

Each operation is one transaction. Spend changes follow its commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from tollway.control.kit.access_groups import set_groups
from tollway.control.kit.budget_links import carry_linked, replace_budget
from tollway.control.kit.budgets import add_budget, amend_budget, new_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.keys import KeyDesk, hash_of
from tollway.control.kit.logging_entries import sealed_metadata
from tollway.control.kit.spending import carry_spend, set_spend
from tollway.control.teams.fields import (
    amend,
    apply_patch,
    check_permissions,
    fill_defaults,
    member_defaults,
    set_by,
)
from tollway.control.teams.inheritance import check_within
from tollway.control.teams.people import find_or_create
from tollway.control.teams.repository import TeamRepository, already_exists
from tollway.control.teams.schemas import Member, TeamCreate
from tollway.core.errors import Forbidden, InvalidRequest, TollwayError
from tollway.core.money import nanos_from_dollars
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.policy.access import covers
from tollway.stores.sql.principals import team_scope
from tollway.stores.sql.rows import Team, TeamMember
from tollway.stores.sql.virtual_key import VirtualKey

RESOURCE = "LiteLLM_TeamTable"
KEY_UPDATE = "/team/key/bulk_update"
RESERVED_ID = "litellm-dashboard"
_INHERITED = ("models", "max_budget", "tpm_limit", "rpm_limit", "max_parallel_requests")


class KeyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one key of many."""

    name: str
    shown: dict[str, Any] | None = None
    error: str | None = None


async def replace_team(unit: Unit, teams: TeamRepository, before: Team, team: Team, *, action: str = "updated") -> None:
    """Writes a changed team, notes the change and tells of it."""
    context = unit.context
    touched = msgspec.structs.replace(team, updated_at=context.now, updated_by=context.actor.name)
    await teams.replace(touched)
    unit.audit(action, RESOURCE, team.team_id, before=before, after=touched)
    unit.tell("team", team.team_id)


class TeamService:
    """Teams, for one request."""

    def __init__(self, context: Context, keys: KeyDesk) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor
        self._keys = keys

    async def create(self, body: TeamCreate) -> str:
        """Makes a team; its id."""
        context, sent = self._context, body.changes()
        changes = fill_defaults(sent, self._services.team_policy.defaults)
        team_id = body.team_id or str(uuid.uuid4())
        if team_id == RESERVED_ID:
            raise InvalidRequest(
                f"The team id '{RESERVED_ID}' is reserved. Choose another one.",
                param="team_id",
                type="bad_request_error",
            )
        blank = Team(
            team_id=team_id,
            created_at=context.now,
            created_by=self._actor.name,
            updated_at=context.now,
            updated_by=self._actor.name,
        )
        capacity = self._actor.require_over("teams here", organization_id=body.organization_id)
        context.check_fields(capacity, set_by(blank, sent))
        team = await self._sealed(blank, amend(blank, changes, now=context.now_s))
        async with changing(context) as unit:
            teams = TeamRepository(unit.connection)
            if await teams.find(team_id) is not None:
                raise already_exists(team_id)
            await self._check_organization(teams, team, fields=_INHERITED)
            team = await self._with_member_budget(unit, teams, team, changes)
            await teams.create(team)
            await set_groups(unit.connection, "team", team_id, body.access_group_ids or ())
            await self._add_founders(unit, teams, team_id, _founders(body))
            unit.audit("created", RESOURCE, team_id, after=team)
            unit.tell("team", team_id)
        if body.team_id:  # it may have been a team before, and spent: a new team begins at nothing
            await set_spend(context, team_scope(team), 0, team_id=team_id)
        return team_id

    async def update(self, team_id: str, sent: Mapping[str, Any], *, merges: bool = False) -> None:
        """Changes the fields that were sent. `merges`: documents are merged, not replaced."""
        context = self._context
        async with changing(context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            changes = apply_patch(before, sent) if merges else sent
            context.check_fields(self._capacity(before), set_by(before, changes))
            team = await self._sealed(before, amend(before, changes, now=context.now_s))
            is_moved = team.organization_id != before.organization_id
            await self._check_organization(teams, team, fields=_INHERITED if is_moved else changes)
            team = await self._with_member_budget(unit, teams, team, changes)
            await replace_team(unit, teams, before, team)
            if is_moved:
                await self._keys.move_with_team(
                    unit, team_id, before=before.organization_id, after=team.organization_id
                )
            if team.member_budget_id != before.member_budget_id:
                await self._carry_to_members(unit, teams, team)
            if "access_group_ids" in changes:
                await set_groups(unit.connection, "team", team_id, changes["access_group_ids"] or ())
        if changes.get("spend") is not None:
            await set_spend(context, team_scope(team), nanos_from_dollars(changes["spend"]), team_id=team_id)
        else:
            await carry_spend(context, team_scope(before), team_scope(team), team_id=team_id)

    async def set_blocked(self, team_id: str, sent: Mapping[str, Any], *, is_blocked: bool) -> None:
        """Blocks or unblocks a team, and with it all its keys."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            self._context.check_fields(self._capacity(before), sent)
            team = msgspec.structs.replace(before, is_blocked=is_blocked)
            await replace_team(unit, teams, before, team, action="blocked" if is_blocked else "unblocked")

    async def delete(self, team_ids: Sequence[str], sent: Mapping[str, Any]) -> None:
        """Deletes teams, with their keys, models and memberships: all of them, or none. Raises `NotFound`."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            for team_id in dict.fromkeys(team_ids):
                team = await teams.named(team_id)
                self._context.check_fields(self._capacity(team), sent)
                await self._remove(unit, teams, team)

    async def add_models(self, team_id: str, models: Sequence[str], sent: Mapping[str, Any]) -> None:
        """Adds to the models that a team may use; to an empty list, which means all, that is a restriction.

        Who only administers the team may restrict it, and not give it more.
        """
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            capacity = self._capacity(before)
            self._context.check_fields(capacity, sent)
            beyond = [one for one in models if before.models and not covers(frozenset(before.models), one)]
            if capacity is Role.TEAM_ADMIN and beyond:
                raise Forbidden(
                    f"A team admin cannot give the team more models than it has: {beyond[0][:100]!r}. "
                    "Ask a proxy admin or an admin of the organization.",
                    param="models",
                )
            team = msgspec.structs.replace(before, models=list(dict.fromkeys([*before.models, *models])))
            await self._check_organization(teams, team, fields=("models",))
            await replace_team(unit, teams, before, team)

    async def remove_models(self, team_id: str, models: Sequence[str], sent: Mapping[str, Any]) -> None:
        """Takes models away. Without the last one a team may use all, so that is not for its own admins to do."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            before = await teams.named(team_id)
            capacity = self._capacity(before)
            self._context.check_fields(capacity, sent)
            team = msgspec.structs.replace(before, models=[one for one in before.models if one not in models])
            if capacity is Role.TEAM_ADMIN and before.models and not team.models:
                raise Forbidden(
                    "Without its last model the team could use every model, so a team admin cannot remove that. "
                    "Ask a proxy admin or an admin of the organization.",
                    param="models",
                )
            await replace_team(unit, teams, before, team)

    async def permissions(self, team_id: str) -> list[str]:
        """What plain members may do with the team's keys."""
        async with reading(self._services.engine) as connection:
            team = await TeamRepository(connection).named(team_id)
        self._capacity(team)
        return team.member_permissions

    async def append_permissions(
        self, permissions: Sequence[str], *, team_ids: Sequence[str] | None, applies_to_all: bool
    ) -> int:
        """Gives members of several teams, or all, these permissions besides those they have; how many teams changed."""
        check_permissions(permissions)
        if not applies_to_all and not team_ids:
            raise InvalidRequest(
                "Name the teams in team_ids, or set apply_to_all_teams.", param="team_ids", type="bad_request_error"
            )
        changed = 0
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            found = await teams.all() if applies_to_all else [await teams.named(one) for one in team_ids or ()]
            for before in found:
                together = list(dict.fromkeys([*before.member_permissions, *permissions]))
                if together != before.member_permissions:
                    team = msgspec.structs.replace(before, member_permissions=together)
                    await replace_team(unit, teams, before, team)
                    changed += 1
        return changed

    async def update_keys(
        self, team_id: str, names: Sequence[str] | None, fields: Mapping[str, Any], *, limit: int
    ) -> list[KeyResult]:
        """Changes these keys of a team, or all with `names` None, one by one. Raises `InvalidRequest` for too many."""
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            team = await teams.named(team_id)
            if KEY_UPDATE not in self._actor.member_permissions.get(team_id, ()):
                self._capacity(team)
            keys = await teams.keys_of([team_id], limit=limit + 1 if names is None else None)
        if names is None and len(keys) > limit:
            raise InvalidRequest(
                f"The team has more than {limit} keys. Name up to {limit} of them in key_ids.",
                param="all_keys_in_team",
                type="bad_request_error",
            )
        by_hash = {key.key_hash: key for key in keys}
        wanted = by_hash if names is None else names
        return [await self._update_key(name, by_hash.get(hash_of(name)), fields) for name in wanted]

    async def _update_key(self, name: str, key: VirtualKey | None, fields: Mapping[str, Any]) -> KeyResult:
        if key is None:
            return KeyResult(name=name, error="Key not found in this team.")
        try:
            return KeyResult(name=name, shown=await self._keys.change(self._context, key, fields, route=KEY_UPDATE))
        except TollwayError as error:
            return KeyResult(name=name, error=error.message)

    async def _sealed(self, before: Team, team: Team) -> Team:
        metadata = await sealed_metadata(self._services, team.metadata, before.metadata, "teams", team.team_id)
        return msgspec.structs.replace(team, metadata=metadata)

    def _capacity(self, team: Team) -> Role:
        return self._actor.require_over("this team", team_id=team.team_id, organization_id=team.organization_id)

    async def _check_organization(self, teams: TeamRepository, team: Team, *, fields: Collection[str]) -> None:
        if team.organization_id is None:
            return
        organization = await teams.organization(team.organization_id)
        if organization is None:
            raise InvalidRequest(
                f"Organization not found for organization_id={team.organization_id[:255]}. "
                "Create a new organization via /organization/new.",
                param="organization_id",
                type="bad_request_error",
            )
        budget = await teams.budget(organization.budget_id)
        check_within(team, organization, budget, self._services.snapshot().groups, fields=fields)

    async def _with_member_budget(
        self, unit: Unit, teams: TeamRepository, team: Team, changes: Mapping[str, Any]
    ) -> Team:
        """The team with a budget for its members as these changes have it."""
        sent = member_defaults(changes)
        before = await teams.budget(team.member_budget_id)
        if before is not None and sent:
            await replace_budget(unit, before, amend_budget(self._context, before, sent))
        if before is not None or all(value is None for value in sent.values()):
            return team
        budget = await add_budget(unit, new_budget(self._context, sent))
        return msgspec.structs.replace(team, member_budget_id=budget.budget_id)

    async def _carry_to_members(self, unit: Unit, teams: TeamRepository, team: Team) -> None:
        """What members have spent without a budget counts in the first window of the one they have now."""
        budget = await teams.budget(team.member_budget_id)
        if budget is not None:
            await carry_linked(unit, msgspec.structs.replace(budget, budget_duration=None), budget)

    async def _remove(self, unit: Unit, teams: TeamRepository, team: Team) -> None:
        await self._keys.remove(unit, await teams.keys_of([team.team_id], limit=None))
        for model_id in await teams.remove_models(team.team_id):
            unit.tell("model", model_id)
        members = (await teams.members_of([team.team_id])).get(team.team_id, ())
        await teams.archive(team, at=self._context.now, by=self._context.changed_by or self._actor.name)
        await teams.budgets.delete_unlinked([team.member_budget_id, *(member.budget_id for member in members)])
        unit.audit("deleted", RESOURCE, team.team_id, before=team)
        unit.tell("team", team.team_id)

    async def _add_founders(self, unit: Unit, teams: TeamRepository, team_id: str, founders: Sequence[Member]) -> None:
        roles: dict[str, str] = {}
        creator = self._actor.user_id
        if creator and (self._services.team_policy.adds_administrators or not self._actor.is_admin):
            roles[creator] = "admin"
        for founder in founders:
            user = await find_or_create(unit, teams, founder, may_choose_id=True)
            roles[user.user_id] = "admin" if founder.role == "admin" else roles.get(user.user_id, "user")
        for user_id, role in roles.items():
            await teams.add_member(
                TeamMember(team_id=team_id, user_id=user_id, role=role, created_at=self._context.now)
            )


def _founders(body: TeamCreate) -> list[Member]:
    admins = [Member(role="admin", user_id=one) for one in body.admins]
    return [*body.members_with_roles, *admins, *(Member(role="user", user_id=one) for one in body.members)]
