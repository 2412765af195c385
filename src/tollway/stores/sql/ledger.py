"""The ledger in a database: adds records, and the sums kept beside them.

Records arrive in batches from the journal's flusher, which makes this the one place where the database costs CPU per
call. So rows are handed to the driver as tuples, in the order of the table's columns, with a statement compiled once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tollway.core.errors import InvalidRequest
from tollway.core.record import Charge, Record
from tollway.db.engine import is_postgres, reading, writing
from tollway.db.ledger import TOKEN_CLASSES, USAGE_SUMS, daily_totals, daily_usage, ledger, spend_windows
from tollway.ports.ledger import Retention, Unstorable, WindowSum
from tollway.stores.sql.customers import add_served
from tollway.stores.sql.rollups import Values, rollup_rows
from tollway.stores.sql.sessions import add_sessions, session_rows
from tollway.stores.sql.upkeep import maintain

_USAGE_COLUMNS = (*TOKEN_CLASSES, "is_estimated")
_DOCUMENTS = ("tags", "charges", "metadata")
"""The last columns of the table: those that are JSON text there and something else in a record."""
_PLAIN_COLUMNS = tuple(column.name for column in ledger.columns if column.name not in _DOCUMENTS)
_plain_values = attrgetter(*(f"usage.{name}" if name in _USAGE_COLUMNS else name for name in _PLAIN_COLUMNS))
_record_key = attrgetter("started_at", "record_id")

WINDOW_KEY = ("scope_kind", "scope_id", "window_start")
WINDOW_SUMS = ("spend_nanos", "records")
_NOTHING = WindowSum()


class _Statements(NamedTuple):
    """How rows are added to each table."""

    records: str
    windows: str
    usage: str
    totals: str
    sessions: str


_made: dict[str, _Statements] = {}
"""By dialect; as text, made once."""


def _statements(dialect: Dialect) -> _Statements:
    name = dialect.name
    if name not in _made:
        statements = (
            insert(ledger),
            adding(spend_windows, WINDOW_SUMS, name),
            adding(daily_usage, USAGE_SUMS, name),
            adding(daily_totals, USAGE_SUMS, name),
            add_sessions(name == "postgresql"),
        )
        _made[name] = _Statements(*(str(one.compile(dialect=dialect)) for one in statements))
    return _made[name]


class SqlLedgerStore:
    """`ports.ledger.LedgerStore` on SQLite or Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._adding = _statements(engine.dialect)

    async def insert(self, records: Sequence[Record]) -> int:
        """Adds records that are not there yet and their sums, in one transaction; how many were new.

        Raises `StoreUnavailable` when that may succeed later, `Unstorable` when it never will.
        """
        batch = sorted({_record_key(record): record for record in records}.values(), key=_record_key)
        if not batch:
            return 0
        with _refusals_reported():
            try:
                return await self._insert(batch)
            except InvalidRequest:
                return await self._insert([_without_nul(record) for record in batch])

    async def _insert(self, batch: list[Record]) -> int:
        try:
            async with writing(self._engine, takes_turns=False) as connection:
                await self._add(connection, batch)
        except IntegrityError:
            # Some are there already: a journal is being replayed.
            return await self._insert_missing(batch)
        return len(batch)

    async def _insert_missing(self, batch: list[Record]) -> int:
        # Should another process add one of them in between, this fails as a whole: nothing is ever counted twice.
        async with writing(self._engine, takes_turns=False) as connection:
            keys = [_record_key(record) for record in batch]
            present = select(*ledger.primary_key).where(tuple_(*ledger.primary_key).in_(keys))
            known = {tuple(row) for row in await connection.execute(present)}
            missing = [record for record in batch if _record_key(record) not in known]
            if missing:
                await self._add(connection, missing)
            return len(missing)

    async def _add(self, connection: AsyncConnection, batch: list[Record]) -> None:
        # Sums are added in the order of their keys, so that two workers cannot deadlock each other.
        await connection.exec_driver_sql(self._adding.records, [ledger_row(record) for record in batch])
        usage, totals = rollup_rows(batch)
        sums = (
            (self._adding.windows, _window_rows(batch)),
            (self._adding.usage, usage),
            (self._adding.totals, totals),
            (self._adding.sessions, session_rows(batch)),
        )
        for statement, rows in sums:
            if rows:
                await connection.exec_driver_sql(statement, rows)
        await add_served(connection, batch)

    async def window_sums(self, charges: Sequence[Charge]) -> list[WindowSum]:
        """What was settled in each of these windows. Raises `StoreUnavailable`."""
        return await read_window_sums(self._engine, charges)

    async def maintain(self, now: float, retention: Retention | None) -> bool:
        """Does one short step of the upkeep that is due; whether more may be. Raises `StoreUnavailable`."""
        return await maintain(self._engine, now, retention)


def adding(table: Table, sums: Sequence[str], dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Inserts a row, or adds to the sums of the row that is there."""
    statement: postgresql.Insert | sqlite.Insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: table.c[name] + statement.excluded[name] for name in sums},
    )


async def read_window_sums(engine: AsyncEngine, charges: Sequence[Charge]) -> list[WindowSum]:
    """What was settled in each of these windows. Raises `StoreUnavailable`."""
    columns = [spend_windows.c[name] for name in WINDOW_KEY]
    # Names with NUL: the one that was stored counts, see `_without_nul`.
    shown = map(_visible, charges) if is_postgres(engine) else charges
    wanted = [msgspec.structs.astuple(charge) for charge in shown]
    if not wanted:
        return []
    sums = [spend_windows.c[name] for name in WINDOW_SUMS]
    query = select(*columns, *sums).where(tuple_(*columns).in_(wanted))
    async with reading(engine) as connection:
        found = {tuple(key): WindowSum(nanos, calls) for *key, nanos, calls in await connection.execute(query)}
    return [found.get(key, _NOTHING) for key in wanted]


@contextmanager
def _refusals_reported() -> Iterator[None]:
    """Turns a database's ways of refusing a value (an integer or a character it cannot store) into `Unstorable`."""
    try:
        yield
    except (InvalidRequest, IntegrityError) as error:
        raise Unstorable(type(error).__name__) from error


def _without_nul(record: Record) -> Record:
    """The record with NUL made visible in its texts: SQLite stores it, Postgres does not."""
    values = {name: _visible(value) for name, value in msgspec.structs.asdict(record).items()}
    return Record(**values)


def _visible(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", "\N{SYMBOL FOR NULL}")
        case bytes():
            return value.replace(b"\x00", "\N{SYMBOL FOR NULL}".encode())
        case Charge():
            return Charge(value.scope_kind, _visible(value.scope_id), value.window_start)
        case tuple():
            return tuple(_visible(item) for item in value)
        case _:
            return value


def ledger_row(record: Record) -> Values:
    """The values of a record, in the order of the table's columns."""
    documents = (_json(record.tags), _json(record.charges), record.metadata.decode(errors="replace"))
    return (*_plain_values(record), *documents)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _window_rows(batch: Iterable[Record]) -> list[Values]:
    sums: defaultdict[Values, list[int]] = defaultdict(lambda: [0, 0])
    for record in batch:
        for charge in record.charges:
            window = sums[charge.scope_kind, charge.scope_id, charge.window_start]
            window[0] += record.cost_nanos
            window[1] += record.kind == "call"
    return [(*key, *sums[key]) for key in sorted(sums)]
