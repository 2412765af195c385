"""`ModelStore` on SQL."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from tollway.db.engine import reading
from tollway.db.models import credentials, models
from tollway.db.settings import settings
from tollway.ports.models import ModelStore, Stored, StoredCredential, StoredModel, StoredSetting
from tollway.stores.sql.limited import from_row

RowT = TypeVar("RowT", StoredModel, StoredCredential, StoredSetting)


class SqlModelStore(ModelStore):
    """Models, credentials and settings in the tables of those names."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @override
    async def load(self) -> Stored:
        """One consistent view, in the order they were made, which is the order of deployments in a group."""
        async with reading(self._engine) as connection:

            async def rows(table: Table, kind: type[RowT], key: ColumnElement[str]) -> tuple[RowT, ...]:
                found = await connection.execute(select(table).order_by(table.c.created_at, key))
                return tuple(from_row(kind, row) for row in found)

            return Stored(
                models=await rows(models, StoredModel, models.c.model_id),
                credentials=await rows(credentials, StoredCredential, credentials.c.credential_name),
                settings=await rows(settings, StoredSetting, settings.c.name),
            )
