"""Teams as somebody sees them: which, and how much of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tollway.control.kit.context import Context
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.pagination import Page
from tollway.control.teams.rendering import TeamView
from tollway.control.teams.repository import SortColumn, TeamQuery, TeamRepository, Visible
from tollway.control.teams.spending import (
    Membership,
    MemberSpend,
    membership_of,
    nanos_by_team,
    spend_of_members,
    usage_of_model_budgets,
)
from tollway.core.errors import Forbidden, InvalidRequest, NotFound
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.stores.sql.rows import Budget, Organization, Team, User
from tollway.stores.sql.virtual_key import VirtualKey

MAX_LISTED = 1000
"""Teams, and keys, in a listing without pages."""
FIRST = Page(1, MAX_LISTED)


class TeamContents(NamedTuple):
    """A team with its keys and memberships."""

    view: TeamView
    keys: list[dict[str, Any]]
    memberships: list[tuple[Membership, MemberSpend]]


class TeamFacts(NamedTuple):
    """Everything about one team."""

    contents: TeamContents
    organization: Organization | None
    member_budget: Budget | None
    model_usage: Mapping[str, int]
    capacity: Role | None
    """What the caller is to it; None: a member, or its key."""


class Counted(NamedTuple):
    """A team, and how much belongs to it."""

    view: TeamView
    members: int
    keys: int


class Own(NamedTuple):
    """The caller in a team."""

    team: Team
    user: User | None
    membership: Membership
    spend: MemberSpend


class TeamReader:
    """Teams, for one request that changes nothing."""

    def __init__(self, context: Context, keys: KeyDesk) -> None:
        self.context = context
        self._services = context.services
        self._actor = context.actor
        self._keys = keys

    async def view(self, team_id: str) -> TeamView:
        """A team after a change."""
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            views = await self._views(teams, [await teams.named(team_id)])
        (view,) = await self._with_spend(views)
        return view

    async def info(self, team_id: str | None, key_limit: int) -> TeamFacts:
        """Everything about a team. Raises `NotFound`, or `Forbidden` for other people's."""
        if not team_id:
            raise InvalidRequest("Malformed request. No team id passed in.", status=422, type="auth_error")
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            team = await teams.find(team_id)
            if team is None:
                raise NotFound(f"Team not found, passed team id: {team_id[:255]}.", param="None", type="auth_error")
            self._check_visible(team)
            views = await self._views(teams, [team])
            keys = await self._keys_of(teams, [team], limit=key_limit)
            memberships = await self._memberships(teams, views)
            organization = await teams.organization(team.organization_id)
            member_budget = await teams.budget(team.member_budget_id)
        (contents,) = await self._contents(views, keys, memberships)
        usage = await usage_of_model_budgets(self._services, team)
        return TeamFacts(contents, organization, member_budget, usage, self._capacity(team))

    async def list_all(
        self, *, user_id: str | None, organization_id: str | None, page: Page = FIRST
    ) -> tuple[list[TeamContents], int]:
        """Teams that the caller sees, oldest first, with what is in them, and how many there are."""
        query = TeamQuery(visible=self._visible(), user_id=user_id, organization_id=organization_id)
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            found, total = await teams.list_page(query, page, sort_by="created_at", is_descending=False)
            views = await self._views(teams, found)
            keys = await self._keys_of(teams, found, limit=MAX_LISTED)
            memberships = await self._memberships(teams, views)
        return await self._contents(views, keys, memberships), total

    async def list_page(
        self, query: TeamQuery, page: Page, *, sort_by: SortColumn | None, is_descending: bool
    ) -> tuple[list[Counted], int]:
        """A page of the teams that the caller sees, and how many there are. `sort_by` None: by spend."""
        query = msgspec.structs.replace(query, visible=self._visible())
        # Spend that is still in the journal counts too, and what counts has to be in the database to be sorted by.
        await self._services.ledger.flush_everywhere()
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            if sort_by is None:
                found, total = await teams.list_by_spend(
                    query, page, services=self._services, is_descending=is_descending
                )
            else:
                found, total = await teams.list_page(query, page, sort_by=sort_by, is_descending=is_descending)
        return await self._counted(found), total

    async def search(self, query: TeamQuery, page: Page) -> list[Team]:
        """A page of the teams that the caller sees, in order of id, with nothing of what belongs to them."""
        query = msgspec.structs.replace(query, visible=self._visible())
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            found, _ = await teams.list_page(query, page, sort_by="team_id", is_descending=False)
        return list(found)

    async def available(self) -> list[TeamView]:
        """Teams that users may join by themselves."""
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            found = [await teams.find(team_id) for team_id in self._services.team_policy.available_teams]
            views = await self._views(teams, [team for team in found if team is not None])
        return await self._with_spend(views)

    async def own(self, team_id: str) -> Own:
        """The caller's own membership. Raises `NotFound` if there is none."""
        user_id = self._actor.user_id
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            team = await teams.find(team_id)
            member = await teams.members.find(team_id, user_id) if user_id else None
            if team is None or member is None or user_id is None:
                raise NotFound(f"You are not a member of team {team_id[:255]}.", param="team_id")
            user = await teams.user(user_id)
            budgets = await teams.budgets.by_id([member.budget_id, team.member_budget_id])
        membership = membership_of(member, team, budgets)
        (spend,) = await spend_of_members(self._services, [membership])
        return Own(team, user, membership, spend)

    def _visible(self) -> Visible | None:
        actor = self._actor
        return None if actor.sees_everything else Visible(actor.teams, actor.administered_organizations)

    def _capacity(self, team: Team) -> Role | None:
        return self._actor.capacity_over(team_id=team.team_id, organization_id=team.organization_id)

    def _check_visible(self, team: Team) -> None:
        if self._capacity(team) is None and team.team_id not in self._actor.teams:
            raise Forbidden(f"You are not allowed to see team {team.team_id}. You are not a member of it.")

    def _sees_keys(self, team: Team) -> bool:
        permitted = self._actor.member_permissions.get(team.team_id, frozenset())
        return self._capacity(team) is not None or "/key/list" in permitted

    async def _views(self, teams: TeamRepository, found: Sequence[Team]) -> list[TeamView]:
        ids = [team.team_id for team in found]
        members = await teams.members_of(ids)
        people = await teams.people_in(ids)
        groups = await teams.access_groups_of(ids)
        return [
            TeamView(
                team=team,
                members=members.get(team.team_id, ()),
                people=people,
                access_groups=groups.get(team.team_id, ()),
                spent_nanos=0,
                hides_secrets=self._capacity(team) is None,
            )
            for team in found
        ]

    async def _with_spend(self, views: Sequence[TeamView]) -> list[TeamView]:
        spent = await nanos_by_team(self._services, [view.team for view in views])
        return [msgspec.structs.replace(view, spent_nanos=spent[view.team.team_id]) for view in views]

    async def _keys_of(self, teams: TeamRepository, found: Sequence[Team], *, limit: int) -> list[VirtualKey]:
        """All keys of teams where the caller may see them, and the caller's own of the others."""
        whole = [team.team_id for team in found if self._sees_keys(team)]
        others = [team.team_id for team in found if not self._sees_keys(team)]
        user_id = self._actor.user_id
        of_caller = {"user_id": user_id} if user_id else {"key_hash": self._actor.key_hash}
        keys = await teams.keys_of(whole, limit=limit) if whole else []
        if others:
            keys += await teams.keys_of(others, limit=limit, **of_caller)
        return keys[:limit]

    async def _memberships(self, teams: TeamRepository, views: Sequence[TeamView]) -> list[Membership]:
        linked = {view.team.member_budget_id for view in views}
        linked |= {member.budget_id for view in views for member in view.members}
        budgets = await teams.budgets.by_id(linked)
        return [membership_of(member, view.team, budgets) for view in views for member in view.members]

    async def _contents(
        self, views: Sequence[TeamView], keys: Sequence[VirtualKey], memberships: Sequence[Membership]
    ) -> list[TeamContents]:
        keys_by_team: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
        for key in await self._keys.show(self.context, keys):
            keys_by_team[key["team_id"]].append(key)
        members_by_team: dict[str, list[tuple[Membership, MemberSpend]]] = defaultdict(list)
        for membership, spend in zip(memberships, await spend_of_members(self._services, memberships), strict=True):
            members_by_team[membership.member.team_id].append((membership, spend))
        return [
            TeamContents(view, keys_by_team[view.team.team_id], members_by_team[view.team.team_id])
            for view in await self._with_spend(views)
        ]

    async def _counted(self, found: Sequence[Team]) -> list[Counted]:
        ids = [team.team_id for team in found]
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            views = await self._views(teams, found)
            members, keys = await teams.count_members(ids), await teams.count_keys(ids)
        return [
            Counted(view, members.get(view.team.team_id, 0), keys.get(view.team.team_id, 0))
            for view in await self._with_spend(views)
        ]
