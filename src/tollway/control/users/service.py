"""What can be done with users, and who may do it.

Each operation is one transaction. Spend changes follow its commit.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tollway.control.kit.budgets import BudgetRows, new_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.keys import KeyDesk
from tollway.control.kit.pagination import Page
from tollway.control.kit.people import check_role, unknown_user
from tollway.control.kit.roles import ORG_ADMINS
from tollway.control.kit.spending import carry_spend, set_spend, spent_nanos
from tollway.control.users.fields import amend, fill_defaults, key_fields, new_user
from tollway.control.users.rendering import Seen
from tollway.control.users.repository import SortColumn, UserQuery, UserRepository
from tollway.control.users.schemas import NewUser, PasswordChange, UserUpdate
from tollway.core.errors import Forbidden, InvalidRequest, NotFound, TollwayError, Unauthenticated
from tollway.core.money import nanos_from_dollars
from tollway.core.passwords import hash_password, is_password
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.stores.sql.principals import user_scope
from tollway.stores.sql.rows import OrganizationMember, TeamMember, User

_TABLE = "LiteLLM_UserTable"


class Outcome(NamedTuple):
    """What became of one of many changes."""

    asked: UserUpdate
    seen: Seen | None
    error: str | None


class UserService:
    """Users, for one request."""

    def __init__(self, context: Context, desk: KeyDesk) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor
        self._desk = desk

    async def create(self, body: NewUser) -> tuple[Seen, Mapping[str, Any]]:
        """Makes a user; they, and the answer of making their key. Raises `Conflict`, `Forbidden`, `InvalidRequest`."""
        sent = body.changes()
        self._context.check_fields(Role.PROXY_ADMIN if self._actor.is_admin else Role.ORG_ADMIN, sent)
        changes = fill_defaults(sent, self._services.user_defaults)
        check_role(self._actor, changes.get("user_role"))
        user = self._new(changes.get("user_id") or str(uuid.uuid4()), changes)
        async with changing(self._context) as unit:
            users = UserRepository(unit.connection)
            if not self._actor.is_admin:
                await self._require_own_places(users, sent)
            await self._insert(unit, users, user, changes)
            key = self._desk.blank(self._context)
            if body.auto_create_key:
                key = await self._desk.issue(unit, await self._fields_of_key(users, user, changes))
            seen = await self._seen_in(users, user)
        await self._begin_spend(user, changes)
        return await self._with_spend(seen), key

    async def update(self, body: UserUpdate) -> Seen:
        """Changes the fields that were sent; makes the user if a proxy admin names an id that nobody has."""
        changes = body.changes()
        if body.user_id is None:
            changes.pop("user_email", None)  # it said which user, not what to call them
        password_hash = await self._hashed(body)
        before: User | None
        async with changing(self._context) as unit:
            users = UserRepository(unit.connection)
            before = await self._identified(users, body)
            if before is None:
                user = await self._make_on_update(unit, users, body, changes)
            else:
                user = await self._change(unit, users, before, changes)
            if "password" in changes:
                await users.set_password_hash(user.user_id, password_hash)
            seen = await self._seen_in(users, user)
        if before is None:
            await self._begin_spend(user, changes)
        elif changes.get("spend") is not None:
            await set_spend(self._context, user_scope(user), nanos_from_dollars(changes["spend"]), user_id=user.user_id)
        else:
            await carry_spend(self._context, user_scope(before), user_scope(user), user_id=user.user_id)
        return await self._with_spend(seen)

    async def update_many(self, asked: Sequence[UserUpdate]) -> list[Outcome]:
        """The same for many, each on its own: what is refused stops no other."""
        outcomes = []
        for one in asked:
            try:
                outcomes.append(Outcome(one, await self.update(one), None))
            except TollwayError as error:
                outcomes.append(Outcome(one, None, error.message))
        return outcomes

    async def all_ids(self, limit: int) -> list[str]:
        """Ids of all users. Raises `InvalidRequest` if there are more than `limit`."""
        async with reading(self._services.engine) as connection:
            ids = await UserRepository(connection).all_ids(limit + 1)
        if len(ids) > limit:
            raise InvalidRequest(
                f"all_users changes at most {limit} users at once, and there are more. Name them in 'users'.",
                param="all_users",
            )
        return ids

    async def delete(self, user_ids: Sequence[str]) -> int:
        """Deletes users with their keys, invitations and memberships; how many. All of them, or none."""
        unique = list(dict.fromkeys(user_ids))
        async with changing(self._context) as unit:
            users = UserRepository(unit.connection)
            for user_id in unique:
                user = await users.find(user_id)
                if user is None:
                    raise NotFound(f"User not found, passed user_id={user_id[:100]}", param="user_ids")
                if await users.require_over(self._actor, user) not in ORG_ADMINS:
                    raise Forbidden("You are not allowed to delete yourself.", param="user_ids")
                await self._desk.remove_of_user(unit, user_id)
                await users.remove(user_id)
                unit.audit("deleted", _TABLE, user_id, before=user)
                unit.tell("user", user_id)
        return len(unique)

    async def find(self, user_id: str) -> Seen:
        """A user whom the caller may see. Raises `Forbidden`, `NotFound`."""
        async with reading(self._services.engine) as connection:
            users = UserRepository(connection)
            user = await users.find(user_id)
            if not await self._may_see(users, user_id, user):
                raise Forbidden(f"You are not allowed to access this user's info. Your role={self._actor.role}")
            if user is None:
                raise unknown_user(user_id)
            seen = await self._seen_in(users, user)
        return await self._with_spend(seen)

    async def find_teammate(self, user_id: str) -> Seen:
        """The same, also for admins of a team they share. Whom the caller may not see does not exist."""
        try:
            return await self.find(user_id)
        except Forbidden:
            pass
        async with reading(self._services.engine) as connection:
            users = UserRepository(connection)
            user = await users.named(user_id)
            seen = await self._seen_in(users, user)
        if self._actor.administered_teams.isdisjoint(seen.teams):
            raise unknown_user(user_id)
        return await self._with_spend(seen)

    async def list_page(
        self, query: UserQuery, page: Page, *, sort_by: SortColumn | None, is_descending: bool
    ) -> tuple[list[tuple[Seen, int]], int]:
        """A page of the users that the caller may see with the number of their keys, and how many users there are.
        `sort_by` None: by spend.
        """
        if sort_by is None:
            await self._services.ledger.flush_everywhere()  # what counts has to be in the database to be sorted by
        async with reading(self._services.engine) as connection:
            users = UserRepository(connection)
            if sort_by is None:
                found, total = await users.list_by_spend(
                    query, page, services=self._services, is_descending=is_descending
                )
            else:
                found, total = await users.list_page(query, page, sort_by=sort_by, is_descending=is_descending)
        return await self._listed(found), total

    def scope(self, query: UserQuery) -> UserQuery:
        """The query, for those users whom the caller may see."""
        if self._actor.sees_everything:
            return query
        return query.within(self._actor.administered_organizations)

    async def change_password(self, body: PasswordChange) -> str:
        """Gives the caller another password; their id. Raises `InvalidRequest`, `Unauthenticated`."""
        user_id = self._actor.user_id
        async with reading(self._services.engine) as connection:
            stored = await UserRepository(connection).password_hash(user_id) if user_id else None
        if user_id is None or stored is None:
            raise InvalidRequest(
                "You have no password to change. An invitation (/invitation/new) lets you choose one.",
                param="current_password",
            )
        if not await asyncio.to_thread(is_password, body.current_password, stored):
            raise Unauthenticated("The current password is not right.", param="invalid_credentials")
        password_hash = await asyncio.to_thread(hash_password, body.new_password)
        async with changing(self._context) as unit:
            users = UserRepository(unit.connection)
            user = await users.named(user_id)
            await users.set_password_hash(user_id, password_hash)
            unit.audit("updated", _TABLE, user_id, before=user, after=user)
        return user_id

    def _new(self, user_id: str, changes: Mapping[str, Any]) -> User:
        return new_user(user_id, changes, now=self._context.now, by=self._actor.name)

    async def _insert(self, unit: Unit, users: UserRepository, user: User, changes: Mapping[str, Any]) -> None:
        await users.insert(user)
        await self._join(unit, users, user, changes)
        unit.audit("created", _TABLE, user.user_id, after=user)
        unit.tell("user", user.user_id)

    async def _make_on_update(
        self, unit: Unit, users: UserRepository, body: UserUpdate, changes: Mapping[str, Any]
    ) -> User:
        if body.user_id is None:
            raise NotFound(f"User with email {body.user_email} not found", param="user_email")
        if not self._actor.is_admin:
            raise Forbidden(f"You are not allowed to change this user. Your role={self._actor.role}")
        user = self._new(body.user_id, changes)
        await self._insert(unit, users, user, changes)
        return user

    async def _change(self, unit: Unit, users: UserRepository, before: User, changes: Mapping[str, Any]) -> User:
        capacity = await users.require_over(self._actor, before)
        self._context.check_fields(capacity, {name: changes[name] for name in changes if name != "user_id"})
        check_role(self._actor, changes.get("user_role"))
        user = amend(before, changes, now=self._context.now, by=self._actor.name)
        await users.replace(user)
        await self._join(unit, users, user, changes)
        unit.audit("updated", _TABLE, user.user_id, before=before, after=user)
        unit.tell("user", user.user_id)
        return user

    async def _identified(self, users: UserRepository, body: UserUpdate) -> User | None:
        if body.user_id is not None:
            return await users.find(body.user_id)
        if body.user_email is None:
            raise InvalidRequest("Name the user: send user_id or user_email.", param="user_id")
        return await users.by_email(body.user_email)

    async def _hashed(self, body: UserUpdate) -> str | None:
        # Before the transaction, which must not wait for it; and for nobody who may not set it.
        if body.password is None or not self._actor.is_admin:
            return None
        return await asyncio.to_thread(hash_password, body.password)

    async def _require_own_places(self, users: UserRepository, sent: Mapping[str, Any]) -> None:
        organizations = sent.get("organizations") or []
        if not organizations:
            raise Forbidden(
                "An organization's admin makes users of their own organizations: name one in 'organizations'.",
                param="organizations",
            )
        for organization_id in organizations:
            self._actor.require_over(f"organization {organization_id[:100]}", organization_id=organization_id)
        for team_id, _ in _teams_in(sent):
            team = await users.team(team_id)
            self._actor.require_over(f"team {team_id[:100]}", organization_id=team.organization_id or "")

    async def _join(self, unit: Unit, users: UserRepository, user: User, changes: Mapping[str, Any]) -> None:
        now = self._context.now
        for team_id, terms in _teams_in(changes):
            await users.team(team_id)
            if await users.team_members.find(team_id, user.user_id) is not None:
                continue
            member = TeamMember(
                team_id=team_id,
                user_id=user.user_id,
                role=terms.get("user_role") or "user",
                budget_id=await self._member_budget(unit, terms.get("max_budget_in_team")),
                created_at=now,
            )
            await users.team_members.insert(member)
        for organization_id in changes.get("organizations") or []:
            await users.check_organization(organization_id)
            if await users.organization_members.find(organization_id, user.user_id) is not None:
                continue
            role = user.role if user.role is Role.INTERNAL_USER_VIEWER else Role.INTERNAL_USER
            await users.organization_members.insert(
                OrganizationMember(
                    organization_id=organization_id, user_id=user.user_id, role=role, created_at=now, updated_at=now
                )
            )

    async def _member_budget(self, unit: Unit, max_budget: float | None) -> str | None:
        if max_budget is None:
            return None
        budget = new_budget(self._context, {"max_budget": max_budget})
        await BudgetRows(unit.connection).insert(budget)
        return budget.budget_id

    async def _fields_of_key(self, users: UserRepository, user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
        fields = key_fields(user, changes)
        organizations = changes.get("organizations") or []
        if not self._actor.is_admin:
            # What an organization's admin gives away counts in the organization's budget.
            fields["organization_id"] = organizations[0]
        return fields

    async def _begin_spend(self, user: User, changes: Mapping[str, Any]) -> None:
        # Somebody may have had this id before, and spent: a new user begins where it is told to.
        nanos = nanos_from_dollars(changes.get("spend") or 0)
        await set_spend(self._context, user_scope(user), nanos, user_id=user.user_id)

    async def _may_see(self, users: UserRepository, user_id: str, user: User | None) -> bool:
        if user is None:
            return self._actor.capacity_over(user_id=user_id) is not None
        return await users.capacity_over(self._actor, user) is not None

    async def _seen_in(self, users: UserRepository, user: User) -> Seen:
        teams = await users.teams_of([user.user_id])
        is_theirs = users.organization_members.table.c.user_id == user.user_id
        organizations = await users.organization_members.all(is_theirs)
        return Seen(user=user, teams=teams[user.user_id], organizations=organizations)

    async def _with_spend(self, seen: Seen) -> Seen:
        (spent,) = await spent_nanos(self._services, [user_scope(seen.user)])
        return Seen(user=seen.user, spent_nanos=spent, teams=seen.teams, organizations=seen.organizations)

    async def _listed(self, found: Sequence[User]) -> list[tuple[Seen, int]]:
        ids = [user.user_id for user in found]
        async with reading(self._services.engine) as connection:
            teams = await UserRepository(connection).teams_of(ids)
            keys = await self._desk.count_by_user(connection, ids)
        spent = await spent_nanos(self._services, [user_scope(user) for user in found])
        return [
            (Seen(user=user, spent_nanos=nanos, teams=teams[user.user_id]), keys.get(user.user_id, 0))
            for user, nanos in zip(found, spent, strict=True)
        ]


def _teams_in(changes: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Ids of the teams to join, each with its terms."""
    return [(one, {}) if isinstance(one, str) else (one["team_id"], one) for one in changes.get("teams") or []]
