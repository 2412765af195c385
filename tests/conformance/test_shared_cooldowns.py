"""Cooldowns between processes, on every kind of Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from tests.support.valkey import ValkeyCluster, ValkeyServer, shared_url

from tollway.core.cooldown import Cooldown
from tollway.core.redis import RedisAddress, RedisNode
from tollway.stores.redis.connection import close_redis, open_redis
from tollway.stores.redis.cooldowns import SharedCooldowns


def address(url: str, prefix: str) -> RedisAddress:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return RedisAddress(
        nodes=(RedisNode(parts.hostname, parts.port),), password=parts.password, namespace=prefix, answer_timeout_s=1
    )


@asynccontextmanager
async def member(at: RedisAddress) -> AsyncIterator[tuple[SharedCooldowns, asyncio.Queue[Cooldown]]]:
    """One process, and what it hears."""
    heard: asyncio.Queue[Cooldown] = asyncio.Queue()
    client = open_redis(at)
    shared = SharedCooldowns(client, at, heard.put_nowait)
    shared.start()
    try:
        yield shared, heard
    finally:
        await shared.stop()
        await close_redis(client)


def cooldown(name: str, seconds: float = 30) -> Cooldown:
    return Cooldown(name, time.time() + seconds, 429, "RateLimitError")


async def hears(heard: asyncio.Queue[Cooldown], wanted: Cooldown) -> list[Cooldown]:
    """Everything up to this one. One may be heard twice, when it is told while somebody begins to listen."""
    found: list[Cooldown] = []
    async with asyncio.timeout(10):
        while wanted not in found:
            found.append(await heard.get())
    return found


async def check_two(at: RedisAddress) -> None:
    first, over, second = cooldown("a"), cooldown("over", -1), cooldown("b")
    async with member(at) as (one, heard_by_one):
        one.tell(first)
        one.tell(over)
        await hears(heard_by_one, over)
        async with member(at) as (other, heard_by_other):
            assert set(await hears(heard_by_other, first)) == {first}, "what is in force, and no more"
            other.tell(second)
            assert set(await hears(heard_by_other, second)) <= {first, second}
            await hears(heard_by_one, second)


async def test_others_hear_of_it_and_those_who_come_later_learn_it() -> None:
    await check_two(address(shared_url(), f"test-{uuid4().hex}"))


async def test_in_a_cluster_too() -> None:
    with ValkeyCluster() as cluster:
        nodes = tuple(RedisNode("127.0.0.1", port) for _, port in cluster.nodes)
        await check_two(RedisAddress(nodes=nodes, kind="cluster", namespace="t", answer_timeout_s=1))


async def test_a_server_that_goes_and_comes_back_is_found_again() -> None:
    with ValkeyServer() as server:
        server.start()
        async with member(address(server.url, "t")) as (one, heard):
            one.tell(first := cooldown("a"))
            await hears(heard, first)
            server.stop()
            one.tell(cooldown("lost"))
            await asyncio.sleep(0.2)
            server.start()
            seen: set[str] = set()
            async with asyncio.timeout(10):
                while "b" not in seen:
                    one.tell(cooldown("b"))
                    await asyncio.sleep(0.2)
                    while not heard.empty():
                        seen.add(heard.get_nowait().deployment_id)
