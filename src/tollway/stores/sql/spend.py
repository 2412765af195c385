"""`ports.spend.SpendReader` on SQLite or Postgres: records, and sums over the daily rollups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Row,
    Select,
    Table,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.db.engine import reading
from tollway.db.ledger import USAGE_SUMS, daily_totals, daily_usage, week_of
from tollway.ports.spend import (
    BY_WEEK,
    Days,
    Dimension,
    Owner,
    RecordFilter,
    RecordPage,
    RecordSort,
    SpendSum,
    Sum,
    TotalColumn,
    UsageColumn,
    UsageRow,
)
from tollway.stores.sql.ledger import read_window_sums
from tollway.stores.sql.records import (
    LOOKED_THROUGH,
    count_in_index,
    record_from_row,
    select_last_calls,
    select_page,
    sum_end_users,
    tagged_usage,
)

_MANY = frozenset((*BY_WEEK, *map(week_of, BY_WEEK)))
"""Dimensions in which a few entities are a small part of each day's rows."""
_FEW_DATES = 600
"""So many can be named in a statement: all days of a year, or all weeks of ten."""
_KEYS_PER_QUERY = 100
"""SQLite bounds the parts of a compound query."""


class SqlSpendReader:
    """Answers from one engine. Every method raises `StoreUnavailable` when the database cannot answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def window_spend(self, charges: Sequence[Charge]) -> list[int]:
        """Nano-dollars spent in each of these windows."""
        return [found.nanos for found in await read_window_sums(self._engine, charges)]

    async def list_records(
        self, matching: RecordFilter, *, limit: int, offset: int = 0, is_descending: bool = True
    ) -> list[Record]:
        """Newest first, or oldest first."""
        queries = select_page(matching, limit=limit, offset=offset, is_descending=is_descending)
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

    async def last_calls(self, key_hashes: Sequence[str]) -> dict[str, int]:
        """When the last call of each key ended, in epoch microseconds; keys without calls are left out."""
        found: dict[str, int] = {}
        for start in range(0, len(key_hashes), _KEYS_PER_QUERY):
            query = select_last_calls(key_hashes[start : start + _KEYS_PER_QUERY])
            found |= {row.key_hash: row.ended_at for row in await self._rows(query)}
        return found

    async def rank_end_users(self, matching: RecordFilter, *, limit: int) -> tuple[list[tuple[str, int, int]], bool]:
        """Customers of the newest matching records with calls and nano-dollars, dearest first; False: not of all."""
        queries = sum_end_users(matching, limit=limit)
        async with reading(self._engine) as connection:
            ranked = [(name, calls, int(nanos)) for name, calls, nanos in await connection.execute(queries.page)]
            _, looked = (await connection.execute(queries.count)).one()
        return ranked, looked < LOOKED_THROUGH

    async def sum_usage(
        self,
        days: Days | None,
        dimension: Dimension = "all",
        entities: Sequence[str] = ("",),
        *,
        by: Sequence[UsageColumn] = (),
        owners: Mapping[Owner, Sequence[str]] | None = None,
        models: str | None = None,
        only: Sequence[Sum] | None = None,
    ) -> list[SpendSum]:
        """Usage of some entities, dearest first; days None: ever. Without `by`, one sum over everything."""
        conditions = _conditions(daily_usage, dimension, days, entities, owners)
        if models is not None:
            conditions.append(or_(daily_usage.c.model_group == models, daily_usage.c.model == models))
        return await self._sums(daily_usage, conditions, by, only)

    async def sum_totals(
        self,
        days: Days,
        dimension: Dimension,
        *,
        by: Sequence[TotalColumn] = ("entity",),
        entities: Sequence[str] | None = None,
        owners: Mapping[Owner, Sequence[str]] | None = None,
        only: Sequence[Sum] | None = None,
        limit: int | None = None,
    ) -> list[SpendSum]:
        """Usage of all entities of a dimension, or of those given, all models together, dearest first."""
        parts = list(_rows_of(dimension, days, by_week="day" not in by))
        conditions = [_of_totals(part, dates, entities, owners) for part, dates in parts]
        if len(parts) == 1:
            return await self._sums(daily_totals, conditions[0], by, only, limit=limit)
        names: list[str] = [*by, *(only or USAGE_SUMS)]
        columns = [daily_totals.c[name] for name in names]
        rows = union_all(*(select(*columns).where(*of_part) for of_part in conditions)).subquery()
        return await self._sums(rows, (), by, only, limit=limit)

    async def sum_tagged(
        self,
        matching: RecordFilter,
        dimension: Literal["tag", "any_tag"],
        entities: Sequence[str] | None = None,
        *,
        by: Sequence[UsageColumn] = (),
        models: str | None = None,
    ) -> tuple[list[SpendSum], bool]:
        """Usage under tags by the newest matching records, dearest first unless by day; False: not of all."""
        is_by_tag = dimension == "tag"
        usage, looked = tagged_usage(matching, dialect=self._engine.dialect.name, is_by_tag=is_by_tag)
        conditions: list[ColumnElement[bool]] = []
        if is_by_tag and entities is not None:
            conditions.append(usage.c.entity.in_(entities))
        if models is not None:
            conditions.append(or_(usage.c.model_group == models, usage.c.model == models))
        ((count,),) = await self._rows(select(func.count()).select_from(looked))
        return await self._sums(usage, conditions, by, None), int(count) < LOOKED_THROUGH

    async def list_usage(self, days: Days, dimension: Dimension, entities: Sequence[str]) -> Sequence[UsageRow]:
        """Usage of some entities as it is kept, in no order; a model may have several rows."""
        columns = daily_usage.c
        tokens = columns.input_tokens + columns.output_tokens
        query = select(columns.day, columns.entity, columns.model, columns.spend_nanos, tokens)
        matching = query.where(*_conditions(daily_usage, dimension, days, entities, None))
        async with reading(self._engine) as connection:
            return (await connection.execute(matching)).all()

    async def list_entities(self, dimension: Dimension, *, limit: int) -> list[str]:
        """Entities that ever appeared in a call, in order of name."""
        return [entity for (entity,) in await self._rows(select_entities(dimension).limit(limit))]

    async def _sums(
        self,
        table: FromClause,
        conditions: Sequence[ColumnElement[bool]],
        by: Sequence[str],
        only: Sequence[Sum] | None,
        *,
        limit: int | None = None,
    ) -> list[SpendSum]:
        groups, names = [table.c[name] for name in by], only or USAGE_SUMS
        # Postgres sums bigint to numeric; the cast keeps integers integers.
        sums = [cast(func.coalesce(func.sum(table.c[name]), 0), BigInteger).label(name) for name in names]
        query = select(*groups, *sums).where(*conditions).group_by(*groups)
        if groups and "day" not in by:  # days have an order of their own, and sorting costs
            query = query.order_by(func.sum(table.c.spend_nanos).desc(), *groups)
        return list(map(_reads(len(by), names), await self._rows(query.limit(limit))))

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


def _rows_of(dimension: Dimension, days: Days, *, by_week: bool) -> Iterable[tuple[str, range]]:
    """Dimension and dates of the rows that make up these days: whole weeks if there are sums of them, and the rest."""
    # Counted in days: at the ends of the calendar there are dates without a Monday after them or a Sunday before.
    first, end = days.first.toordinal(), days.last.toordinal() + 1
    monday, next_monday = first + -days.first.weekday() % 7, end - (days.last.weekday() + 1) % 7
    if not by_week or dimension not in BY_WEEK or next_monday <= monday:
        yield dimension, range(first, end)
        return
    if first < monday:
        yield dimension, range(first, monday)
    yield week_of(dimension), range(monday, next_monday, 7)
    if next_monday < end:
        yield dimension, range(next_monday, end)


def _of_totals(
    dimension: str, dates: range, entities: Sequence[str] | None, owners: Mapping[Owner, Sequence[str]] | None
) -> list[ColumnElement[bool]]:
    columns = daily_totals.c
    conditions = _conditions(daily_totals, dimension, None, entities, None)
    # Owners are tested and not looked up: they come last in the index, and SQLite would look up each pair of values.
    conditions += [func.coalesce(columns[name], "").in_(values) for name, values in (owners or {}).items()]
    if entities is not None and dimension in _MANY and len(dates) <= _FEW_DATES:
        # The day comes before the entity in the index: when each day is named, rows of other entities are not read.
        return [*conditions, columns.day.in_([_iso(number) for number in dates])]
    return [*conditions, columns.day.between(_iso(dates[0]), _iso(dates[-1]))]


def _iso(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def _conditions(
    table: Table,
    dimension: str,
    days: Days | None,
    entities: Sequence[str] | None,
    owners: Mapping[Owner, Sequence[str]] | None,
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [table.c.dimension == dimension]
    if days is not None:
        conditions.append(table.c.day.between(days.first.isoformat(), days.last.isoformat()))
    if entities is not None:
        conditions.append(table.c.entity.in_(entities))
    return conditions + [table.c[name].in_(values) for name, values in (owners or {}).items()]


def _reads(grouped: int, names: Sequence[str]) -> Callable[[Row[Any]], SpendSum]:
    """What makes a sum of a row: so many columns of its group, then the sums of these names.

    Fields are named one by one, because there may be thousands of rows and passing a dict takes four times as long.
    """
    places = {name: grouped + place for place, name in enumerate(names)}
    nothing = grouped + len(names)  # where a nought is put, for sums that were not asked for
    spend, calls, failures, limited, prompt, read_, written, written_1h, output, response_ms, timed = (
        places.get(name, nothing) for name in USAGE_SUMS
    )

    def read(row: Row[Any]) -> SpendSum:
        values: tuple[Any, ...] = (*row, 0)
        return SpendSum(
            group=values[:grouped],
            spend_nanos=values[spend],
            calls=values[calls],
            failures=values[failures],
            rate_limited=values[limited],
            usage=Usage(
                input_tokens=values[prompt],
                cache_read_tokens=values[read_],
                cache_write_tokens=values[written],
                cache_write_1h_tokens=values[written_1h],
                output_tokens=values[output],
            ),
            response_ms=values[response_ms],
            timed_calls=values[timed],
        )

    return read
