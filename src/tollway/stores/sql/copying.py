"""Copies a whole database into another one, of the same kind or not: every table, row by row.

The source is read from one consistent view, in the order of primary keys and in batches, so neither side has to fit
into memory; each batch is a transaction of its own on the target. Whoever copies again writes over what is there, so
that a copy made while gateways served is brought up to date once they have stopped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import LargeBinary, RowMapping, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tollway.core.errors import Conflict
from tollway.db.cached_answers import cached_answers
from tollway.db.engine import is_postgres, reading, writing
from tollway.db.ledger import ledger
from tollway.db.similar import similar_answers
from tollway.db.tables import metadata
from tollway.stores.sql.history import PastMonths

LEFT_BEHIND = (cached_answers, similar_answers)
"""Caches: they fill themselves again, and vectors are kept on Postgres alone."""

TABLES: Sequence[Table] = [table for table in metadata.sorted_tables if table not in LEFT_BEHIND]

Progress = Callable[[str, int, int], None]
"""Told after each batch: the table, how many of its rows are copied, and how many there are."""

_ROWS_AT_ONCE = 1000
_LARGE_ROWS_AT_ONCE = 20
_NUL, _VISIBLE_NUL = "\x00", "\N{SYMBOL FOR NULL}"


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a copy."""

    rows: Mapping[str, int]
    """Of each table."""
    altered: int
    """Rows with a NUL in a text, which Postgres does not store: it is made visible."""


async def filled_tables(engine: AsyncEngine) -> list[str]:
    """The tables that have rows already. Raises `StoreUnavailable`."""
    async with reading(engine) as connection:
        return [table.name for table in TABLES if (await connection.execute(_any_row(table))).first() is not None]


async def copy_rows(source: AsyncEngine, target: AsyncEngine, progress: Progress) -> Copied:
    """Copies all rows into a database with the same schema.

    Raises `StoreUnavailable`, and `Conflict` where the target ends up with other rows than the source has.
    """
    writer = _Writer(target)
    rows: dict[str, int] = {}
    async with reading(source) as view:
        for table in TABLES:
            total = await _count(view, table)
            rows[table.name] = 0
            async for batch in _batches(view, table):
                await writer.write(table, batch)
                rows[table.name] += len(batch)
                progress(table.name, rows[table.name], total)
    await _check_counts(target, rows)
    await _move_sequences(target)
    return Copied(rows=rows, altered=writer.altered)


async def _batches(view: AsyncConnection, table: Table) -> AsyncIterator[Sequence[RowMapping]]:
    is_large = any(isinstance(column.type, LargeBinary) for column in table.columns)
    size = _LARGE_ROWS_AT_ONCE if is_large else _ROWS_AT_ONCE
    ordered = select(table).order_by(*table.primary_key).execution_options(yield_per=size)
    async with view.stream(ordered) as result:
        async for batch in result.mappings().partitions():
            yield batch


class _Writer:
    """Puts rows into the target, over those that are there."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._is_postgres = is_postgres(engine)
        self._months = PastMonths(engine)
        self.altered = 0

    async def write(self, table: Table, batch: Sequence[RowMapping]) -> None:
        rows = [self._storable(row) for row in batch]
        try:
            if table is ledger:
                await self._months.provide(row["started_at"] for row in rows)
            async with writing(self._engine, takes_turns=False) as connection:
                await connection.execute(self._statement(table), rows)
        except IntegrityError as error:
            raise Conflict(
                f"{table.name}: a row of the source stands against another one that the target has: {error.orig}. "
                "Copy into an empty database."
            ) from error

    def _statement(self, table: Table) -> Any:
        made = (postgresql if self._is_postgres else sqlite).insert(table)
        key = list(table.primary_key)
        others = {column.name: made.excluded[column.name] for column in table.columns if column not in key}
        if not others:
            return made.on_conflict_do_nothing()
        return made.on_conflict_do_update(index_elements=key, set_=others)

    def _storable(self, row: RowMapping) -> dict[str, Any]:
        if not self._is_postgres or not any(map(_has_nul, row.values())):
            return dict(row)
        self.altered += 1
        return {name: _visible(value) for name, value in row.items()}


async def _check_counts(target: AsyncEngine, rows: Mapping[str, int]) -> None:
    async with reading(target) as connection:
        found = {table.name: await _count(connection, table) for table in TABLES}
    differing = [f"{name} ({rows[name]:,} and {found[name]:,})" for name in rows if rows[name] != found[name]]
    if differing:
        raise Conflict(
            f"Source and target have different numbers of rows: {', '.join(differing)}. Something was deleted from "
            "the source since an earlier copy, or somebody writes to the target. Copy into an empty database."
        )


async def _move_sequences(target: AsyncEngine) -> None:
    """On Postgres numbers that it gives go on after those that were copied; SQLite sees to that itself."""
    if not is_postgres(target):
        return
    async with writing(target) as connection:
        for table in TABLES:
            column = table.autoincrement_column
            if column is not None:
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                last = select(func.max(column)).scalar_subquery()
                await connection.execute(select(func.setval(sequence, last)).where(last.is_not(None)))


def _any_row(table: Table) -> Any:
    return select(*table.primary_key).limit(1)


async def _count(connection: AsyncConnection, table: Table) -> int:
    return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return _NUL in value
        case dict():
            return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
        case list():
            return any(map(_has_nul, value))
        case _:
            return False


def _visible(value: Any) -> Any:
    match value:
        case str():
            return value.replace(_NUL, _VISIBLE_NUL)
        case dict():
            return {_visible(key): _visible(item) for key, item in value.items()}
        case list():
            return [_visible(item) for item in value]
        case _:
            return value
