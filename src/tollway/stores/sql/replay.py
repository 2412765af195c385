"""Sums made anew from the ledger's records, in a private file of SQLite that is gone when it is closed.

So they take disk and not memory, however many there are: of ten million records, every key's every day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, Row, Table, Text, create_engine, func, select, tuple_
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import StaticPool

from tollway.core.record import Charge, Record
from tollway.db.ledger import USAGE_SUMS, daily_totals, daily_usage
from tollway.stores.sql.ledger import WINDOW_KEY, adding
from tollway.stores.sql.rollups import Values, rollup_rows

_scratch = MetaData()
_usage = daily_usage.to_metadata(_scratch)
_totals = daily_totals.to_metadata(_scratch)
_windows = Table(
    "spend_windows",
    _scratch,
    Column("scope_kind", Text, primary_key=True),
    Column("scope_id", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger) for name in ("spend_nanos", "records", "dearest_nanos", "unlimited_nanos")),
    sqlite_with_rowid=False,
)
_PRAGMAS = ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-65536")


class Replayed:
    """What the sums ought to be. Not for use by several tasks; a call may take some milliseconds."""

    def __init__(self) -> None:
        engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(""), poolclass=StaticPool)
        self._engine = engine
        self._connection = engine.connect()
        for pragma in _PRAGMAS:
            self._connection.exec_driver_sql(pragma)
        _scratch.create_all(self._connection)
        dialect = engine.dialect
        windows = sqlite.insert(_windows)
        sums = {
            name: _windows.c[name] + windows.excluded[name] for name in ("spend_nanos", "records", "unlimited_nanos")
        }
        dearest = func.max(_windows.c.dearest_nanos, windows.excluded.dearest_nanos)
        upsert = windows.on_conflict_do_update(
            index_elements=list(_windows.primary_key), set_={**sums, "dearest_nanos": dearest}
        )
        self._add_windows = str(upsert.compile(dialect=dialect))
        self._add_usage = str(adding(_usage, USAGE_SUMS, dialect.name).compile(dialect=dialect))
        self._add_totals = str(adding(_totals, USAGE_SUMS, dialect.name).compile(dialect=dialect))

    def add(self, records: Sequence[Record]) -> None:
        """Counts these records."""
        usage, totals = rollup_rows(records)
        rows = ((self._add_windows, _window_rows(records)), (self._add_usage, usage), (self._add_totals, totals))
        for statement, values in rows:
            if values:
                self._connection.exec_driver_sql(statement, values)

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """These columns of every row of a table, in the order of its primary key, compared byte by byte."""
        made = _scratch.tables[table]
        query = select(*(made.c[name] for name in columns)).order_by(*made.primary_key)
        with self._connection.execution_options(yield_per=5000).execute(query) as result:
            for row in result:
                yield tuple(row)

    def windows(self, charges: Sequence[Charge]) -> dict[Charge, Row[Any]]:
        """Those of these windows that records were charged to."""
        key = [_windows.c[name] for name in WINDOW_KEY]
        wanted = [(charge.scope_kind, charge.scope_id, charge.window_start) for charge in charges]
        if not wanted:
            return {}
        found = self._connection.execute(select(_windows).where(tuple_(*key).in_(wanted)))
        return {Charge(row.scope_kind, row.scope_id, row.window_start): row for row in found}

    def close(self) -> None:
        """Gives the file up."""
        self._connection.close()
        self._engine.dispose()


def _window_rows(records: Iterable[Record]) -> list[Values]:
    sums: dict[Charge, list[int]] = {}
    for record in records:
        cost = record.cost_nanos
        for charge in record.charges:
            is_unlimited = record.kind != "call" or (charge.scope_kind == "user" and bool(record.team_id))
            unlimited, dearest = (cost, 0) if is_unlimited else (0, max(cost, 0))
            window = sums.setdefault(charge, [0, 0, 0, 0])
            window[0] += cost
            window[1] += record.kind == "call"
            window[2] = max(window[2], dearest)
            window[3] += unlimited
    return [(charge.scope_kind, charge.scope_id, charge.window_start, *sums[charge]) for charge in sums]
