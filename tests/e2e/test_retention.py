"""A gateway that keeps records for a while only."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.support.databases import DATABASES, MissingDatabase
from tests.support.gateway import running_gateway
from tests.support.records import KEY, make_record

from tollway.core.record import Charge, Record
from tollway.db.engine import open_engine
from tollway.ports.spend import RecordFilter
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.spend import SqlSpendReader

DAY = 86_400_000_000


@pytest.mark.parametrize("kind", DATABASES)
def test_records_whose_time_is_over_are_dropped_and_their_spend_is_kept(kind: str, tmp_path: Path) -> None:
    database = MissingDatabase(kind, tmp_path)
    now = time.time_ns() // 1000
    asyncio.run(fill(database, [make_record(now - age * DAY) for age in (100, 9, 8, 6, 0)]))
    settings = {
        "database_url": database.url,
        "salt_key": "salt-for-the-tests-0123456789",
        "maximum_spend_logs_retention_period": "1w",
        "maximum_spend_logs_cleanup_batch_size": 1,
    }
    with running_gateway(tmp_path, {"general_settings": settings}) as gateway:
        give_up_at = time.monotonic() + 20
        while len(left := asyncio.run(records_of(database.url))) > 2 and time.monotonic() < give_up_at:
            time.sleep(0.1)
        assert [round((now - record.started_at) / DAY) for record in left] == [0, 6]
        assert gateway.is_ready()
    assert asyncio.run(spent(database.url)) == 5 * 60_000


async def fill(database: MissingDatabase, records: list[Record]) -> None:
    await database.appear()
    engine = open_engine(database.url)
    await SqlLedgerStore(engine).insert(records)
    await engine.dispose()


async def records_of(url: str) -> list[Record]:
    engine = open_engine(url)
    found = await SqlSpendReader(engine).list_records(RecordFilter(), limit=10)
    await engine.dispose()
    return found


async def spent(url: str) -> int:
    engine = open_engine(url)
    (nanos,) = await SqlSpendReader(engine).window_spend([Charge("api_key", KEY, 0)])
    await engine.dispose()
    return nanos
