"""Stores of answers that are found by meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import open_database

from tollway.config.sealing import Sealer
from tollway.ports.similar import SimilarAnswers
from tollway.stores.memory.similar import MemorySimilarAnswers
from tollway.stores.sql.similar import DatabaseSimilarAnswers

OpenSimilar = Callable[[Path, Callable[[], float]], AbstractAsyncContextManager[SimilarAnswers]]
SALT_KEY = "sk-salt-of-the-tests"


@asynccontextmanager
async def in_memory(folder: Path, clock: Callable[[], float]) -> AsyncIterator[SimilarAnswers]:
    yield MemorySimilarAnswers(clock, max_bytes=1_000_000)


def on_engine(
    engine: AsyncEngine, clock: Callable[[], float], *, salt_key: str = SALT_KEY, max_bytes: int = 1_000_000
) -> DatabaseSimilarAnswers:
    """A store on an open database."""

    async def opened() -> AsyncEngine:
        return engine

    sealer = Sealer(lambda: salt_key)
    return DatabaseSimilarAnswers(opened, sealer, clock, timeout_s=5.0, max_bytes=max_bytes)


@asynccontextmanager
async def in_postgres(folder: Path, clock: Callable[[], float]) -> AsyncIterator[SimilarAnswers]:
    async with open_database("postgres", folder) as engine:
        store = on_engine(engine, clock)
        yield store
        await store.close()
