"""Counter stores to test on. Suites that must hold everywhere are parametrised over `COUNTER_STORES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

from tests.support.valkey import shared_url

from tollway.core.redis import RedisAddress, RedisNode
from tollway.ports.counters import CounterStore
from tollway.stores.memory.counters import MemoryCounterStore
from tollway.stores.redis.connection import close_redis, open_redis
from tollway.stores.redis.counters import RedisCounterStore
from tollway.stores.redis.gathering import Gathering
from tollway.stores.redis.script import CountersScript

Clock = Callable[[], float]
OpenStore = Callable[[Clock], AbstractAsyncContextManager[CounterStore]]


@asynccontextmanager
async def memory_counters(clock: Clock) -> AsyncIterator[CounterStore]:
    yield MemoryCounterStore(clock)


def _shared_server() -> RedisAddress:
    url = urlsplit(shared_url())
    assert url.hostname is not None
    assert url.port is not None
    return RedisAddress(nodes=(RedisNode(url.hostname, url.port),), password=url.password, answer_timeout_s=10)


async def _nothing_to_flush() -> None:
    """A worker without a journal."""


@asynccontextmanager
async def redis_counters(
    clock: Clock,
    *,
    address: RedisAddress | None = None,
    prefix: str = "",
    worker: str = "",
    flush: Callable[[], Awaitable[None]] = _nothing_to_flush,
    timeout_s: float = 5.0,
    lease_s: float = 60.0,
    timezone: str = "UTC",
) -> AsyncIterator[RedisCounterStore]:
    """One worker's. Those with the same `prefix` share their counters; else these are new ones."""
    prefix = prefix or f"{{test-{uuid4().hex}}}"
    worker = worker or uuid4().hex[:8]
    client = open_redis(address or _shared_server())
    send = CountersScript(client, prefix=prefix, worker=worker, clock=clock)
    store = RedisCounterStore(
        MemoryCounterStore(clock, timezone=timezone), send, worker=worker, timeout_s=timeout_s, lease_s=lease_s
    )
    await store.start(partial(Gathering, client=client, prefix=prefix), flush)
    try:
        yield store
    finally:
        await store.close()
        await close_redis(client)


COUNTER_STORES: dict[str, OpenStore] = {"memory": memory_counters, "redis": redis_counters}
