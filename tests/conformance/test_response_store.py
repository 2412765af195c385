"""What every `ResponseStore` does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.clock import FakeClock
from tests.support.response_stores import STORES, answer, on_redis, plain_address, written
from tests.support.valkey import ValkeyServer

from tollway.core.errors import StoreUnavailable
from tollway.core.redis import RedisAddress, RedisNode
from tollway.ports.responses import ResponseStore
from tollway.stores.disk.responses import DiskResponseStore
from tollway.stores.memory.responses import MemoryResponseStore
from tollway.stores.redis.connection import open_redis


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ResponseStore]:
    async with STORES[request.param](tmp_path) as opened:
        yield opened


async def test_everything_of_an_answer_comes_back(store: ResponseStore) -> None:
    assert await store.get("a" * 64) is None
    store.put("a" * 64, answer(), 60)
    store.put("space:" + "b" * 64, answer("Other"), 60)
    assert await written(store, "a" * 64) == answer()
    assert await written(store, "space:" + "b" * 64) == answer("Other")
    store.put("a" * 64, answer("New"), 60)
    async with asyncio.timeout(5):
        while await written(store, "a" * 64) != answer("New"):  # noqa: ASYNC110 - it is written elsewhere
            await asyncio.sleep(0.01)


async def test_answers_are_forgotten_one_by_one_or_all(store: ResponseStore) -> None:
    for name in "abc":
        store.put(name * 64, answer(), 60)
        await written(store, name * 64)
    assert await store.delete(["a" * 64, "x" * 64]) == 1
    assert await store.get("a" * 64) is None
    await store.clear()
    assert [await store.get(name * 64) for name in "bc"] == [None, None]
    await store.ping()


@pytest.mark.parametrize("store", [name for name in STORES if name != "s3"], indirect=True)
async def test_there_may_be_thousands_to_forget(store: ResponseStore) -> None:
    keys = [f"{number:064x}" for number in range(1_000)]
    for key in keys:
        store.put(key, answer(), 60)
    await written(store, keys[-1])
    await store.clear()
    assert [await store.get(key) for key in keys[::100]] == [None] * 10


@pytest.mark.parametrize("name", ["memory", "disk"])
async def test_an_answer_is_there_until_its_time_is_over(name: str, tmp_path: Path) -> None:
    clock = FakeClock()
    store: ResponseStore
    if name == "memory":
        store = MemoryResponseStore(clock, max_bytes=10_000)
    else:
        store = DiskResponseStore(tmp_path, clock, max_bytes=10_000)
    store.put("k", answer(), 60)
    assert await written(store, "k") == answer()
    clock.advance(59)
    assert await store.get("k") == answer()
    clock.advance(2)
    assert await store.get("k") is None


async def test_redis_forgets_by_itself() -> None:
    async with on_redis(plain_address()) as store:
        store.put("k", answer(), 0.2)
        await written(store, "k")
        await asyncio.sleep(0.3)
        assert await store.get("k") is None


async def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    store = MemoryResponseStore(FakeClock(), max_bytes=9_000)
    for number in range(5):
        store.put(str(number), answer("x" * 1_500), 60)
        await store.get("0")
    assert [await store.get(str(number)) is not None for number in range(5)] == [True, False, True, True, True]
    store.put("huge", answer("x" * 10_000), 60)
    assert await store.get("huge") is None
    assert await store.get("0") is not None, "what never fits drives nobody out"


async def test_a_folder_is_bounded_and_its_other_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.stores.disk.responses._SWEEP_EVERY_S", 0.0)
    (tmp_path / "aa").mkdir()
    (tmp_path / "aa" / "mine.txt").write_text("mine")
    store = DiskResponseStore(tmp_path, FakeClock(), max_bytes=5_000)
    for number in range(8):
        store.put(f"{number}", answer("x" * 1_500), 60 + number)
        await written(store, f"{number}")
        await store.close()
    kept = [number for number in range(8) if await store.get(f"{number}") is not None]
    assert kept == [5, 6, 7], "those whose time is over last"
    await store.clear()
    assert (tmp_path / "aa" / "mine.txt").read_text() == "mine"
    assert await store.get("7") is None


async def test_clearing_leaves_everything_else_that_redis_holds() -> None:
    address = plain_address()
    client = open_redis(address)
    await client.execute_command("SET", f"{address.prefix}counter", "1")
    async with on_redis(address) as store:
        store.put("k", answer(), 60)
        await written(store, "k")
        await store.clear()
    assert await client.execute_command("GET", f"{address.prefix}counter") == b"1"
    await client.aclose()


async def test_a_redis_that_hangs_is_waited_for_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.patience._REST_S", 0.4)
    with ValkeyServer() as server:
        server.start()
        url = urlsplit(server.url)
        assert url.port is not None
        address = RedisAddress(nodes=(RedisNode("127.0.0.1", url.port),), answer_timeout_s=0.3)
        async with on_redis(address, timeout_s=0.05) as store:
            store.put("k", answer(), 60)
            await written(store, "k")
            server.pause()
            with caplog.at_level(logging.WARNING):
                assert [await store.get("k") for _ in range(200)] == [None] * 200
            assert store.patience.waited == 1
            assert len(caplog.records) == 1, "one line, however many calls"
            with pytest.raises(StoreUnavailable):
                await store.ping()
            server.resume()
            assert await written(store, "k") == answer()
