"""Whoever was served has a row, on every database, however many write at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, migrated_database, open_database
from tests.support.records import NOON, make_record

from tollway.db.customers import customers
from tollway.db.engine import open_engine, reading, writing
from tollway.stores.sql.customers import add_missing
from tollway.stores.sql.ledger import SqlLedgerStore


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as engine:
        yield engine


async def stored(engine: AsyncEngine) -> dict[str, Any]:
    async with reading(engine) as connection:
        return {row.customer_id: row for row in await connection.execute(select(customers))}


async def test_end_users_of_served_calls_get_a_row_of_their_own(engine: AsyncEngine) -> None:
    await SqlLedgerStore(engine).insert(
        [
            make_record(NOON + 5, end_user="ada"),
            make_record(NOON, end_user="ada"),
            make_record(NOON, end_user="cut", is_success=False, cost_nanos=5),
            make_record(NOON, end_user="failed", is_success=False, cost_nanos=0),
            make_record(NOON, end_user="old", kind="import"),
            make_record(NOON, end_user="reset", kind="adjustment"),
            make_record(NOON, end_user=""),
        ]
    )
    found = await stored(engine)
    assert found.keys() == {"ada", "cut"}
    ada = found["ada"]
    assert ada.created_at == ada.updated_at == datetime.fromtimestamp(NOON / 1e6, UTC)
    assert (ada.is_blocked, ada.models, ada.options, ada.budget_id) == (False, [], {}, None)


async def test_whoever_has_a_row_keeps_it(engine: AsyncEngine) -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    async with writing(engine) as connection:
        await add_missing(connection, {"ada": at}, created_by="admin")
    store = SqlLedgerStore(engine)
    await store.insert([make_record(NOON, end_user="ada")])
    await store.insert([make_record(NOON + 1, end_user="ada")])
    assert [(row.created_at, row.created_by) for row in (await stored(engine)).values()] == [(at, "admin")]


async def test_records_that_come_twice_make_no_row_twice(engine: AsyncEngine) -> None:
    store = SqlLedgerStore(engine)
    record = make_record(NOON, end_user="ada")
    await store.insert([record])
    await store.insert([record, make_record(NOON + 1, end_user="bob")])
    assert (await stored(engine)).keys() == {"ada", "bob"}


@pytest.mark.parametrize("database", DATABASES)
async def test_concurrent_writers_that_meet_the_same_customers_do_not_stop_each_other(
    database: str, tmp_path: Path
) -> None:
    names = [f"u{number}" for number in range(30)]
    async with migrated_database(database, tmp_path) as url:
        engine = open_engine(url, busy_timeout_s=10)
        try:
            batches = [
                [make_record(NOON + n, end_user=name) for n, name in enumerate(names[::step])] for step in (1, -1)
            ]
            await asyncio.gather(*(SqlLedgerStore(engine).insert(batch) for batch in batches))
            assert (await stored(engine)).keys() == set(names)
        finally:
            await engine.dispose()
