"""Who is in an organization, as what, and how much they may spend there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tollway.control.kit.budgets import link_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.spending import spent_nanos
from tollway.control.organizations.rendering import Spent
from tollway.control.organizations.repository import Member, OrganizationRepository
from tollway.control.organizations.schemas import MemberDelete, MembersAdd, MemberUpdate, NewMember
from tollway.control.organizations.service import named
from tollway.core.errors import Conflict, Forbidden, NotFound
from tollway.core.principal import Role
from tollway.stores.sql.principals import organization_member_scope
from tollway.stores.sql.rows import OrganizationMember, User

MEMBERSHIP_TABLE = "LiteLLM_OrganizationMembership"
USER_TABLE = "LiteLLM_UserTable"

_SEES_ALL = (Role.PROXY_ADMIN, Role.PROXY_ADMIN_VIEWER)


class SpentMembers(NamedTuple):
    """Members, and what they have spent."""

    members: list[Member]
    spent: Spent


class MemberService:
    """Members of organizations, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._actor = context.actor

    async def add(self, body: MembersAdd) -> SpentMembers:
        """Adds people, all of them or none. Who does not exist is made."""
        self._require(body.organization_id, body.changes())
        wanted = body.member if isinstance(body.member, list) else [body.member]
        async with changing(self._context) as unit:
            repository = OrganizationRepository(unit.connection)
            await named(repository, body.organization_id)
            added = [await self._add_one(unit, repository, body, one) for one in wanted]
            unit.tell("organization", body.organization_id)
            members = await repository.with_details(added)
        return await self._with_spend(members)

    async def update(self, body: MemberUpdate) -> SpentMembers:
        """Changes somebody's role or budget in an organization."""
        changes = body.changes()
        self._require(body.organization_id, changes)
        async with changing(self._context) as unit:
            repository = OrganizationRepository(unit.connection)
            before = await self._find(repository, body)
            self._require_other(before.user_id)
            after = msgspec.structs.replace(
                before,
                role=body.role or before.role,
                budget_id=await link_budget(unit, before.budget_id, _budget_of(changes)),
                updated_at=self._context.now,
            )
            await repository.memberships.replace(after)
            unit.audit("updated", MEMBERSHIP_TABLE, _id_of(after), before=before, after=after)
            unit.tell("organization", body.organization_id)
            members = await repository.with_details([after])
        return await self._with_spend(members)

    async def delete(self, body: MemberDelete) -> SpentMembers:
        """Takes somebody out of an organization. Their keys stay, under the organization's limits."""
        self._require(body.organization_id, body.changes())
        async with changing(self._context) as unit:
            repository = OrganizationRepository(unit.connection)
            membership = await self._find(repository, body)
            members = await repository.with_details([membership])
            await repository.delete_membership(membership)
            unit.audit("deleted", MEMBERSHIP_TABLE, _id_of(membership), before=membership)
            unit.tell("organization", body.organization_id)
        return await self._with_spend(members)

    def _require(self, organization_id: str, changes: Mapping[str, Any]) -> None:
        capacity = self._actor.require_over("members of this organization", organization_id=organization_id)
        self._context.check_fields(capacity, changes)

    def _require_other(self, user_id: str) -> None:
        if user_id == self._actor.user_id and not self._actor.is_admin:
            raise Forbidden("You cannot change your own membership. Ask another admin of the organization.")

    async def _add_one(
        self, unit: Unit, repository: OrganizationRepository, body: MembersAdd, one: NewMember
    ) -> OrganizationMember:
        user = await repository.find_person(one.user_id, one.user_email)
        if user is None:
            user = await self._make_user(unit, repository, one)
        elif user.role in _SEES_ALL and not self._actor.is_admin:
            raise Forbidden(f"Only a proxy admin can add a {user.role} to an organization.", param="member")
        if await repository.memberships.find(body.organization_id, user.user_id) is not None:
            raise Conflict(
                f"User {user.user_id} is already in organization {body.organization_id}. "
                "Change them with PATCH /organization/member_update.",
                param="member",
            )
        membership = OrganizationMember(
            organization_id=body.organization_id,
            user_id=user.user_id,
            role=one.role,
            budget_id=await link_budget(unit, None, _budget_of(body.changes())),
            created_at=self._context.now,
            updated_at=self._context.now,
        )
        await repository.memberships.insert(membership)
        unit.audit("created", MEMBERSHIP_TABLE, _id_of(membership), after=membership)
        return membership

    async def _make_user(self, unit: Unit, repository: OrganizationRepository, one: NewMember) -> User:
        if one.user_email is None and not self._actor.is_admin:
            raise NotFound(
                f"User not found, passed user_id={str(one.user_id)[:100]}. Name new people by user_email.",
                param="member",
            )
        user = User(
            user_id=one.user_id or str(uuid.uuid4()),
            user_email=one.user_email,
            email_key=one.user_email.lower() if one.user_email else None,
            user_role=Role.INTERNAL_USER_VIEWER,
            created_at=self._context.now,
            created_by=self._actor.name,
            updated_at=self._context.now,
        )
        await repository.users.insert(user)
        unit.audit("created", USER_TABLE, user.user_id, after=user)
        unit.tell("user", user.user_id)
        return user

    async def _find(self, repository: OrganizationRepository, body: MemberUpdate | MemberDelete) -> OrganizationMember:
        await named(repository, body.organization_id)
        user_id = body.user_id
        if user_id is None:
            user = await repository.find_person(None, body.user_email)
            user_id = user.user_id if user else ""
        membership = await repository.memberships.find(body.organization_id, user_id)
        if membership is None:
            raise NotFound(
                f"User {(body.user_id or body.user_email or '')[:100]} is not in organization {body.organization_id}.",
                param="user_id" if body.user_id else "user_email",
            )
        return membership

    async def _with_spend(self, members: Sequence[Member]) -> SpentMembers:
        scopes = [organization_member_scope(one.membership, one.budget) for one in members]
        spent = await spent_nanos(self._context.services, scopes)
        return SpentMembers([*members], {scope.key: nanos for scope, nanos in zip(scopes, spent, strict=True)})


def _budget_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The member's budget as any other: null clears the limit."""
    if "max_budget_in_organization" not in changes:
        return {}
    return {"max_budget": changes["max_budget_in_organization"]}


def _id_of(membership: OrganizationMember) -> str:
    return f"{membership.organization_id}:{membership.user_id}"
