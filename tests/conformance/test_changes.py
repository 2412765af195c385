"""Word of changes: the log on each database, and the bus on each thing that can be one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support import postgres
from tests.support.databases import DATABASES, open_database
from tests.support.ports import free_port
from tests.support.valkey import SentinelSet, ValkeyCluster, ValkeyServer, shared_url

from tollway.core.changes import Change, ChangeKind, NumberedChange, Word, decode_word, encode_words
from tollway.core.redis import RedisAddress, RedisNode
from tollway.db.engine import open_engine, writing
from tollway.db.pool import PoolSettings
from tollway.db.url import postgres_url
from tollway.ports.changes import BusUnavailable, ChangeBus
from tollway.stores.redis.bus import RedisBus
from tollway.stores.redis.connection import close_redis, open_redis
from tollway.stores.sql.bus import PostgresBus
from tollway.stores.sql.changes import SqlChangeLog, note_changes

NOW = 1_790_000_000.0
Tell = Callable[[Sequence[NumberedChange]], Awaitable[None]]
CHANGES = [NumberedChange(1, Change("key", "a" * 64)), NumberedChange(2, Change("team", "rot & grün"))]


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as opened:
        yield opened


async def note(engine: AsyncEngine, *ids: str, by: str = "one", kind: ChangeKind = "key", at: float = NOW) -> list[int]:
    async with writing(engine) as connection:
        noted = await note_changes(connection, [Change(kind, name) for name in ids], told_by=by, now_s=at)
    return [one.number for one in noted]


# ---- the log ---------------------------------------------------------------------------------------------------------


async def test_a_log_gives_what_others_noted_in_the_order_of_commits(engine: AsyncEngine) -> None:
    log = SqlChangeLog(engine)
    before = await log.latest()
    first = await note(engine, "b", "a", "b", kind="team")
    await note(engine, "mine", by="two")
    (last,) = await note(engine, "c")
    assert len(first) == 2, "the same change is noted once"
    assert await log.latest() == last
    found = await log.since(before, besides="two", limit=10)
    assert [(one.change.kind, one.change.id) for one in found] == [("team", "b"), ("team", "a"), ("key", "c")]
    assert [one.number for one in found] == [*first, last]
    assert await log.since(before, besides="two", limit=1) == found[:1]
    assert await log.since(last, besides="two", limit=10) == []


async def test_what_is_rolled_back_was_never_noted(engine: AsyncEngine) -> None:
    async def change_and_fail() -> None:
        async with writing(engine) as connection:
            await note_changes(connection, [Change("key", "x")], told_by="one", now_s=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await change_and_fail()
    assert await SqlChangeLog(engine).since(0, besides="", limit=10) == []


async def test_old_notes_are_dropped_and_their_numbers_never_given_again(engine: AsyncEngine) -> None:
    log = SqlChangeLog(engine)
    (old,) = await note(engine, "old", at=NOW - 100)
    (newest,) = await note(engine, "newest", at=NOW - 90)
    await log.forget(before_s=NOW)
    assert [one.number for one in await log.since(old - 1, besides="", limit=10)] == [newest]
    assert await log.latest() == newest
    assert await note(engine, "next") == [newest + 1]


# ---- messages --------------------------------------------------------------------------------------------------------


def test_a_message_says_what_was_put_in() -> None:
    (message,) = encode_words("me", CHANGES)
    assert decode_word(message) == Word("me", tuple(CHANGES))


def test_what_is_too_long_for_a_message_is_told_in_several() -> None:
    many = [NumberedChange(number, Change("key", "k" * 64)) for number in range(100)]
    messages = [*encode_words("me", many, most_bytes=1000)]
    assert max(map(len, messages)) <= 1000
    words = [decode_word(message) for message in messages]
    assert [one for word in words if word is not None for one in word.changes] == many
    assert [*encode_words("me", [NumberedChange(1, Change("tag", "t" * 2000))], most_bytes=1000)] == []


@pytest.mark.parametrize("message", [b"", b"{}", b"[1]", b'["me", [[1, ["from-the-future", "x"]]]]', b"\xff"])
def test_a_message_of_another_kind_is_none(message: bytes) -> None:
    assert decode_word(message) is None


# ---- the bus ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def redis_bus(address: RedisAddress) -> AsyncIterator[tuple[ChangeBus, Tell]]:
    client, others = open_redis(address), open_redis(address)
    try:
        teller = RedisBus(others, address)
        yield RedisBus(client, address), lambda changes: teller.publish("other", changes)
    finally:
        await close_redis(client)
        await close_redis(others)


@asynccontextmanager
async def bus_on(kind: str) -> AsyncIterator[tuple[ChangeBus, Tell]]:
    """A bus, and what another process does to tell of changes."""
    match kind:
        case "postgres":
            url = postgres.databases().take()
            address = postgres_url(url)
            assert address is not None
            engine = open_engine(url)

            async def tell(changes: Sequence[NumberedChange]) -> None:
                async with writing(engine) as connection:
                    await note_changes(connection, [one.change for one in changes], told_by="other", now_s=NOW)

            yield PostgresBus(address, PoolSettings()), tell
            await engine.dispose()
            postgres.databases().drop(url)
        case "redis":
            shared = urlsplit(shared_url())
            node = RedisNode(shared.hostname or "", shared.port or 6379)
            async with redis_bus(RedisAddress(nodes=(node,), password=shared.password, db=2)) as made:
                yield made
        case "sentinel":
            with SentinelSet() as sentinels:
                nodes = tuple(RedisNode(*node) for node in sentinels.nodes)
                address_ = RedisAddress(kind="sentinel", nodes=nodes, service_name=SentinelSet.SERVICE)
                async with redis_bus(address_) as made:
                    yield made
        case "cluster":
            with ValkeyCluster() as cluster:
                nodes = tuple(RedisNode(*node) for node in cluster.nodes)
                async with redis_bus(RedisAddress(kind="cluster", nodes=nodes)) as made:
                    yield made


@pytest.mark.parametrize("kind", ["postgres", "redis", "sentinel", "cluster"])
async def test_what_one_tells_all_hear_within_a_second(kind: str) -> None:
    async with bus_on(kind) as (bus, tell), aclosing(bus.listen()) as one, aclosing(bus.listen()) as another:  # type: ignore[type-var]
        assert await anext(one) == b""
        assert await anext(another) == b""
        took = []
        for _ in range(3):  # a busy machine may stand still for a moment
            started = time.monotonic()
            await tell(CHANGES)
            for listener in (one, another):
                word = decode_word(await anext(listener))
                assert word is not None
                assert word.told_by == "other"
                assert [told.change for told in word.changes] == [told.change for told in CHANGES]
            took.append(time.monotonic() - started)
        assert min(took) < 1


async def test_a_bus_that_is_away_says_so_at_once_and_is_heard_again() -> None:
    with ValkeyServer() as server:
        address = RedisAddress(nodes=(RedisNode("127.0.0.1", server.port),))
        async with redis_bus(address) as (bus, tell):
            started = time.monotonic()
            with pytest.raises(BusUnavailable):
                await tell(CHANGES)
            with pytest.raises(BusUnavailable):
                await anext(bus.listen())
            assert time.monotonic() - started < 0.5
            server.start()
            listener = bus.listen()
            assert await anext(listener) == b""
            server.kill()
            with pytest.raises(BusUnavailable):
                await anext(listener)


async def test_a_bus_that_hangs_is_noticed() -> None:
    with ValkeyServer() as server:
        server.start()
        async with redis_bus(RedisAddress(nodes=(RedisNode("127.0.0.1", server.port),))) as (bus, _):
            listener = bus.listen()
            await anext(listener)
            server.pause()
            with pytest.raises(BusUnavailable):
                async with asyncio.timeout(6):
                    await anext(listener)
            server.resume()


async def test_postgres_that_is_not_there_is_a_bus_that_is_away() -> None:
    address = postgres_url(f"postgresql://tollway@127.0.0.1:{free_port()}/x")
    assert address is not None
    with pytest.raises(BusUnavailable) as caught:
        await anext(PostgresBus(address, PoolSettings()).listen())
    assert "tollway@" not in str(caught.value)


async def test_a_connection_that_postgres_closes_ends_the_listening() -> None:
    url = postgres.databases().take()
    address = postgres_url(url)
    assert address is not None
    listener = PostgresBus(address, PoolSettings()).listen()
    await anext(listener)
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
    with pytest.raises(BusUnavailable):
        await anext(listener)
