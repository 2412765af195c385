"""What teams and their members have spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import select

from tollway.control.kit.spending import spent_nanos
from tollway.control.services import Services
from tollway.core.principal import Scope
from tollway.db.engine import reading
from tollway.db.keys import deleted_keys, virtual_keys
from tollway.stores.sql.limited import model_scopes
from tollway.stores.sql.principals import member_scope, team_scope
from tollway.stores.sql.rows import Budget, Team, TeamMember


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A member with the budget that holds for them."""

    member: TeamMember
    budget: Budget | None
    is_default: bool
    """The budget is what the team gives everybody."""

    @property
    def scope(self) -> Scope:
        """Their limits inside the team, and the name of their counters."""
        return member_scope(self.member, self.budget)


class MemberSpend(msgspec.Struct, frozen=True):
    """What a member has spent on a team's account."""

    nanos: int = 0
    """In the current budget window."""
    total_nanos: int = 0
    """Ever, by calls."""


def membership_of(member: TeamMember, team: Team, budgets: Mapping[str, Budget]) -> Membership:
    """A member with their own budget, or else the team's for its members."""
    own = budgets.get(member.budget_id or "")
    budget = own or budgets.get(team.member_budget_id or "")
    return Membership(member=member, budget=budget, is_default=own is None and budget is not None)


async def nanos_by_team(services: Services, teams: Sequence[Team]) -> dict[str, int]:
    """What each team has spent in its current window, by id."""
    spent = await spent_nanos(services, [team_scope(team) for team in teams])
    return {team.team_id: nanos for team, nanos in zip(teams, spent, strict=True)}


async def spend_of_members(services: Services, memberships: Sequence[Membership]) -> list[MemberSpend]:
    """What each of these has spent, in their order."""
    in_window = await spent_nanos(services, [one.scope for one in memberships])
    totals = await _totals(services, {one.member.team_id for one in memberships})
    return [
        MemberSpend(nanos, totals.get((one.member.team_id, one.member.user_id), 0))
        for one, nanos in zip(memberships, in_window, strict=True)
    ]


async def usage_of_model_budgets(services: Services, team: Team) -> dict[str, int]:
    """What was spent of the team's budgets for single models, by model."""
    scopes = model_scopes("model_per_team", team.team_id, budgets=team.options.get("model_max_budget"))
    return dict(zip(scopes, await spent_nanos(services, list(scopes.values())), strict=True))


async def _totals(services: Services, team_ids: set[str]) -> dict[tuple[str, ...], int]:
    """What was ever spent with the keys of these teams, by team and user."""
    if not team_ids:
        return {}
    queries = [select(table.c.key_hash).where(table.c.team_id.in_(team_ids)) for table in (virtual_keys, deleted_keys)]
    async with reading(services.engine) as connection:
        hashes = sorted({key_hash for query in queries for (key_hash,) in await connection.execute(query)})
    sums = await services.spend.sum_usage(
        None, "key", hashes, by=("team_id", "user_id"), owners={"team_id": sorted(team_ids)}
    )
    return {one.group: one.spend_nanos for one in sums}
