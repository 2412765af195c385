"""Proves that the sums beside the ledger follow from its records, or says which do not.

Everything is read from one consistent view, so calls may go on meanwhile: records and their sums arrive together. Two
ordered streams are compared, the stored rows and those made anew, so neither has to fit into memory. A repair adds what
is missing instead of writing what ought to be there, so that what arrived in the meantime stays counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Table, collate, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tollway.core.record import Charge
from tollway.db.engine import is_postgres, reading, writing
from tollway.db.ledger import USAGE_SUMS, daily_totals, daily_usage, ledger, spend_windows, week_of
from tollway.db.partitions import micros_of
from tollway.ports.spend import BY_WEEK
from tollway.ports.verification import BudgetCheck, Difference, TableCheck
from tollway.stores.sql.budgeted import BudgetRules, check_budgets
from tollway.stores.sql.ledger import WINDOW_SUMS, adding
from tollway.stores.sql.records import record_from_row
from tollway.stores.sql.replay import Replayed
from tollway.stores.sql.upkeep import read_horizon

Progress = Callable[[int, int], None]
"""Told now and then: how many records were replayed, and when the last of them started (epoch microseconds)."""

LISTED = 1000
"""Differences of a table that are listed; the others are counted."""

_BATCH = 5000
_REPAIRED_AT_ONCE = 500
_DAY = timedelta(days=1)
_MICROS_PER_DAY = 86_400_000_000
_SUNDAY = timedelta(days=6)
_WEEKLY = frozenset(map(week_of, BY_WEEK))

_Judgement = Literal["whole", "part", "unknown"]
_SUMS: Mapping[str, Sequence[str]] = {
    "spend_windows": WINDOW_SUMS,
    "daily_usage": USAGE_SUMS,
    "daily_totals": USAGE_SUMS,
}
_COUNT: Mapping[str, str] = {"spend_windows": "records", "daily_usage": "calls", "daily_totals": "calls"}
"""The column that only grows with the records."""
TABLES = (spend_windows, daily_usage, daily_totals)


class _Pair(NamedTuple):
    """One key in the two streams."""

    key: tuple[Any, ...]
    stored: tuple[int, ...]
    replayed: tuple[int, ...]
    judgement: _Judgement


class Verifier:
    """One check of one database. Made by `verifying`."""

    def __init__(
        self,
        engine: AsyncEngine,
        connection: AsyncConnection,
        replayed: Replayed,
        *,
        since: date | None,
        until: date | None,
        horizon: int | None,
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._replayed = replayed
        self.dropped_before = None if horizon is None else _day_of(horizon)
        known = [day for day in (since, self.dropped_before) if day is not None]
        self.since = max(known, default=None)
        self.until = until

    async def replay(self, progress: Progress) -> int:
        """Adds up the records, oldest first; how many."""
        query = select(ledger).order_by(*ledger.primary_key)
        if self.since is not None:
            query = query.where(ledger.c.started_at >= micros_of(self.since))
        if self.until is not None:
            query = query.where(ledger.c.started_at < micros_of(self.until + _DAY))
        count = 0
        stream = await self._connection.stream(query.execution_options(yield_per=_BATCH))
        async for rows in stream.partitions():
            self._replayed.add([record_from_row(row) for row in rows])
            count += len(rows)
            progress(count, rows[-1].started_at)
        return count

    async def compare(self, table: Table) -> TableCheck:
        """Compares the stored sums of a table with the replayed ones."""
        names, sums = [str(column.name) for column in table.primary_key], _SUMS[table.name]
        rows = parts = differing = 0
        listed: list[Difference] = []
        async for pair in self._pairs(table):
            rows += pair.judgement == "whole"
            parts += pair.judgement == "part"
            if not _is_different(pair, sums.index(_COUNT[table.name])):
                continue
            differing += 1
            if len(listed) < LISTED:
                listed.append(_difference(str(table.name), dict(zip(names, pair.key, strict=True)), sums, pair))
        return TableCheck(table=str(table.name), rows=rows, parts=parts, differing=differing, differences=listed)

    async def check_budgets(self, rules: BudgetRules) -> BudgetCheck:
        """Compares every budget with what was spent of it in its present window."""
        return await check_budgets(self._connection, self._replayed, rules, is_whole=self._is_whole_window)

    async def compare_counters(self, counters: AsyncIterable[tuple[Charge, int]]) -> TableCheck:
        """Compares live counters (nano-dollars settled in a window) with the replayed sums."""
        rows = parts = differing = 0
        listed: list[Difference] = []
        async for charge, nanos in counters:
            if not self._is_whole_window(charge.window_start):
                parts += 1
                continue
            rows += 1
            found = self._replayed.windows([charge]).get(charge)
            replayed = found.spend_nanos if found is not None else 0
            if replayed == nanos:
                continue
            differing += 1
            if len(listed) < LISTED:
                pair = _Pair((), (nanos,), (replayed,), "whole")
                key: dict[str, str | int] = {
                    "scope_kind": charge.scope_kind,
                    "scope_id": charge.scope_id,
                    "window_start": charge.window_start,
                }
                listed.append(_difference("counters", key, ("spend_nanos",), pair))
        return TableCheck(table="counters", rows=rows, parts=parts, differing=differing, differences=listed)

    async def repair(self, table: Table) -> int:
        """Makes the sums of a table follow from the records, in one transaction; how many rows.

        What is only known in part is left alone. Raises `StoreUnavailable`; then nothing has changed.
        """
        count = 0
        upsert = adding(table, _SUMS[table.name], self._engine.dialect.name)
        statement = str(upsert.compile(dialect=self._engine.dialect))
        async with writing(self._engine, takes_turns=False) as connection:
            async for rows in self._missing(table):
                await connection.exec_driver_sql(statement, rows)
                count += len(rows)
            await connection.execute(delete(table).where(*(table.c[name] == 0 for name in _SUMS[table.name])))
        return count

    async def _missing(self, table: Table) -> AsyncIterator[list[tuple[Any, ...]]]:
        """What to add to which rows, in batches."""
        batch: list[tuple[Any, ...]] = []
        async for pair in self._pairs(table):
            if pair.judgement != "whole" or pair.stored == pair.replayed:
                continue
            missing = (ought - have for have, ought in zip(pair.stored, pair.replayed, strict=True))
            batch.append((*pair.key, *missing))
            if len(batch) == _REPAIRED_AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _pairs(self, table: Table) -> AsyncIterator[_Pair]:
        """Both streams joined by key; what cannot be judged is left out."""
        columns = [column.name for column in table.primary_key]
        width, sums = len(columns), _SUMS[table.name]
        nothing = (0,) * len(sums)
        judge = self._judge(table)
        replayed = self._replayed.rows(table.name, [*columns, *sums])
        ought = next(replayed, None)
        async for have in self._stored(table, [*columns, *sums]):
            while ought is not None and ought[:width] < have[:width]:
                yield _Pair(ought[:width], nothing, ought[width:], judge(ought[:width]))
                ought = next(replayed, None)
            if ought is not None and ought[:width] == have[:width]:
                yield _Pair(have[:width], have[width:], ought[width:], judge(have[:width]))
                ought = next(replayed, None)
            else:
                yield _Pair(have[:width], have[width:], nothing, judge(have[:width]))
        for rest in _rest(ought, replayed):
            yield _Pair(rest[:width], nothing, rest[width:], judge(rest[:width]))

    async def _stored(self, table: Table, columns: Sequence[str]) -> AsyncIterator[tuple[Any, ...]]:
        query = select(*(table.c[name] for name in columns))
        if table is not spend_windows:
            query = query.where(*self._in_span(table))
        keys = [self._by_bytes(column) for column in table.primary_key]
        stream = await self._connection.stream(query.order_by(*keys).execution_options(yield_per=_BATCH))
        async for rows in stream.partitions():
            for row in rows:
                yield tuple(row)

    def _by_bytes(self, column: Any) -> Any:
        # The other stream is in this order, whatever language the database sorts by.
        is_text = column.type.python_type is str
        return collate(column, "C") if is_text and is_postgres(self._engine) else column

    def _in_span(self, table: Table) -> Iterator[Any]:
        if self.since is not None:
            yield table.c.day >= self.since.isoformat()
        if self.until is not None:
            is_earlier = table.c.day <= self.until.isoformat()
            yield or_(is_earlier, table.c.dimension.in_(_WEEKLY)) if table is daily_totals else is_earlier

    def _judge(self, table: Table) -> Callable[[tuple[Any, ...]], _Judgement]:
        if table is spend_windows:
            return lambda key: "whole" if self._is_whole_window(key[2]) else "part"
        if table is daily_totals:
            return lambda key: "whole" if key[0] not in _WEEKLY or self._is_whole_week(key[1]) else "unknown"
        return lambda _key: "whole"

    def _is_whole_window(self, start: int) -> bool:
        # A call counts in the window in which it ended: one that began the day before may be among those not replayed.
        return self.until is None and (self.since is None or start >= micros_of(self.since + _DAY) // 1_000_000)

    def _is_whole_week(self, monday: str) -> bool:
        first = date.fromisoformat(monday)
        begins = self.since is None or first >= self.since
        return begins and (self.until is None or first + _SUNDAY <= self.until)


@asynccontextmanager
async def verifying(engine: AsyncEngine, *, since: date | None, until: date | None) -> AsyncIterator[Verifier]:
    """A check of days in UTC, both included, as the database is now. Raises `StoreUnavailable`."""
    async with reading(engine) as connection:
        with closing(Replayed()) as replayed:
            horizon = await read_horizon(connection)
            yield Verifier(engine, connection, replayed, since=since, until=until, horizon=horizon)


def _rest(first: tuple[Any, ...] | None, others: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    if first is not None:
        yield first
        yield from others


def _is_different(pair: _Pair, count: int) -> bool:
    """`count`: the place among the sums of the one that counts records."""
    match pair.judgement:
        case "whole":
            return pair.stored != pair.replayed
        case "part":
            return pair.stored[count] < pair.replayed[count]
        case "unknown":
            return False


def _difference(table: str, key: Mapping[str, str | int], sums: Sequence[str], pair: _Pair) -> Difference:
    differing = [
        (name, have, ought) for name, have, ought in zip(sums, pair.stored, pair.replayed, strict=True) if have != ought
    ]
    return Difference(
        table=table,
        key=key,
        stored={name: have for name, have, _ in differing},
        replayed={name: ought for name, _, ought in differing},
        is_part=pair.judgement == "part",
    )


def _day_of(micros: int) -> date:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).date()
