"""What every `SimilarAnswers` does beside what every `ResponseStore` does."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support import postgres
from tests.support.clock import FakeClock
from tests.support.databases import open_database
from tests.support.similar import SALT_KEY, in_memory, in_postgres, on_engine

from tollway.config.sealing import Sealer
from tollway.core.errors import StoreUnavailable
from tollway.db.engine import open_engine, writing
from tollway.db.similar import similar_answers
from tollway.ports.responses import KeptAnswer
from tollway.ports.similar import Meaning, Similar, SimilarAnswers
from tollway.stores.memory.similar import MemorySimilarAnswers
from tollway.stores.sql.similar import DatabaseSimilarAnswers
from tollway.stores.sql.similar_rows import drop_expired_similar

STORES = {"memory": in_memory, "postgres": in_postgres}
BUCKET = "b" * 64


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SimilarAnswers]:
    async with STORES[request.param](tmp_path, clock) as opened:
        yield opened


def answer(text: str = "Hello", *, at: float = 1.5) -> KeptAnswer:
    return KeptAnswer(at, text.encode(), True, "r-1", "d-1", 12, 34)


def at_angle(degrees: float, bucket: str = BUCKET, *, length: float = 1.0) -> Meaning:
    """A meaning whose cosine to that at 0 is the cosine of the angle."""
    angle = math.radians(degrees)
    return Meaning(bucket, (length * math.cos(angle), length * math.sin(angle), 0.0))


async def nearest(
    store: SimilarAnswers, meaning: Meaning, threshold: float = 0.5, since: float = 0.0
) -> Similar | None:
    return await store.find(meaning, threshold, since=since)


async def keep(store: SimilarAnswers, key: str, meaning: Meaning, *, ttl_s: float = 60, at: float = 1.5) -> None:
    """Keeps an answer and returns once it can be found: nobody else waits for its being written."""
    store.put_similar(key, answer(key, at=at), ttl_s, meaning)
    async with asyncio.timeout(10):
        while await store.get(key) is None:  # noqa: ASYNC110 - it is written elsewhere
            await asyncio.sleep(0.005)


async def test_the_nearest_is_found_with_its_cosine(store: SimilarAnswers) -> None:
    assert await nearest(store, at_angle(0)) is None
    for degrees in (50, 30, 10, 80):
        await keep(store, f"k{degrees}", at_angle(degrees, length=degrees))
    found = await nearest(store, at_angle(0, length=7))
    assert found is not None
    assert (found.key, found.answer) == ("k10", answer("k10"))
    assert found.similarity == pytest.approx(math.cos(math.radians(10)), abs=1e-5)
    assert await nearest(store, at_angle(0), threshold=math.cos(math.radians(9))) is None, "not near enough"
    same = await nearest(store, at_angle(30))
    assert same is not None
    assert 0.9999 < same.similarity <= 1.0


async def test_only_one_bucket_is_looked_in(store: SimilarAnswers) -> None:
    await keep(store, "mine", at_angle(20, "mine"))
    await keep(store, "other", at_angle(0, "other"))
    found = await nearest(store, at_angle(0, "mine"))
    assert found is not None
    assert found.key == "mine"
    assert await nearest(store, at_angle(0, "nobody's")) is None


async def test_what_was_put_without_a_meaning_is_found_by_its_key_only(store: SimilarAnswers) -> None:
    await keep(store, "k", at_angle(0))
    store.put("k", answer("new"), 60)
    async with asyncio.timeout(10):
        while await store.get("k") != answer("new"):  # noqa: ASYNC110 - it is written elsewhere
            await asyncio.sleep(0.005)
    assert await nearest(store, at_angle(0)) is None


async def test_an_answer_is_found_until_its_time_is_over_and_while_it_is_new_enough(
    store: SimilarAnswers, clock: FakeClock
) -> None:
    await keep(store, "old", at_angle(5), ttl_s=60, at=clock())
    clock.advance(30)
    await keep(store, "new", at_angle(25), ttl_s=60, at=clock())

    async def found(since: float) -> str:
        one = await nearest(store, at_angle(0), since=since)
        return one.key if one is not None else ""

    assert [await found(clock() - 31), await found(clock() - 29)] == ["old", "new"]
    clock.advance(31)
    assert await found(0.0) == "new"
    assert await store.get("old") is None
    clock.advance(31)
    assert await found(0.0) == ""


async def test_what_is_forgotten_is_not_found(store: SimilarAnswers) -> None:
    for number in range(5):
        await keep(store, f"k{number}", at_angle(number))
    assert await store.delete(["k0", "k3", "unknown"]) == 2
    found = await nearest(store, at_angle(3))
    assert found is not None
    assert found.key in ("k2", "k4")
    await store.clear()
    assert await nearest(store, at_angle(3)) is None
    await keep(store, "again", at_angle(3))
    assert await nearest(store, at_angle(3)) is not None
    await store.ping()
    assert await store.info() is None


_steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 85), st.sampled_from("xy"), st.booleans()), max_size=25
)


@given(steps=_steps, wanted=st.integers(0, 85))
def test_memory_finds_what_a_plain_search_finds(steps: list[tuple[str, int, str, bool]], wanted: int) -> None:
    store, model = MemorySimilarAnswers(FakeClock(), max_bytes=1_000_000), dict[str, tuple[int, str]]()

    async def run() -> Similar | None:
        for key, degrees, bucket, is_deleted in steps:
            if is_deleted:
                assert await store.delete([key]) == (model.pop(key, None) is not None)
            else:
                store.put_similar(key, answer(key), 60, at_angle(degrees, bucket))
                model[key] = (degrees, bucket)
        return await nearest(store, at_angle(wanted, "x"), threshold=math.cos(math.radians(20.5)))

    found = asyncio.run(run())
    near = {key: abs(degrees - wanted) for key, (degrees, bucket) in model.items() if bucket == "x"}
    least = min(near.values(), default=90)
    assert (found is None) is (least > 20)
    assert found is None or near[found.key] == least


async def test_memory_is_bounded_vectors_included() -> None:
    store = MemorySimilarAnswers(FakeClock(), max_bytes=50_000)
    for number in range(100):
        store.put_similar(str(number), answer(), 60, Meaning(BUCKET, (1.0, *([0.0] * 1_000))))
    kept = [number for number in range(100) if await store.get(str(number)) is not None]
    assert kept == list(range(90, 100))
    store.put_similar("huge", answer("x" * 60_000), 60, at_angle(0, "of its own"))
    assert (await store.get("huge"), await nearest(store, at_angle(0, "of its own"))) == (None, None)


async def test_the_database_is_bounded_and_gives_up_what_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.sql.similar._SWEEP_EVERY_S", 0.0)
    clock = FakeClock()
    async with open_database("postgres", tmp_path) as engine:
        store = on_engine(engine, clock, max_bytes=5 * 1_500)
        for number in range(8):
            clock.advance(1)
            store.put_similar(str(number), answer("x" * 1_000, at=clock()), 60, at_angle(number))
            async with asyncio.timeout(10):
                while await store.get(str(number)) is None:  # noqa: ASYNC110 - it is written elsewhere
                    await asyncio.sleep(0.005)
        await store.close()
        assert [number for number in range(8) if await store.get(str(number)) is not None] == [3, 4, 5, 6, 7]
        async with writing(engine) as connection:
            assert not await drop_expired_similar(connection, clock(), 100)
            assert await drop_expired_similar(connection, clock() + 59, 100)
            assert (await connection.execute(select(func.count()).select_from(similar_answers))).scalar() == 1
        await store.close()


async def test_what_the_database_keeps_is_sealed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with open_database("postgres", tmp_path) as engine:
        store = on_engine(engine, clock)
        await keep(store, "k", at_angle(0))
        await keep(store, "secret", at_angle(9))
        async with engine.connect() as connection:
            rows = (await connection.execute(select(similar_answers.c.answer))).scalars().all()
        assert len(rows) == 2
        assert not any(b"secret" in row for row in rows)
        other = on_engine(engine, clock, salt_key="sk-another-salt-key")
        await other.ping()
        assert (await other.get("k"), await nearest(other, at_angle(0))) == (None, None)
        await store.close()
        await other.close()


@asynccontextmanager
async def modest_engine(folder: Path) -> AsyncIterator[AsyncEngine]:
    """A database without the extension, as somebody who may use its tables and no more."""
    role = f"modest_{uuid4().hex}"
    url = postgres.databases().new_url()
    postgres.databases().create_migrated(url)
    owner, engine = open_engine(url), open_engine(url)

    @event.listens_for(engine.sync_engine, "connect")
    def become_modest(connection: Any, _record: Any) -> None:
        connection.cursor().execute(f"SET ROLE {role}")
        connection.commit()

    async with writing(owner) as connection:
        await connection.execute(text(f"CREATE ROLE {role}"))
        await connection.execute(text(f"GRANT ALL ON similar_answers TO {role}"))
    yield engine
    await engine.dispose()
    async with writing(owner) as connection:
        await connection.execute(text(f"DROP OWNED BY {role}"))
        await connection.execute(text(f"DROP ROLE {role}"))
    await owner.dispose()
    postgres.databases().drop(url)


async def test_a_postgres_without_pgvector_is_named_and_costs_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with modest_engine(tmp_path) as engine:
        store = on_engine(engine, FakeClock())
        with caplog.at_level(logging.WARNING):
            assert [await store.get("k") for _ in range(5)] == [None] * 5
            with pytest.raises(StoreUnavailable, match="CREATE EXTENSION vector"):
                await store.ping()
            store.put_similar("k", answer(), 60, at_angle(0))
            assert await nearest(store, at_angle(0)) is None
        assert len(caplog.records) == 1, "one line, however many calls"
        await store.close()


async def test_an_extension_that_is_dropped_costs_no_call_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.sql.similar._REST_S", 0.0)
    async with open_database("postgres", tmp_path) as engine:
        store = on_engine(engine, FakeClock())
        await keep(store, "k", at_angle(0))
        async with writing(engine) as connection:
            await connection.execute(text("DROP EXTENSION vector"))
        assert await nearest(store, at_angle(0)) is None
        async with asyncio.timeout(10):
            while await nearest(store, at_angle(0)) is None:  # noqa: ASYNC110 - it is made elsewhere
                await asyncio.sleep(0.005)
        await store.close()


async def test_a_database_that_is_away_is_left_alone_for_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def opened() -> AsyncEngine:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("The database cannot be reached right now.")

    store = DatabaseSimilarAnswers(opened, Sealer(lambda: SALT_KEY), FakeClock(), timeout_s=0.05, max_bytes=1_000)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            assert await store.get("k") is None
            store.put_similar("k", answer(), 60, at_angle(0))
            await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await store.clear()
    assert asked == 2, "once for all calls, once for the operator"
    assert len(caplog.records) == 1
    await store.close()
