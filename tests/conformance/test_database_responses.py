"""Answers that are given again, in a database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock
from tests.support.databases import DATABASES, open_database
from tests.support.response_stores import answer, on_table, written

from tollway.core.errors import StoreUnavailable
from tollway.db.cached_answers import cached_answers
from tollway.db.engine import open_engine, reading
from tollway.db.url import sqlite_url
from tollway.ports.responses import SealedAnswer
from tollway.stores.sql.responses import SqlAnswerTable
from tollway.stores.sql.upkeep import maintain


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as opened:
        yield opened


async def rows(engine: AsyncEngine) -> int:
    async with reading(engine) as connection:
        counted: int = (await connection.execute(select(func.count()).select_from(cached_answers))).scalar_one()
    return counted


async def test_an_answer_of_the_database_is_found_by_others_until_its_time_is_over(engine: AsyncEngine) -> None:
    clock = FakeClock()
    async with on_table(engine, clock=clock) as store:
        store.put("k", answer(), 60)
        assert await store.get("k") == answer(), "before it is written"
        store.put("k\0\N{SNOWMAN}", answer("Odd"), 600)
    async with on_table(engine, clock=clock) as other:
        assert await asyncio.gather(*(other.get(key) for key in ["k", "x", "k", "k\0\N{SNOWMAN}"])) == [
            answer(),
            None,
            answer(),
            answer("Odd"),
        ]
        clock.advance(61)
        assert await other.get("k") is None
        assert await rows(engine) == 2
        while await maintain(engine, clock(), None):
            pass
        assert await rows(engine) == 1


async def test_the_database_cannot_read_what_it_holds(engine: AsyncEngine) -> None:
    async with on_table(engine) as store:
        store.put("k", answer("the secret of Ann"), 60)
    async with reading(engine) as connection:
        (content,) = (await connection.execute(select(cached_answers.c.content))).scalars()
    assert b"Ann" not in content
    async with on_table(engine, salt="sk-another") as other:
        assert await other.get("k") is None


async def test_a_database_is_bounded_and_keeps_those_whose_time_is_over_last(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.gathered._TRIM_EVERY_S", 0.0)
    async with on_table(engine, max_bytes=5_000) as store:
        for number in range(8):
            store.put(f"{number}", answer("x" * 1_500), 60 + number)
    async with on_table(engine) as store:
        kept = [number for number in range(8) if await store.get(f"{number}") is not None]
    assert kept == [5, 6, 7]


class SlowTable(SqlAnswerTable):
    """Answers when it may."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def find(self, digests: Sequence[bytes], *, now: int) -> Mapping[bytes, bytes]:
        await self.may_answer.wait()
        return await super().find(digests, now=now)


async def test_a_database_that_is_slow_is_waited_for_once_in_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.patience._REST_S", 0.4)
    async with open_database("sqlite", tmp_path) as engine:
        table = SlowTable(engine)
        async with on_table(table, timeout_s=0.05) as store:
            store.put("k", answer(), 60)
        async with on_table(table, timeout_s=0.05) as store:
            assert await written(store, "k") == answer()
            table.may_answer.clear()
            with caplog.at_level(logging.WARNING):
                assert [await store.get("k") for _ in range(200)] == [None] * 200
            assert store.patience.waited == 1
            assert len(caplog.records) == 1, "one line, however many calls"
            table.may_answer.set()
            assert await written(store, "k") == answer()


async def test_a_database_that_is_away_fails_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = open_engine(sqlite_url(tmp_path / "no-folder" / "t.db"))
    async with on_table(gone) as store:
        store.put("k", answer(), 60)
        assert await store.get("other") is None
        with pytest.raises(StoreUnavailable):
            await store.ping()
        with pytest.raises(StoreUnavailable):
            await store.delete(["k"])
    assert len([record for record in caplog.records if "database of the cache" in record.message]) == 1
    await gone.dispose()


async def test_those_who_touch_the_same_answers_never_wait_in_a_circle(tmp_path: Path) -> None:
    async with open_database("postgres", tmp_path) as engine:
        table = SqlAnswerTable(engine)
        answers = [SealedAnswer(bytes([number]) * 32, 10**15 + number, b"x" * 100) for number in range(200)]
        digests = [one.digest for one in answers]
        for _ in range(3):
            await asyncio.gather(
                table.write(answers), table.write(answers[::-1]), table.delete(digests[::-1]), table.trim(5_000)
            )
            await asyncio.gather(table.write(answers), table.clear(), maintain(engine, 2e9, None))
        await table.clear()
        assert await table.find(digests, now=0) == {}
