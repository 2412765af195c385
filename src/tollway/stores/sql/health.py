"""`HealthStore` on SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from tollway.core.health import Checked
from tollway.db.engine import reading, writing
from tollway.db.health import health_checks
from tollway.ports.health import CheckFilter, HealthStore

_columns = health_checks.c


class SqlHealthStore(HealthStore):
    """Results in the table of that name."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @override
    async def add(self, results: Sequence[Checked]) -> None:
        if not results:
            return
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(insert(health_checks), [msgspec.structs.asdict(one) for one in results])

    @override
    async def latest(self) -> list[Checked]:
        newest = (
            select(_columns.model_id, func.max(_columns.checked_at).label("checked_at"))
            .group_by(_columns.model_id)
            .subquery()
        )
        is_newest = and_(_columns.model_id == newest.c.model_id, _columns.checked_at == newest.c.checked_at)
        query = select(health_checks).join(newest, is_newest).order_by(_columns.model_id, _columns.health_check_id)
        async with reading(self._engine) as connection:
            return list({row.model_id: _checked(row) for row in await connection.execute(query)}.values())

    @override
    async def page(self, matching: CheckFilter, *, limit: int, offset: int) -> tuple[list[Checked], int]:
        conditions: list[ColumnElement[bool]] = []
        if matching.model_name is not None:
            conditions.append(_columns.model_name == matching.model_name)
        if matching.is_healthy is not None:
            conditions.append(_columns.is_healthy.is_(matching.is_healthy))
        order = (_columns.checked_at.desc(), _columns.health_check_id.desc())
        query = select(health_checks).where(*conditions).order_by(*order).limit(limit).offset(offset)
        total = select(func.count()).select_from(health_checks).where(*conditions)
        async with reading(self._engine) as connection:
            rows = [_checked(row) for row in await connection.execute(query)]
            return rows, (await connection.execute(total)).scalar_one()

    @override
    async def forget(self, *, before_us: int) -> None:
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(delete(health_checks).where(_columns.checked_at < before_us))


def _checked(row: Row[Any]) -> Checked:
    return Checked(**row._mapping)
