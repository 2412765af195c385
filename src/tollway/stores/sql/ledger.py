"""The ledger in a database: records, the two sums kept beside them, and the questions reports ask.

Records arrive in batches from the journal's flusher, which makes this the one place where the database costs CPU per
call. So rows are handed to the driver as tuples, in the order of the table's columns, with a statement compiled once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from operator import add, attrgetter
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Table,
    and_,
    cast,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tollway.core.ids import made_at_ms
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.db.engine import reading, writing
from tollway.db.ledger import TOKEN_CLASSES, daily_spend, ledger, spend_windows
from tollway.ports.ledger import Unstorable
from tollway.ports.spend import RecordFilter, SpendColumn, SpendSum
from tollway.stores.sql.customers import add_served

_USAGE_COLUMNS = (*TOKEN_CLASSES, "is_estimated")
_DOCUMENTS = ("tags", "charges", "metadata")
"""The last columns of the table: those that are JSON text there and something else in a record."""
_PLAIN_COLUMNS = tuple(column.name for column in ledger.columns if column.name not in _DOCUMENTS)
_plain_values = attrgetter(*(f"usage.{name}" if name in _USAGE_COLUMNS else name for name in _PLAIN_COLUMNS))
_record_key = attrgetter("started_at", "record_id")

_DAY_KEYS: tuple[SpendColumn, ...] = ("key_hash", "model_group", "model", "provider", "user_id", "team_id", "end_user")
_day_keys = attrgetter(*_DAY_KEYS)
_token_counts = attrgetter(*(f"usage.{name}" for name in TOKEN_CLASSES))
_DAY_SUMS = ("spend_nanos", "calls", "failures", *TOKEN_CLASSES)
_WINDOW_KEYS = ("scope_kind", "scope_id", "window_start")
_WINDOW_SUMS = ("spend_nanos", "records")

_MICROS_PER_DAY = 86_400_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_EQUALITY_FILTERS = (
    *("kind", "key_hash", "key_alias", "user_id", "team_id", "organization_id", "end_user", "model", "model_group"),
    *("model_id", "provider", "session_id", "error_class", "status_code", "is_success"),
)

_Values = tuple[Any, ...]


class SqlLedgerStore:
    """`ports.ledger.LedgerStore` and `ports.spend.SpendReader` on SQLite or Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._add_records = self._compile(insert(ledger))
        self._add_windows = self._compile(self._upsert(spend_windows, sums=_WINDOW_SUMS))
        self._add_days = self._compile(self._upsert(daily_spend, sums=_DAY_SUMS))

    async def insert(self, records: Sequence[Record]) -> int:
        """Adds records that are not there yet and their sums, in one transaction; how many were new.

        Raises `StoreUnavailable` when that may succeed later, `Unstorable` when it never will.
        """
        batch = sorted({_record_key(record): record for record in records}.values(), key=_record_key)
        if not batch:
            return 0
        with _refusals_reported():
            try:
                async with writing(self._engine) as connection:
                    await self._add(connection, batch)
            except IntegrityError:
                # Some are there already: a journal is being replayed.
                return await self._insert_missing(batch)
            return len(batch)

    async def _insert_missing(self, batch: list[Record]) -> int:
        # Should another process add one of them in between, this fails as a whole: nothing is ever counted twice.
        async with writing(self._engine) as connection:
            keys = [_record_key(record) for record in batch]
            present = select(*ledger.primary_key).where(tuple_(*ledger.primary_key).in_(keys))
            known = {tuple(row) for row in await connection.execute(present)}
            missing = [record for record in batch if _record_key(record) not in known]
            if missing:
                await self._add(connection, missing)
            return len(missing)

    async def _add(self, connection: AsyncConnection, batch: list[Record]) -> None:
        # Sums are added in the order of their keys, so that two workers cannot deadlock each other.
        await connection.exec_driver_sql(self._add_records, [_row(record) for record in batch])
        for statement, rows in ((self._add_windows, _window_rows(batch)), (self._add_days, _day_rows(batch))):
            if rows:
                await connection.exec_driver_sql(statement, rows)
        await add_served(connection, batch)

    async def window_spend(self, charges: Sequence[Charge]) -> list[int]:
        """Nano-dollars spent in each of these windows."""
        columns = [spend_windows.c[name] for name in _WINDOW_KEYS]
        wanted = [msgspec.structs.astuple(charge) for charge in charges]
        if not wanted:
            return []
        query = select(*columns, spend_windows.c.spend_nanos).where(tuple_(*columns).in_(wanted))
        async with reading(self._engine) as connection:
            spent = {tuple(key): nanos for *key, nanos in await connection.execute(query)}
        return [spent.get(key, 0) for key in wanted]

    async def list_records(self, matching: RecordFilter, *, limit: int, offset: int = 0) -> list[Record]:
        """Newest first."""
        query = select_records(matching).limit(limit).offset(offset)
        async with reading(self._engine) as connection:
            return [_record(row) for row in await connection.execute(query)]

    async def count_records(self, matching: RecordFilter) -> int:
        """How many there are."""
        query = select(func.count()).select_from(ledger).where(*_conditions(matching))
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).scalar_one()

    async def sum_by_day(
        self, first: date, last: date, *, by: Sequence[SpendColumn] = (), where: dict[SpendColumn, str] | None = None
    ) -> list[SpendSum]:
        """Sums per UTC day and group, in order of day; both days included; days without calls are left out."""
        groups = [daily_spend.c.day, *(daily_spend.c[name] for name in by)]
        query = _sums(first, last, groups, where).group_by(*groups).order_by(*groups)
        return [_spend_sum(row[1:], day=date.fromisoformat(row[0])) for row in await self._rows(query)]

    async def sum_by(
        self, first: date, last: date, *, by: Sequence[SpendColumn], where: dict[SpendColumn, str] | None = None
    ) -> list[SpendSum]:
        """Sums per group over all the days, dearest first."""
        groups = [daily_spend.c[name] for name in by]
        query = _sums(first, last, groups, where).group_by(*groups)
        dearest_first = query.order_by(func.sum(daily_spend.c.spend_nanos).desc(), *groups)
        return [_spend_sum(row) for row in await self._rows(dearest_first)]

    async def total(self, first: date, last: date, *, where: dict[SpendColumn, str] | None = None) -> SpendSum:
        """One sum over all the days."""
        (row,) = await self._rows(_sums(first, last, [], where))
        return _spend_sum(row)

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with reading(self._engine) as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows

    def _upsert(self, table: Table, *, sums: Sequence[str]) -> postgresql.Insert | sqlite.Insert:
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        statement: postgresql.Insert | sqlite.Insert = dialect.insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: table.c[name] + statement.excluded[name] for name in sums},
        )

    def _compile(self, statement: Any) -> str:
        return str(statement.compile(dialect=self._engine.dialect))


@contextmanager
def _refusals_reported() -> Iterator[None]:
    """Turns a driver's ways of refusing a value (an integer or a character it cannot store) into `Unstorable`."""
    try:
        yield
    except (DataError, IntegrityError, OverflowError, UnicodeEncodeError) as error:
        raise Unstorable(type(error).__name__) from error


def _row(record: Record) -> _Values:
    documents = (_json(record.tags), _json(record.charges), record.metadata.decode(errors="replace"))
    return (*_plain_values(record), *documents)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _record(row: Row[Any]) -> Record:
    values = dict(row._mapping)
    usage = Usage(**{name: values.pop(name) for name in _USAGE_COLUMNS})
    values["tags"] = tuple(values["tags"])
    values["charges"] = msgspec.convert(values["charges"], tuple[Charge, ...])
    values["metadata"] = values["metadata"].encode()
    return Record(usage=usage, **values)


def _window_rows(batch: Iterable[Record]) -> list[_Values]:
    sums: defaultdict[_Values, list[int]] = defaultdict(lambda: [0, 0])
    for record in batch:
        for charge in record.charges:
            window = sums[charge.scope_kind, charge.scope_id, charge.window_start]
            window[0] += record.cost_nanos
            window[1] += 1
    return [(*key, *sums[key]) for key in sorted(sums)]


def _day_rows(batch: Iterable[Record]) -> list[_Values]:
    sums: dict[_Values, _Values] = {}
    for record in batch:
        if record.kind == "adjustment":
            continue
        key = (record.started_at // _MICROS_PER_DAY, *_day_keys(record))
        counts = (record.cost_nanos, 1, int(not record.is_success), *_token_counts(record))
        known = sums.get(key)
        sums[key] = tuple(map(add, known, counts)) if known else counts
    return [(_day(key[0]), *key[1:], *sums[key]) for key in sorted(sums)]


def _day(days_since_epoch: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days_since_epoch).isoformat()


def select_records(matching: RecordFilter) -> Select[Any]:
    """Records that match, newest first."""
    newest_first = (ledger.c.started_at.desc(), ledger.c.record_id.desc())
    return select(ledger).where(*_conditions(matching)).order_by(*newest_first)


def _conditions(matching: RecordFilter) -> list[ColumnElement[bool]]:
    columns = ledger.c
    conditions = [
        columns[name] == value for name in _EQUALITY_FILTERS if (value := getattr(matching, name)) is not None
    ]
    if matching.started_from is not None:
        conditions.append(columns.started_at >= matching.started_from)
    if matching.started_before is not None:
        conditions.append(columns.started_at < matching.started_before)
    if matching.min_cost_nanos is not None:
        conditions.append(columns.cost_nanos >= matching.min_cost_nanos)
    if matching.max_cost_nanos is not None:
        conditions.append(columns.cost_nanos <= matching.max_cost_nanos)
    if matching.user_id:
        conditions.append(text("user_id <> ''"))  # follows from the filter, but the partial index wants it said
    if matching.any_id is not None:
        conditions.append(_has_id(matching.any_id))
    return conditions


def _has_id(wanted: str) -> ColumnElement[bool]:
    """The record, call or response of that id; each of the three is found through an index of its own."""
    columns = ledger.c
    alternatives = [
        columns.response_id == wanted,
        and_(columns.call_id == wanted, columns.call_id != columns.record_id),
    ]
    milliseconds = made_at_ms(wanted)
    if milliseconds is not None:  # a record's id says when it was made, and that is how the ledger is sorted
        made = columns.started_at.between(milliseconds * 1000, milliseconds * 1000 + 999)
        alternatives.append(and_(made, columns.record_id == wanted))
    return or_(*alternatives)


def _sums(
    first: date, last: date, groups: Sequence[ColumnElement[Any]], where: dict[SpendColumn, str] | None
) -> Select[Any]:
    # Postgres sums bigint to numeric; the cast keeps integers integers.
    sums = [cast(func.coalesce(func.sum(daily_spend.c[name]), 0), BigInteger).label(name) for name in _DAY_SUMS]
    chosen = [daily_spend.c[name] == value for name, value in (where or {}).items()]
    return select(*groups, *sums).where(daily_spend.c.day.between(first.isoformat(), last.isoformat()), *chosen)


def _spend_sum(row: Sequence[Any], *, day: date | None = None) -> SpendSum:
    split = len(row) - len(_DAY_SUMS)
    spend_nanos, calls, failures, *tokens = row[split:]
    usage = Usage(**dict(zip(TOKEN_CLASSES, tokens, strict=True)))
    return SpendSum(
        day=day, group=tuple(row[:split]), spend_nanos=spend_nanos, calls=calls, failures=failures, usage=usage
    )
