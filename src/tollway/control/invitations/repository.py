"""Every query of `/invitation/*`. Nothing commits here."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.rows import Rows
from tollway.db.users import invitations, users
from tollway.stores.sql.rows import Tracked


class Invitation(Tracked, frozen=True, kw_only=True):
    """One row of `invitations`."""

    id: str
    user_id: str
    is_accepted: bool = False
    accepted_at: datetime | None = None
    expires_at: datetime


class InvitationRepository(Rows[Invitation]):
    """Invitations through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, invitations, Invitation)

    async def has_password(self, user_id: str) -> bool:
        """Whether the user has chosen a password."""
        query = select(users.c.password_hash).where(users.c.user_id == user_id)
        return (await self.connection.execute(query)).scalar_one_or_none() is not None
