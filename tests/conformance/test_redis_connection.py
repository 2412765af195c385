"""The client for a shared Redis, on each way of running one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.exceptions import RedisError
from tests.support.ports import free_port
from tests.support.valkey import SentinelSet, ValkeyCluster, ValkeyServer, shared_url

from tollway.core.redis import RedisAddress, RedisNode
from tollway.stores.redis.connection import RedisClient, close_redis, open_redis

SCRIPT = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + redis.call('INCRBY', KEYS[2], ARGV[1])"


def standalone(server: ValkeyServer, **more: Any) -> RedisAddress:
    return RedisAddress(nodes=(RedisNode("127.0.0.1", server.port),), **more)


def at_shared_server(**more: Any) -> RedisAddress:
    address = urlsplit(shared_url())
    assert address.hostname is not None
    assert address.port is not None
    return RedisAddress(nodes=(RedisNode(address.hostname, address.port),), password=address.password, **more)


def behind(sentinels: SentinelSet) -> RedisAddress:
    nodes = tuple(RedisNode(*node) for node in sentinels.nodes)
    return RedisAddress(kind="sentinel", nodes=nodes, service_name=SentinelSet.SERVICE, password=sentinels.password)


@asynccontextmanager
async def opened(address: RedisAddress) -> Any:
    client = open_redis(address)
    try:
        yield client
    finally:
        await close_redis(client)


async def count(client: RedisClient, address: RedisAddress, by: int = 1) -> int:
    keys = [f"{address.prefix}one", f"{address.prefix}two"]
    total: int = await client.eval(SCRIPT, 2, *keys, by)
    return total


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    with ValkeyCluster() as running:
        yield running


async def test_a_script_over_several_keys_runs_on_a_plain_server() -> None:
    address = at_shared_server()
    async with opened(address) as client:
        await client.flushall()
        assert await count(client, address) == 2
        assert await count(client, address) == 4


async def test_a_script_over_several_keys_runs_on_a_cluster(cluster: ValkeyCluster) -> None:
    nodes = tuple(RedisNode(*node) for node in cluster.nodes[:1])
    for namespace in ("", "other"):
        address = RedisAddress(kind="cluster", nodes=nodes, namespace=namespace)
        async with opened(address) as client:
            assert await count(client, address) == 2


async def test_a_cluster_serves_more_callers_than_it_has_connections(cluster: ValkeyCluster) -> None:
    address = RedisAddress(kind="cluster", nodes=tuple(RedisNode(*node) for node in cluster.nodes), connections=2)
    async with opened(address) as client:
        await client.delete(f"{address.prefix}one", f"{address.prefix}two")
        assert max(await asyncio.gather(*(count(client, address) for _ in range(50)))) == 100


async def test_a_failover_of_sentinels_is_followed() -> None:
    with SentinelSet(password="of-the-tests") as sentinels:
        address = behind(sentinels)
        async with opened(address) as client:
            assert await count(client, address) == 2
            await client.wait(1, 1000)
            sentinels.master.kill()
            give_up_at = time.monotonic() + 10
            while True:
                started = time.monotonic()
                try:
                    assert await count(client, address) == 4
                    break
                except RedisError:
                    assert time.monotonic() < give_up_at
                assert time.monotonic() - started < 2
                await asyncio.sleep(0.05)


async def test_a_server_that_is_not_there_is_told_of_at_once() -> None:
    address = RedisAddress(nodes=(RedisNode("127.0.0.1", free_port()),))
    async with opened(address) as client:
        started = time.monotonic()
        with pytest.raises(RedisError):
            await client.ping()
        assert time.monotonic() - started < 0.3


async def test_a_server_that_hangs_is_waited_for_no_longer_than_the_address_says() -> None:
    with ValkeyServer() as server:
        server.start()
        address = standalone(server, answer_timeout_s=0.2, connections=1)
        async with opened(address) as client:
            await client.ping()
            server.pause()
            started = time.monotonic()
            told = await asyncio.gather(*(client.ping() for _ in range(3)), return_exceptions=True)
            assert all(isinstance(error, RedisError) for error in told)
            assert time.monotonic() - started < 1.5
            server.resume()
            assert await client.ping()


async def test_there_are_never_more_connections_than_the_address_allows() -> None:
    with ValkeyServer(password="of-the-tests") as server:
        server.start()
        address = standalone(server, password="of-the-tests", connections=3)
        async with opened(address) as client:
            assert max(await asyncio.gather(*(count(client, address) for _ in range(60)))) == 120
            assert server.ask("CLIENT", "LIST").count("name=tollway") == 3


async def test_a_socket_of_the_machine_serves_as_well() -> None:
    path = f"/tmp/tollway-valkey-{free_port()}.sock"
    async with AsyncExitStack() as stack:
        server = stack.enter_context(ValkeyServer("--unixsocket", path, "--unixsocketperm", "700"))
        server.start()
        client = await stack.enter_async_context(opened(RedisAddress(socket_path=path, db=3)))
        await client.set("x", 1)
        assert "db3:keys=1" in server.ask("INFO", "keyspace")


def test_an_address_tells_no_password() -> None:
    address = RedisAddress(nodes=(RedisNode("h", 1),), password="s3cret", sentinel_password="s3cret")
    assert "s3cret" not in f"{address!r} {address} {[address]}"
    assert str(address) == "h:1"


async def test_a_cluster_that_is_not_there_is_told_of_at_once() -> None:
    address = RedisAddress(kind="cluster", nodes=(RedisNode("127.0.0.1", free_port()),))
    async with opened(address) as client:
        started = time.monotonic()
        with pytest.raises(RedisError):
            await count(client, address)
        assert time.monotonic() - started < 0.5
