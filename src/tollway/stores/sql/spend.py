"""`ports.spend.SpendReader` on SQLite or Postgres: records, and sums over the daily rollups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, Table, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.db.engine import reading
from tollway.db.ledger import ROLLED_TOKENS, USAGE_SUMS, daily_totals, daily_usage
from tollway.ports.spend import (
    Days,
    Dimension,
    RecordFilter,
    RecordPage,
    RecordSort,
    SpendSum,
    TotalColumn,
    UsageColumn,
)
from tollway.stores.sql.ledger import read_window_spend
from tollway.stores.sql.records import LOOKED_THROUGH, count_in_index, record_from_row, select_page


class SqlSpendReader:
    """Answers from one engine. Every method raises `StoreUnavailable` when the database cannot answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def window_spend(self, charges: Sequence[Charge]) -> list[int]:
        """Nano-dollars spent in each of these windows."""
        return await read_window_spend(self._engine, charges)

    async def list_records(self, matching: RecordFilter, *, limit: int, offset: int = 0) -> list[Record]:
        """Newest first."""
        queries = select_page(matching, limit=limit, offset=offset)
        return [record_from_row(row) for row in await self._rows(queries.page)]

    async def page_records(
        self,
        matching: RecordFilter,
        *,
        limit: int,
        offset: int = 0,
        sort_by: RecordSort = "started_at",
        is_descending: bool = True,
    ) -> RecordPage:
        """A page in any order. What no index finds is looked for among the newest records only."""
        queries = select_page(matching, limit=limit, offset=offset, sort_by=sort_by, is_descending=is_descending)
        async with reading(self._engine) as connection:
            records = [record_from_row(row) for row in await connection.execute(queries.page)]
            total, looked = (await connection.execute(queries.count)).one()
        return RecordPage(records=records, total=total, is_complete=looked < LOOKED_THROUGH)

    async def count_calls(self, matching: RecordFilter) -> int:
        """Calls and imports of one entity, or of all, in a span of time. Reads an index: meant for less than a day."""
        ((count,),) = await self._rows(count_in_index(matching))
        return int(count)

    async def sum_usage(
        self,
        days: Days | None,
        dimension: Dimension = "all",
        entities: Sequence[str] = ("",),
        *,
        by: Sequence[UsageColumn] = (),
        where: Mapping[UsageColumn, str] | None = None,
    ) -> list[SpendSum]:
        """Usage of some entities by model, dearest first; days None: ever. Without `by`, one sum over everything."""
        conditions = [*_within(daily_usage, days), daily_usage.c.entity.in_(entities)]
        return await self._sums(daily_usage, dimension, conditions, by, where)

    async def sum_totals(
        self,
        days: Days,
        dimension: Dimension,
        *,
        by: Sequence[TotalColumn] = ("entity",),
        where: Mapping[TotalColumn, str] | None = None,
        entities: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[SpendSum]:
        """Usage of all entities of a dimension, or of those given, dearest first."""
        conditions = _within(daily_totals, days)
        if entities is not None:
            conditions.append(daily_totals.c.entity.in_(entities))
        return await self._sums(daily_totals, dimension, conditions, by, where, limit=limit)

    async def list_entities(self, dimension: Dimension, *, limit: int) -> list[str]:
        """Entities that ever appeared in a call, in order of name."""
        return [entity for (entity,) in await self._rows(select_entities(dimension).limit(limit))]

    async def _sums(
        self,
        table: Table,
        dimension: Dimension,
        conditions: Sequence[ColumnElement[bool]],
        by: Sequence[str],
        where: Mapping[Any, str] | None,
        *,
        limit: int | None = None,
    ) -> list[SpendSum]:
        groups = [table.c[name] for name in by]
        chosen = [table.c[name] == value for name, value in (where or {}).items()]
        # Postgres sums bigint to numeric; the cast keeps integers integers.
        sums = [cast(func.coalesce(func.sum(table.c[name]), 0), BigInteger).label(name) for name in USAGE_SUMS]
        query = select(*groups, *sums).where(table.c.dimension == dimension, *conditions, *chosen).group_by(*groups)
        if groups:
            query = query.order_by(func.sum(table.c.spend_nanos).desc(), *groups)
        return [_spend_sum(row) for row in await self._rows(query.limit(limit))]

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with reading(self._engine) as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows


def select_entities(dimension: Dimension) -> Select[Any]:
    """Distinct entities, one step in the index for each: rows between them are not read."""
    usage = daily_usage
    first = select(func.min(usage.c.entity).label("entity")).where(usage.c.dimension == dimension)
    found = first.cte("found", recursive=True)
    following = select(func.min(usage.c.entity)).where(usage.c.dimension == dimension, usage.c.entity > found.c.entity)
    steps = found.union_all(select(following.correlate(found).scalar_subquery()).where(found.c.entity.is_not(None)))
    return select(steps.c.entity).where(steps.c.entity.is_not(None)).order_by(literal(1))


def _within(table: Table, days: Days | None) -> list[ColumnElement[bool]]:
    return [] if days is None else [table.c.day.between(days.first.isoformat(), days.last.isoformat())]


def _spend_sum(row: Sequence[Any]) -> SpendSum:
    split = len(row) - len(USAGE_SUMS)
    sums = dict(zip(USAGE_SUMS, row[split:], strict=True))
    usage = Usage(**{name: sums.pop(name) for name in ROLLED_TOKENS})
    return SpendSum(group=tuple(row[:split]), usage=usage, **sums)
