"""Copies of principals on a real server: sealed, current, and never in anybody's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from tests.support.valkey import ValkeyServer, shared_url

from tollway.config.sealing import Sealer
from tollway.core.changes import Change, ChangeKind, NumberedChange
from tollway.core.principal import Grant, Principal, Role, Scope
from tollway.core.redis import RedisAddress, RedisNode
from tollway.ports.copies import PrincipalCopy
from tollway.stores.redis.connection import close_redis, open_redis
from tollway.stores.redis.principals import SealedPrincipals

KEY = "a" * 64
PRINCIPAL = Principal(
    key_hash=KEY,
    key_name="sk-...abcd",
    role=Role.INTERNAL_USER,
    team_id="red",
    grants=(Grant("key", frozenset({"gpt-*"})),),
    metadata={"note": "plain-text-of-a-principal", "nested": [1, {"a": None}]},
    scopes=(Scope(kind="team", id="red", rpm=3),),
    depends_on=frozenset({("team", "red"), ("user", "ada")}),
)


class Process:
    """One process's copies, and what it knows."""

    def __init__(self, address: RedisAddress, salt: str = "salt") -> None:
        self.newest = 10
        self.client = open_redis(address)
        self.copies = SealedPrincipals(
            self.client, address, Sealer(lambda: salt), lifetime_s=60, newest=lambda: self.newest
        )

    async def keep(self, as_of: int = 10) -> None:
        self.copies.keep(KEY, PrincipalCopy(PRINCIPAL, 1000.5, as_of))
        await self.copies.write()

    async def change(self, number: int, kind: ChangeKind = "key", name: str = KEY, *, is_news: bool = True) -> None:
        self.newest = max(number, self.newest)
        self.copies.forget([NumberedChange(number, Change(kind, name))], is_news=is_news)
        await self.copies.write()

    async def knows(self) -> bool:
        return await self.copies.find(KEY) is not None


def address_of_shared_server() -> RedisAddress:
    shared = urlsplit(shared_url())
    return RedisAddress(nodes=(RedisNode(shared.hostname or "", shared.port or 6379),), password=shared.password)


@asynccontextmanager
async def process(address: RedisAddress | None = None, salt: str = "salt") -> AsyncIterator[Process]:
    made = Process(address or address_of_shared_server(), salt)
    try:
        yield made
    finally:
        await made.copies.stop()
        await close_redis(made.client)


@pytest.fixture
async def one() -> AsyncIterator[Process]:
    async with process() as made:
        await made.client.flushall()
        yield made


@pytest.fixture
async def another(one: Process) -> AsyncIterator[Process]:
    async with process() as made:
        yield made


async def test_what_one_process_loaded_another_finds(one: Process, another: Process) -> None:
    assert not await another.knows()
    await one.keep()
    copy = await another.copies.find(KEY)
    assert copy == PrincipalCopy(PRINCIPAL, 1000.5, 10)
    assert await another.copies.find("b" * 64) is None


async def test_a_copy_tells_nothing_to_whoever_reads_the_server_and_opens_nowhere_else(one: Process) -> None:
    await one.keep()
    name = f"{{tollway}}:principals:{KEY}"
    stored = await one.client.get(name)
    assert isinstance(stored, bytes)
    assert b"plain-text" not in stored
    assert 0 < await one.client.ttl(name) <= 60
    await one.client.set(f"{{tollway}}:principals:{'b' * 64}", stored)
    assert await one.copies.find("b" * 64) is None
    async with process(salt="another salt") as stranger:
        assert not await stranger.knows()


@pytest.mark.parametrize(("kind", "name"), [("key", KEY), ("team", "red"), ("user", "ada")])
async def test_a_change_of_anything_it_was_made_from_ends_a_copy(
    one: Process, another: Process, kind: ChangeKind, name: str
) -> None:
    await one.keep()
    await one.change(11, kind, "somebody-else")
    assert await another.knows()
    await one.change(12, kind, name)
    assert not await another.knows()
    await one.keep(as_of=12)
    assert await another.knows()


async def test_a_copy_that_arrives_after_the_change_it_knows_nothing_of_is_no_good(
    one: Process, another: Process
) -> None:
    await another.change(11)
    await one.keep(as_of=10)  # loaded before, written late
    assert not await another.knows()
    assert not await one.knows()


async def test_a_change_that_was_only_heard_of_counts_before_the_server_knows_it(
    one: Process, another: Process
) -> None:
    await one.keep()
    await another.change(11, is_news=False)
    assert not await another.knows()
    assert await one.knows()


async def test_a_server_that_lost_its_marks_vouches_for_nothing(one: Process, another: Process) -> None:
    await one.keep()
    await one.change(11)
    await one.client.delete("{tollway}:principals")
    assert not await another.knows()
    await another.keep(as_of=9)  # loaded before what was lost could have happened
    assert not await one.knows()
    await another.keep(as_of=11)
    assert await one.knows()


async def test_a_server_that_was_emptied_is_filled_again(one: Process, another: Process) -> None:
    await one.keep()
    await one.client.flushall()
    assert not await another.knows()
    await one.keep()
    assert await another.knows()


async def test_more_marks_than_it_may_have_end_all_copies_and_are_dropped(
    one: Process, another: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.redis.principals._MOST_MARKS", 20)
    await one.keep()
    for number in range(11, 41):
        await one.change(number, "team", f"team-{number}")
    assert await one.client.hlen("{tollway}:principals") <= 22
    assert not await another.knows()
    await one.keep(as_of=40)
    assert await another.knows()


async def test_a_server_that_is_away_is_no_copy_and_gets_what_it_missed_later() -> None:
    with ValkeyServer() as server:
        address = RedisAddress(nodes=(RedisNode("127.0.0.1", server.port),))
        async with process(address) as one:
            started = time.monotonic()
            assert not await one.knows()
            assert time.monotonic() - started < 0.3
            one.copies.start()
            one.copies.forget([NumberedChange(11, Change("team", "blue"))], is_news=True)
            await asyncio.sleep(0.1)
            server.start()
            await asyncio.sleep(1.3)
            assert await one.client.hget("{tollway}:principals", "team:blue") == b"11"


async def test_a_server_that_hangs_holds_nobody_up_for_long() -> None:
    with ValkeyServer() as server:
        server.start()
        address = RedisAddress(nodes=(RedisNode("127.0.0.1", server.port),), answer_timeout_s=0.2)
        async with process(address) as one:
            await one.keep()
            server.pause()
            started = time.monotonic()
            for _ in range(10):
                assert not await one.knows()
            assert time.monotonic() - started < 0.5, "asked once, not ten times"
            server.resume()
