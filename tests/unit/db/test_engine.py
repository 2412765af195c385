from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, select
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, empty_database, open_database

from tollway.core.errors import InvalidRequest, StoreUnavailable
from tollway.db.engine import open_engine, reading, writing
from tollway.db.metadata import JsonDocument, Nanos, Timestamp
from tollway.db.url import sqlite_url

sample = Table(
    "sample",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("at", Timestamp),
    Column("document", JsonDocument),
    Column("nanos", Nanos),
    Column("name", Text),
)


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A database of its own with the table `sample`."""
    engine = open_engine(empty_database(request.param, tmp_path), busy_timeout_s=0.05)
    async with writing(engine) as connection:
        await connection.run_sync(sample.create)
    yield engine
    await engine.dispose()


async def test_values_come_back_as_they_went_in(engine: AsyncEngine) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    document = {"ünï": [1, 2.5, None, {"": True}]}
    async with writing(engine) as connection:
        row = {"id": 1, "at": moment, "document": document, "nanos": 2**63 - 1}
        await connection.execute(sample.insert(), row)
        await connection.execute(sample.insert(), {"id": 2})
    async with reading(engine) as connection:
        found, empty = (await connection.execute(select(sample).order_by(sample.c.id))).all()
    assert found == (1, moment, document, 2**63 - 1, None)
    assert found.at.tzinfo is UTC
    assert (empty.at, empty.nanos) == (None, None)


async def test_a_time_without_a_zone_is_refused(engine: AsyncEngine) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        async with writing(engine) as connection:
            await connection.execute(sample.insert(), {"id": 1, "at": datetime(2026, 1, 1)})  # noqa: DTZ001


@pytest.mark.parametrize("value", [{"nanos": 2**63}, {"nanos": -(2**63) - 1}, {"name": "lone surrogate \ud800"}])
async def test_a_value_that_cannot_be_stored_is_the_callers_mistake_and_no_outage(
    engine: AsyncEngine, value: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        async with writing(engine) as connection:
            await connection.execute(sample.insert(), {"id": 1} | value)
    async with reading(engine) as connection:
        assert (await connection.execute(select(sample))).all() == []


async def test_sqlite_writes_ahead_waits_for_locks_and_checks_references(tmp_path: Path) -> None:
    engine = open_engine(sqlite_url(tmp_path / "x.db"), busy_timeout_s=1.25)
    async with reading(engine) as connection:
        pragmas = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    await engine.dispose()
    assert pragmas == ["wal", 1, 1, 1250]


async def test_writers_that_read_first_take_turns(engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        await connection.execute(sample.insert(), {"id": 1, "nanos": 0})

    async def add_one() -> None:
        async with writing(engine) as connection:
            nanos = (await connection.execute(select(sample.c.nanos))).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(sample.update().values(nanos=nanos + 1))

    for _ in range(5):
        await asyncio.gather(*(add_one() for _ in range(3)))  # within one another's lock time-out
    async with reading(engine) as connection:
        assert (await connection.execute(select(sample.c.nanos))).scalar_one() == 15


async def test_a_block_that_raises_leaves_nothing_behind(engine: AsyncEngine) -> None:
    with pytest.raises(IntegrityError):
        await insert_twice(engine)
    async with reading(engine) as connection:
        assert (await connection.execute(select(sample))).all() == []


async def insert_twice(engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        for _ in range(2):
            await connection.execute(sample.insert(), {"id": 1})


async def test_a_lock_held_too_long_is_an_outage(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as engine, writing(engine):
        with pytest.raises(StoreUnavailable, match="Try again shortly"):
            async with writing(engine):
                pass


async def test_readers_are_not_held_up_by_a_writer_and_see_one_state(engine: AsyncEngine) -> None:
    async with reading(engine) as reader:
        assert (await reader.execute(select(sample))).all() == []
        async with writing(engine) as writer:
            await writer.execute(sample.insert(), {"id": 1})
            assert (await reader.execute(select(sample))).all() == []
        assert (await reader.execute(select(sample))).all() == []
    async with reading(engine) as reader:
        assert len((await reader.execute(select(sample))).all()) == 1
