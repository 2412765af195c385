"""The table `settings`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.rows import Rows
from tollway.db.settings import settings
from tollway.ports.models import StoredSetting


class SettingRow(StoredSetting, frozen=True, kw_only=True):
    """A setting, and who changed it."""

    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None


class SettingRows(Rows[SettingRow]):
    """Settings through one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, settings, SettingRow)

    async def of_section(self, section: str) -> list[SettingRow]:
        """Those of one section."""
        return await self.all(self.table.c.section == section)

    async def remove(self, section: str, name: str) -> None:
        """Forgets one."""
        await self.delete(self.table.c.section == section, self.table.c.name == name)
