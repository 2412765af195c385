"""What can be done with invitations, and who may do it."""

from __future__ import annotations

import secrets
from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.invitations.repository import Invitation, InvitationRepository
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.people import ADMIN_ROLES, UserRows
from tollway.core.errors import Forbidden, NotFound
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.stores.sql.rows import User

_LIFETIME = timedelta(days=7)
_ID_BYTES = 24


class InvitationService:
    """Invitations, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor

    async def create(self, user_id: str) -> Invitation:
        """Invites a user to choose a password. Raises `NotFound`, `Forbidden`."""
        context = self._context
        invitation = Invitation(
            id=secrets.token_urlsafe(_ID_BYTES),
            user_id=user_id,
            expires_at=context.now + _LIFETIME,
            created_at=context.now,
            created_by=self._actor.name,
            updated_at=context.now,
            updated_by=self._actor.name,
        )
        async with changing(context) as unit:
            await self._require_over(unit.connection, user_id)
            await InvitationRepository(unit.connection).insert(invitation)
            _note(unit, "created", None, invitation)
        return invitation

    async def find(self, invitation_id: str) -> Invitation:
        """An invitation. Raises `NotFound`, `Forbidden`."""
        async with reading(self._services.engine) as connection:
            return await self._own(connection, invitation_id)

    async def set_accepted(self, invitation_id: str, *, is_accepted: bool) -> Invitation:
        """Says whether an invitation was accepted. Raises `NotFound`, `Forbidden`."""
        now = self._context.now
        async with changing(self._context) as unit:
            before = await self._own(unit.connection, invitation_id)
            after = msgspec.structs.replace(
                before,
                is_accepted=is_accepted,
                accepted_at=(before.accepted_at or now) if is_accepted else None,
                updated_at=now,
                updated_by=self._actor.name,
            )
            await InvitationRepository(unit.connection).replace(after)
            _note(unit, "updated", before, after)
        return after

    async def delete(self, invitation_id: str) -> Invitation:
        """Takes an invitation back; the one that was. Raises `NotFound`, `Forbidden`."""
        async with changing(self._context) as unit:
            invitation = await self._own(unit.connection, invitation_id)
            rows = InvitationRepository(unit.connection)
            await rows.delete(rows.table.c.id == invitation_id)
            _note(unit, "deleted", invitation, None)
        return invitation

    async def _own(self, connection: AsyncConnection, invitation_id: str) -> Invitation:
        invitation = await InvitationRepository(connection).find(invitation_id)
        if invitation is None:
            raise NotFound("Invitation not found.", param="invitation_id")
        await self._require_over(connection, invitation.user_id)
        return invitation

    async def _require_over(self, connection: AsyncConnection, user_id: str) -> None:
        user = await UserRows(connection).named(user_id)
        if self._actor.is_admin:
            return
        has_password = await InvitationRepository(connection).has_password(user_id)
        if has_password or not await self._is_theirs(connection, user):
            raise Forbidden(
                "You may invite people of your own organization or team who have not chosen a password yet. "
                f"Your role={self._actor.role}",
                param="user_id",
            )

    async def _is_theirs(self, connection: AsyncConnection, user: User) -> bool:
        users = UserRows(connection)
        if self._actor.role is Role.PROXY_ADMIN_VIEWER or user.role in ADMIN_ROLES:
            return False
        if await users.capacity_over(self._actor, user) is Role.ORG_ADMIN:
            return True
        teams = (await users.teams_of([user.user_id]))[user.user_id]
        organizations = (await users.organizations_of([user.user_id]))[user.user_id]
        return bool(teams) and self._actor.administered_teams.issuperset(teams) and not organizations


def _note(unit: Unit, action: str, before: Invitation | None, after: Invitation | None) -> None:
    # Without the id: it opens the account, and the audit log is read by many.
    named = after or before
    assert named is not None
    documents = [one and _without_id(one) for one in (before, after)]
    unit.audit(action, "LiteLLM_InvitationLink", named.user_id, before=documents[0], after=documents[1])


def _without_id(invitation: Invitation) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(invitation).items() if name != "id"}
