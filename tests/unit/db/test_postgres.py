"""Postgres when things go wrong: every outage is one error, no request hangs, and the pool is never exceeded."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import empty_database, migrated_database
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer

from tollway.core.errors import InvalidRequest, StoreUnavailable
from tollway.db.engine import open_engine, reading, writing
from tollway.db.migrate import migrate
from tollway.db.pool import PoolSettings
from tollway.db.upgrade import current_revision, head_revision, upgrade

IMPATIENT = PoolSettings(size=2, wait_s=0.5, connect_timeout_s=1, answer_timeout_s=1)


@pytest.fixture(scope="module")
def idle_server() -> Iterator[PostgresServer]:
    with PostgresServer(max_connections="6", superuser_reserved_connections="0", reserved_connections="0") as server:
        yield server


@pytest.fixture
def server(idle_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server of our own, so that it can be stopped."""
    with idle_server.running():
        yield idle_server


@pytest.fixture
async def engine(server: PostgresServer) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(server.url, pool=IMPATIENT)
    yield engine
    await asyncio.wait_for(engine.dispose(), 5)


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """On the server of all tests, which stays up."""
    async with migrated_database("postgres", tmp_path) as url:
        engine = open_engine(url, pool=IMPATIENT)
        yield engine
        await engine.dispose()


async def answer(engine: AsyncEngine, query: str = "SELECT 1") -> object:
    async with reading(engine) as connection:
        return (await connection.execute(text(query))).scalar()


async def test_nobody_listening_is_an_outage_at_once() -> None:
    engine = open_engine(f"postgresql://u@127.0.0.1:{free_port()}/d", pool=IMPATIENT)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="Try again shortly"):
        await answer(engine)
    assert time.monotonic() - started < 0.5


async def test_somebody_who_accepts_and_says_nothing_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = open_engine(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d", pool=IMPATIENT)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await answer(engine)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("query", ["", "?sslmode=require", "?sslmode=verify-full"])
async def test_not_being_let_in_is_an_outage(server: PostgresServer, query: str) -> None:
    url = server.url.replace("tollway@", "nobody-known@") if not query else server.url + query
    engine = open_engine(url, pool=IMPATIENT)
    with pytest.raises(StoreUnavailable):
        await answer(engine)


async def test_a_server_that_restarts_is_no_outage_for_whoever_comes_afterwards(
    server: PostgresServer, engine: AsyncEngine
) -> None:
    assert await answer(engine) == 1
    server.stop()
    with pytest.raises(StoreUnavailable):
        await answer(engine)
    server.start()
    assert await answer(engine) == 1


async def test_a_server_that_is_killed_in_the_middle_of_a_query_is_an_outage(
    server: PostgresServer, engine: AsyncEngine
) -> None:
    asking = asyncio.create_task(answer(engine, "SELECT pg_sleep(0.9)"))
    await asyncio.sleep(0.2)
    server.kill()
    with pytest.raises(StoreUnavailable):
        await asking
    server.start()
    assert await answer(engine) == 1


async def test_a_server_that_hangs_is_an_outage_within_the_time_limit_and_comes_back(
    server: PostgresServer, engine: AsyncEngine
) -> None:
    assert await answer(engine) == 1
    server.pause()
    started = time.monotonic()
    outcomes = await asyncio.gather(*(answer(engine) for _ in range(6)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert time.monotonic() - started < 2.5
    server.resume()
    assert await answer(engine) == 1


async def test_too_many_clients_is_an_outage(server: PostgresServer, engine: AsyncEngine) -> None:
    greedy = [await asyncpg.connect(server.url) for _ in range(6)]
    with pytest.raises(StoreUnavailable):
        await answer(engine)
    for connection in greedy:
        await connection.close()
    assert await answer(engine) == 1


async def test_a_query_that_takes_too_long_is_stopped_on_the_server_too(shared: AsyncEngine) -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await answer(shared, "SELECT pg_sleep(30)")
    assert time.monotonic() - started < 2
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND state = 'active'"
    assert await answer(shared, running) == 0


async def test_a_burst_waits_for_the_pool_and_opens_no_further_connection(tmp_path: Path) -> None:
    connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with migrated_database("postgres", tmp_path) as url:
        engine = open_engine(url, pool=PoolSettings(size=2, wait_s=60, answer_timeout_s=60))
        counted = await asyncio.gather(*(answer(engine, connections) for _ in range(20 * 2)))
        await engine.dispose()
    assert max(map(int, map(str, counted))) == 2


async def test_whoever_waits_too_long_for_the_pool_is_told(shared: AsyncEngine) -> None:
    outcomes = await asyncio.gather(
        *(answer(shared, "SELECT pg_sleep(0.8)") for _ in range(3 * IMPATIENT.size)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(StoreUnavailable) == 2 * IMPATIENT.size


async def test_a_connection_that_was_idle_for_long_is_replaced(tmp_path: Path) -> None:
    async with migrated_database("postgres", tmp_path) as url:
        engine = open_engine(url, pool=PoolSettings(size=1, max_idle_s=0.05))
        first = await answer(engine, "SELECT pg_backend_pid()")
        assert await answer(engine, "SELECT pg_backend_pid()") == first
        await asyncio.sleep(0.1)
        assert await answer(engine, "SELECT pg_backend_pid()") != first
        await engine.dispose()


async def test_without_prepared_statements_nothing_stays_prepared(tmp_path: Path) -> None:
    async with migrated_database("postgres", tmp_path) as url:
        engine = open_engine(url, pool=PoolSettings(size=1, without_prepared_statements=True))
        assert await answer(engine) == 1
        assert await answer(engine) == 1
        assert await answer(engine, "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 1'") == 0
        await engine.dispose()


async def test_nul_is_the_callers_mistake(shared: AsyncEngine) -> None:
    with pytest.raises(InvalidRequest):
        async with reading(shared) as connection:
            await connection.execute(text("SELECT CAST(:value AS text)"), {"value": "a\0b"})


async def test_a_reader_cannot_write(shared: AsyncEngine) -> None:
    with pytest.raises(StoreUnavailable):
        await answer(shared, "DELETE FROM virtual_keys")


async def test_replicas_that_start_together_migrate_once(tmp_path: Path) -> None:
    url = empty_database("postgres", tmp_path)
    await asyncio.gather(*(migrate(url) for _ in range(3)))
    assert await current_revision(url) == head_revision()


async def test_a_start_brings_an_empty_database_up_to_date(tmp_path: Path) -> None:
    url = empty_database("postgres", tmp_path)
    assert await current_revision(url) is None
    assert await upgrade(url) is True
    assert await upgrade(url) is False
    assert await current_revision(url) == head_revision()


async def test_a_schema_of_its_own_is_made_and_used(tmp_path: Path) -> None:
    url = empty_database("postgres", tmp_path) + "?schema=gateway&connection_limit=3"
    await migrate(url)
    engine = open_engine(url, pool=IMPATIENT)
    schemas = "SELECT string_agg(DISTINCT table_schema, ',') FROM information_schema.tables WHERE table_name = 'ledger'"
    assert await answer(engine, schemas) == "gateway"
    assert await current_revision(url) == head_revision()
    await engine.dispose()


async def test_writers_who_wait_for_their_turn_leave_connections_to_readers(shared: AsyncEngine) -> None:
    async def write() -> None:
        async with writing(shared):
            pass

    async with writing(shared):
        waiting = [asyncio.create_task(write()) for _ in range(3 * IMPATIENT.size)]
        await asyncio.sleep(0.05)
        assert await answer(shared) == 1
    await asyncio.gather(*waiting)


async def test_writers_of_other_processes_take_turns_too(tmp_path: Path) -> None:
    order: list[str] = []

    async def write() -> None:
        async with writing(other):
            order.append("other")

    async with migrated_database("postgres", tmp_path) as url:
        one, other = open_engine(url, pool=IMPATIENT), open_engine(url, pool=IMPATIENT)
        async with writing(one):
            waiting = asyncio.create_task(write())
            await asyncio.sleep(0.1)
            order.append("one")
        await waiting
        await one.dispose()
        await other.dispose()
    assert order == ["one", "other"]


async def test_writers_who_only_add_do_not_wait_for_others(shared: AsyncEngine) -> None:
    async with writing(shared), writing(shared, takes_turns=False) as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1
