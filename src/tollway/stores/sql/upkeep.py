"""Upkeep of a database: partitions of the ledger ahead of time, and dropping records, stored responses and cached
answers whose time is over.

It goes in small steps, each a short transaction, so that records go on being inserted between them. On Postgres one
process at a time does it; and whoever would have to wait for a lock gives up soon, because inserts queue behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import DropTable, MetaData

from tollway.db.engine import is_postgres, reading, writing
from tollway.db.ledger import ledger, ledger_horizon
from tollway.db.outages import unavailable
from tollway.db.partitions import (
    DEFAULT,
    AttachPartition,
    MakeTableForPartition,
    Partition,
    month_of,
    months_after,
    partition_for,
    partition_of,
    select_partition_names,
)
from tollway.ports.ledger import Retention
from tollway.stores.sql.conversations import drop_expired_responses
from tollway.stores.sql.responses import drop_expired_answers
from tollway.stores.sql.similar_rows import drop_expired_similar

_LOCK = 0x746F6C6C_77617903
"""The advisory lock of upkeep on Postgres."""
_WAIT_FOR_LOCKS = "1s"
_MONTHS_AHEAD = 2
_RESPONSES_AT_ONCE = 100
"""They may be large."""
_PAGES_AT_ONCE = 1000
_INCREMENTAL = 2
_MICROS_PER_DAY = 86_400_000_000


async def maintain(engine: AsyncEngine, now: float, retention: Retention | None) -> bool:
    """Does one step of what is due; whether more may be. `now`: epoch seconds. Raises `StoreUnavailable`."""
    if is_postgres(engine):
        return await _maintain_postgres(engine, now, retention)
    return await _maintain_sqlite(engine, now, retention)


async def _maintain_sqlite(engine: AsyncEngine, now: float, retention: Retention | None) -> bool:
    async with writing(engine) as connection:
        is_deleted = await _drop_expired(connection, now)
        if not is_deleted and retention is not None:
            is_deleted = await _delete_batch(connection, horizon_of(now, retention), retention.batch_size)
    return is_deleted or await _give_back_pages(engine)


async def _maintain_postgres(engine: AsyncEngine, now: float, retention: Retention | None) -> bool:
    async with writing(engine, takes_turns=False) as connection:
        if not (await connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK)))).scalar():
            return False
        await connection.execute(select(func.set_config("lock_timeout", _WAIT_FOR_LOCKS, True)))
        partitions = await list_partitions(connection)
        missing = _missing_partition(partitions, now)
        if missing is not None:
            await make_partition(connection, missing)
            return True
        if await _drop_expired(connection, now):
            return True
        if retention is None:
            return False
        horizon = horizon_of(now, retention)
        over = next((one for one in partitions if one.end <= horizon), None)
        if over is not None:
            await _move_horizon(connection, horizon)
            await connection.execute(DropTable(Table(over.name, MetaData())))
            return True
        return await _delete_batch(connection, horizon, retention.batch_size)


async def _drop_expired(connection: AsyncConnection, now: float) -> bool:
    drops = (drop_expired_responses, drop_expired_answers, drop_expired_similar)
    return any([await drop(connection, now, _RESPONSES_AT_ONCE) for drop in drops])


async def read_horizon(connection: AsyncConnection) -> int | None:
    """Epoch microseconds before which records were dropped; None: never."""
    found: int | None = (await connection.execute(select(ledger_horizon.c.dropped_before))).scalar()
    return found


async def horizon(engine: AsyncEngine) -> int | None:
    """Epoch microseconds before which records were dropped; None: never. Raises `StoreUnavailable`."""
    async with reading(engine) as connection:
        return await read_horizon(connection)


async def list_partitions(connection: AsyncConnection) -> list[Partition]:
    """The ledger's partitions on Postgres in order of time, the default one left out."""
    names = (await connection.execute(select_partition_names())).scalars()
    return sorted(part for name in names if (part := partition_of(name)) is not None)


def horizon_of(now: float, retention: Retention) -> int:
    """Records that started before are to be dropped: epoch microseconds, always the beginning of a UTC day."""
    today = int(now * 1e6) // _MICROS_PER_DAY
    return (today - retention.days) * _MICROS_PER_DAY


def _missing_partition(partitions: Iterable[Partition], now: float) -> Partition | None:
    month = month_of(now)
    wanted = (partition_for(months_after(month, number)) for number in range(_MONTHS_AHEAD + 1))
    known = list(partitions)
    return next((one for one in wanted if not any(old.first < one.end and one.first < old.end for old in known)), None)


async def make_partition(connection: AsyncConnection, partition: Partition) -> None:
    """Makes a partition of the ledger on Postgres, with those records that came before it."""
    await connection.execute(MakeTableForPartition(partition))
    await connection.exec_driver_sql("LOCK TABLE ledger_default IN SHARE ROW EXCLUSIVE MODE")
    made, stray = _like_ledger(partition.name), _like_ledger(DEFAULT)
    belongs = stray.c.started_at.between(partition.first, partition.end - 1)
    # What came while there was no such partition: nobody made one ahead, or a clock was wrong.
    await connection.execute(insert(made).from_select(list(stray.c), select(stray).where(belongs)))
    await connection.execute(delete(stray).where(belongs))
    await connection.execute(AttachPartition(partition))


def _like_ledger(name: str) -> Table:
    return ledger.to_metadata(MetaData(), name=name)


async def _delete_batch(connection: AsyncConnection, horizon: int, size: int) -> bool:
    old = select(ledger.c.started_at).where(ledger.c.started_at < horizon).order_by(*ledger.primary_key)
    newest_of_batch = (await connection.execute(old.offset(size - 1).limit(1))).scalar()
    if newest_of_batch is None and (await connection.execute(old.limit(1))).first() is None:
        return False
    await _move_horizon(connection, horizon)
    until = ledger.c.started_at < horizon if newest_of_batch is None else ledger.c.started_at <= newest_of_batch
    await connection.execute(delete(ledger).where(until))
    return True


async def _move_horizon(connection: AsyncConnection, horizon: int) -> None:
    """In the same transaction as what is dropped: whoever reads the ledger knows what is missing."""
    known = await read_horizon(connection)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite_dialect
    statement = dialect.insert(ledger_horizon).values(only_row=1, dropped_before=max(horizon, known or horizon))
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[ledger_horizon.c.only_row],
            set_={"dropped_before": statement.excluded.dropped_before},
        )
    )


async def _give_back_pages(engine: AsyncEngine) -> bool:
    """Cuts some free pages off the file; whether there are more. Files of old keep theirs, for new records."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        ((mode,),) = await driver.execute_fetchall("PRAGMA auto_vacuum")
        ((free,),) = await driver.execute_fetchall("PRAGMA freelist_count")
        if mode != _INCREMENTAL or not free:
            return False
        try:
            # As a script: executed as a query, this pragma would stop after one page.
            await driver.executescript("PRAGMA incremental_vacuum(1000);")
        except sqlite3.OperationalError as error:  # somebody else writes
            raise unavailable(error) from error
        return bool(free > _PAGES_AT_ONCE)
