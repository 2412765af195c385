"""Who is in a team, as what, and with how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.exc import IntegrityError

from tollway.control.kit.budget_links import replace_budget
from tollway.control.kit.budgets import add_budget, amend_budget, new_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.limits import check_limits
from tollway.control.kit.spending import carry_spend, lower_spend
from tollway.control.teams.people import find_or_create
from tollway.control.teams.repository import TeamRepository
from tollway.control.teams.schemas import MAX_AT_ONCE, Member, MemberAdd, MemberName, MembersAdd, MemberUpdate
from tollway.control.teams.spending import Membership, membership_of
from tollway.core.errors import ClientError, Conflict, Forbidden, InvalidRequest
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.stores.sql.rows import Budget, Team, TeamMember

RESOURCE = "LiteLLM_TeamTable"

_BUDGET_FIELDS = {
    "max_budget_in_team": "max_budget",
    "budget_duration": "budget_duration",
    "tpm_limit": "tpm_limit",
    "rpm_limit": "rpm_limit",
    "allowed_models": "allowed_models",
    "temp_budget_increase": "temp_budget_increase",
    "temp_budget_expiry": "temp_budget_expiry",
}
"""Fields about a member that are kept in a budget, and their names there."""


class Addition(NamedTuple):
    """What became of one person who was to be added."""

    asked: Member
    membership: Membership | None = None
    error: str | None = None


class Reset(NamedTuple):
    """A member after their spend was set back, and what they had spent before."""

    membership: Membership
    before_nanos: int


class MemberService:
    """Members of teams, for one request."""

    def __init__(self, context: Context, keys: KeyDesk) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor
        self._keys = keys

    async def add(self, body: MemberAdd) -> list[Membership]:
        """Adds everybody who is named, or nobody. Raises `Conflict` for somebody who is in the team."""
        sent = body.changes()
        check_limits(sent, now=self._context.now_s)
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            team = await teams.named(body.team_id)
            capacity = self._capacity_to_add(team, body)
            self._context.check_fields(capacity, sent)
            default = await teams.budget(team.member_budget_id)
            return [
                await self._add_one(unit, teams, team, default, one, _limits(sent), capacity) for one in body.people
            ]

    async def add_many(self, body: MembersAdd) -> list[Addition]:
        """Adds those who can be added; what became of each."""
        sent = body.changes()
        check_limits(sent, now=self._context.now_s)
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            team = await teams.named(body.team_id)
            capacity = self._capacity(team)
            self._context.check_fields(capacity, sent)
            people = await self._everybody(teams, team) if body.all_users else body.members
            if people is None:
                raise InvalidRequest("Name the members, or set all_users.", param="members", type="bad_request_error")
            default = await teams.budget(team.member_budget_id)
            additions = []
            for one in people:
                try:
                    async with unit.connection.begin_nested():
                        added = await self._add_one(unit, teams, team, default, one, _limits(sent), capacity)
                except ClientError as error:
                    additions.append(Addition(one, error=error.message))
                else:
                    additions.append(Addition(one, membership=added))
            return additions

    async def update(self, body: MemberUpdate) -> TeamMember:
        """Changes the fields that were sent."""
        sent = body.changes()
        check_limits(sent, now=self._context.now_s)
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            team = await teams.named(body.team_id)
            capacity = self._capacity(team)
            self._context.check_fields(capacity, sent)
            member = await _existing(teams, team, user_id=body.user_id, email=body.user_email)
            limits = {inside: sent[name] for name, inside in _BUDGET_FIELDS.items() if name in sent}
            if limits:
                self._check_not_oneself(capacity, member)
            budgets = await teams.budgets.by_id([member.budget_id, team.member_budget_id])
            before = membership_of(member, team, budgets)
            limited = await self._with_limits(unit, teams, before, limits) if limits else member
            changed = msgspec.structs.replace(limited, role=body.role or member.role)
            await teams.members.replace(changed)
            budgets = await teams.budgets.by_id([changed.budget_id, team.member_budget_id])
            after = membership_of(changed, team, budgets)
            _note(unit, team, before, after)
            if changed.budget_id != member.budget_id:
                self._carry(unit, before, after)
        return changed

    async def remove(self, body: MemberName) -> None:
        """Takes somebody out of a team, and their keys of it with them."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            team = await teams.named(body.team_id)
            self._context.check_fields(self._capacity(team), body.changes())
            member = await _existing(teams, team, user_id=body.user_id, email=body.user_email)
            keys = await teams.keys_of([team.team_id], user_id=member.user_id, limit=None)
            await self._keys.remove(unit, keys)
            await teams.remove_member(member)
            await teams.budgets.delete_unlinked([member.budget_id])
            unit.audit("updated", RESOURCE, team.team_id, before={"member": msgspec.to_builtins(member)})
            unit.tell("team", team.team_id)

    async def reset_spend(self, team_id: str, user_id: str, reset_to: float) -> Reset:
        """Lowers what a member has spent in the current window."""
        async with reading(self._services.engine) as connection:
            teams = TeamRepository(connection)
            team = await teams.named(team_id)
            capacity = self._capacity(team)
            member = await _existing(teams, team, user_id=user_id, email=None)
            budgets = await teams.budgets.by_id([member.budget_id, team.member_budget_id])
        self._check_not_oneself(capacity, member)
        membership = membership_of(member, team, budgets)
        audited = (RESOURCE, team_id)
        ids = {"team_id": team_id, "user_id": user_id}
        before = await lower_spend(self._context, membership.scope, reset_to, audited=audited, **ids)
        return Reset(membership, before)

    async def reset_budget(self, team_id: str, user_id: str) -> tuple[Membership, str | None]:
        """Gives a member the team's budget for its members again; the membership, and the budget they had."""
        async with changing(self._context) as unit:
            teams = TeamRepository(unit.connection)
            team = await teams.named(team_id)
            capacity = self._capacity(team)
            member = await _existing(teams, team, user_id=user_id, email=None)
            self._check_not_oneself(capacity, member)
            budgets = await teams.budgets.by_id([member.budget_id, team.member_budget_id])
            before = membership_of(member, team, budgets)
            after = membership_of(msgspec.structs.replace(member, budget_id=None), team, budgets)
            await teams.members.replace(after.member)
            await teams.budgets.delete_unlinked([member.budget_id])
            _note(unit, team, before, after)
            self._carry(unit, before, after)
        return after, before.budget.budget_id if before.budget else None

    async def _add_one(
        self,
        unit: Unit,
        teams: TeamRepository,
        team: Team,
        default: Budget | None,
        asked: Member,
        limits: Mapping[str, Any],
        capacity: Role,
    ) -> Membership:
        user = await find_or_create(unit, teams, asked, may_choose_id=capacity in (Role.PROXY_ADMIN, Role.ORG_ADMIN))
        if await teams.members.find(team.team_id, user.user_id) is not None:
            raise _already_member(asked)
        budget = await self._own_budget(unit, default, limits) if limits else None
        member = TeamMember(
            team_id=team.team_id,
            user_id=user.user_id,
            role=asked.role,
            budget_id=budget.budget_id if budget else None,
            created_at=self._context.now,
        )
        try:
            await teams.add_member(member)
        except IntegrityError as error:
            raise _already_member(asked) from error
        membership = Membership(
            member=member, budget=budget or default, is_default=budget is None and default is not None
        )
        _note(unit, team, None, membership)
        return membership

    async def _with_limits(
        self, unit: Unit, teams: TeamRepository, before: Membership, limits: Mapping[str, Any]
    ) -> TeamMember:
        """The member with these limits: in a budget of their own, which nothing else links to."""
        held = before.budget
        if held is not None and not before.is_default and await teams.budgets.links(held.budget_id) == 1:
            await replace_budget(unit, held, amend_budget(self._context, held, limits))
            return before.member
        if all(value is None for value in limits.values()) and before.member.budget_id is None:
            return before.member
        budget = await self._own_budget(unit, held, limits)
        return msgspec.structs.replace(before.member, budget_id=budget.budget_id)

    async def _own_budget(self, unit: Unit, held: Budget | None, limits: Mapping[str, Any]) -> Budget:
        """A new budget of one member. It begins as what they had: to set one limit must not lift the others."""
        blank = new_budget(self._context, {})
        if held is not None:
            history = {name: getattr(blank, name) for name in _IDENTITY}
            blank = msgspec.structs.replace(held, **history)
        return await add_budget(unit, amend_budget(self._context, blank, limits))

    async def _everybody(self, teams: TeamRepository, team: Team) -> list[Member]:
        """Users who are not in the team."""
        members = {one.user_id for one in (await teams.members_of([team.team_id])).get(team.team_id, ())}
        users = [user for user in await teams.all_users() if user.user_id not in members]
        if len(users) > MAX_AT_ONCE:
            raise InvalidRequest(
                f"There are {len(users)} users to add; at most {MAX_AT_ONCE} can be in one request. Name them.",
                param="all_users",
                type="bad_request_error",
            )
        return [Member(role="user", user_id=user.user_id, user_email=user.user_email) for user in users]

    def _capacity(self, team: Team) -> Role:
        return self._actor.require_over("this team", team_id=team.team_id, organization_id=team.organization_id)

    def _capacity_to_add(self, team: Team, body: MemberAdd) -> Role:
        """Also of a user who joins a team that is open to all: alone, as a plain member."""
        joins = [(one.user_id, one.role) for one in body.people] == [(self._actor.user_id, "user")]
        is_open = team.team_id in self._services.team_policy.available_teams
        if joins and is_open and self._actor.role is Role.INTERNAL_USER:
            return Role.INTERNAL_USER
        return self._capacity(team)

    def _check_not_oneself(self, capacity: Role, member: TeamMember) -> None:
        if capacity is not Role.PROXY_ADMIN and member.user_id == self._actor.user_id:
            raise Forbidden(
                "You cannot change your own limits in a team. Ask another admin of the team, or a proxy admin.",
                param="user_id",
            )

    def _carry(self, unit: Unit, before: Membership, after: Membership) -> None:
        """After the commit, takes what the member has spent along into the window of another budget."""
        ids = {"team_id": after.member.team_id, "user_id": after.member.user_id}
        unit.afterwards.append(partial(carry_spend, self._context, before.scope, after.scope, **ids))


_IDENTITY = ("budget_id", "created_at", "created_by", "updated_at", "updated_by")


def _limits(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {inside: sent[name] for name, inside in _BUDGET_FIELDS.items() if sent.get(name) is not None}


async def _existing(teams: TeamRepository, team: Team, *, user_id: str | None, email: str | None) -> TeamMember:
    if user_id is None and email is None:
        raise InvalidRequest(
            "Either user_id or user_email needs to be provided.", param="user_id", type="bad_request_error"
        )
    member = await teams.member_named(team.team_id, user_id=user_id, email=email)
    if member is None:
        raise InvalidRequest(
            f"User not found in team. Team={team.team_id}, user_id={user_id}, user_email={email}",
            param="user_id",
            type="bad_request_error",
        )
    return member


def _already_member(asked: Member) -> Conflict:
    return Conflict(
        f"User already in team. Member: user_id={asked.user_id}, user_email={asked.user_email}",
        param="member",
        type="team_member_already_in_team",
    )


def _note(unit: Unit, team: Team, before: Membership | None, after: Membership) -> None:
    """For the audit log, and for every worker that knows a key of the member, or of their budget."""
    described = [None if one is None else {"member": msgspec.to_builtins(one)} for one in (before, after)]
    unit.audit("updated", RESOURCE, team.team_id, before=described[0], after=described[1])
    unit.tell("team", team.team_id)
    if after.budget is not None:
        unit.tell("budget", after.budget.budget_id)
