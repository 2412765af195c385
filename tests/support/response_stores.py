"""Every kind of `ResponseStore`, opened for a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support import moto
from tests.support.clock import FakeClock
from tests.support.databases import DATABASES, open_database
from tests.support.similar import OpenSimilar, in_memory, in_postgres
from tests.support.valkey import shared_cluster, shared_url

from tollway.config.sealing import Sealer
from tollway.core.bucket import Bucket
from tollway.core.redis import RedisAddress, RedisNode
from tollway.ports.responses import AnswerTable, KeptAnswer, ResponseStore
from tollway.providers.amazon import SignedBucket
from tollway.stores.disk.responses import DiskResponseStore
from tollway.stores.gathered import GatheredResponseStore
from tollway.stores.memory.responses import MemoryResponseStore
from tollway.stores.redis.connection import open_redis
from tollway.stores.redis.responses import RedisResponseStore
from tollway.stores.s3.responses import S3ResponseStore
from tollway.stores.sql.responses import SqlAnswerTable
from tollway.upstream.direct import DirectTransport

Open = Callable[[Path], AbstractAsyncContextManager[ResponseStore]]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[ResponseStore]:
    yield MemoryResponseStore(FakeClock(), max_bytes=1_000_000)


@asynccontextmanager
async def disk(folder: Path) -> AsyncIterator[ResponseStore]:
    store = DiskResponseStore(folder / "cache", FakeClock(), max_bytes=1_000_000)
    yield store
    await store.close()


@asynccontextmanager
async def on_redis(address: RedisAddress, *, timeout_s: float = 5.0) -> AsyncIterator[RedisResponseStore]:
    store = RedisResponseStore(open_redis(address), address, timeout_s=timeout_s)
    yield store
    await store.close()


def plain_address() -> RedisAddress:
    """A namespace of its own on the server of this test process."""
    url = urlsplit(shared_url())
    assert url.hostname is not None
    assert url.port is not None
    return RedisAddress(nodes=(RedisNode(url.hostname, url.port),), password=url.password, namespace=f"t-{uuid4().hex}")


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[ResponseStore]:
    async with on_redis(plain_address()) as store:
        yield store


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[ResponseStore]:
    nodes = tuple(RedisNode(host, port) for host, port in shared_cluster())
    async with on_redis(RedisAddress(kind="cluster", nodes=nodes, namespace=f"t-{uuid4().hex}")) as store:
        yield store


@asynccontextmanager
async def on_table(
    database: AsyncEngine | AnswerTable,
    *,
    clock: FakeClock | None = None,
    max_bytes: int = 1_000_000,
    salt: str = "sk-salt",
    timeout_s: float = 5.0,
) -> AsyncIterator[GatheredResponseStore]:
    table = SqlAnswerTable(database) if isinstance(database, AsyncEngine) else database
    seal = Sealer(lambda: salt)
    store = GatheredResponseStore(table, seal, clock or FakeClock(), timeout_s=timeout_s, max_bytes=max_bytes)
    yield store
    await store.close()


@asynccontextmanager
async def on_database(kind: str, folder: Path) -> AsyncIterator[ResponseStore]:
    async with open_database(kind, folder) as engine, on_table(engine) as store:
        yield store


def new_bucket() -> Bucket:
    """An empty one."""
    return Bucket(
        name=moto.new_bucket(),
        endpoint_url=moto.shared_url(),
        path="of the tests/ä",
        access_key_id="key of the tests",
        secret_access_key="secret of the tests",
    )


@asynccontextmanager
async def in_bucket(
    bucket: Bucket, *, clock: FakeClock | None = None, timeout_s: float = 5.0
) -> AsyncIterator[S3ResponseStore]:
    signed, transport = SignedBucket(bucket, {}), DirectTransport()
    store = S3ResponseStore(
        transport,
        signed.endpoint,
        signed,
        clock or FakeClock(),
        bucket_path=signed.path,
        prefix=bucket.path,
        timeout_s=timeout_s,
    )
    yield store
    await store.close()
    await transport.close()


@asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[ResponseStore]:
    async with in_bucket(new_bucket()) as store:
        yield store


@asynccontextmanager
async def semantic(open_similar: OpenSimilar, folder: Path) -> AsyncIterator[ResponseStore]:
    async with open_similar(folder, FakeClock()) as store:
        yield store


STORES: dict[str, Open] = {
    "memory": memory,
    "disk": disk,
    "redis": redis,
    "cluster": cluster,
    **{kind: partial(on_database, kind) for kind in DATABASES},
    "s3": s3,
    "semantic memory": partial(semantic, in_memory),
    "semantic postgres": partial(semantic, in_postgres),
}


def answer(text: str = "Hello") -> KeptAnswer:
    """One with something in every field."""
    return KeptAnswer(1.5, text.encode(), True, "r-1", "d-1", 12, 34)


async def written(store: ResponseStore, key: str) -> KeptAnswer:
    """The answer, once it is there: nobody waits for its being written."""
    async with asyncio.timeout(5):
        while (found := await store.get(key)) is None:  # noqa: ASYNC110 - it is written elsewhere
            await asyncio.sleep(0.01)
    return found
