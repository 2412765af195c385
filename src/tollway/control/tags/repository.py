"""Every query of `/tag/*`. Nothing commits here."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.rows import Rows
from tollway.db.tags import tags
from tollway.stores.sql.rows import Tag


class TagRepository(Rows[Tag]):
    """Tags through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, tags, Tag)

    async def find_all(self, names: list[str]) -> dict[str, Tag]:
        """Tags by name; unknown ones are left out."""
        return {one.name: one for one in await self.all(tags.c.name.in_(names))}
