"""Databases to test on. Suites that must hold everywhere are parametrised over `DATABASES`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support import postgres

from tollway.db.engine import open_engine
from tollway.db.pool import PoolSettings
from tollway.db.upgrade import upgrade
from tollway.db.url import sqlite_url

DATABASES = ("sqlite", "postgres")

_PATIENT = PoolSettings(size=5, wait_s=60, connect_timeout_s=60, answer_timeout_s=60, look_up_s=60)
"""A busy machine may stand still for seconds; these tests are not about that."""


def empty_database(kind: str, folder: Path) -> str:
    """The address of a new database of this kind, without tables."""
    if kind == "postgres":
        url = postgres.databases().new_url()
        postgres.databases().create(url)
        return url
    return sqlite_url(folder / "tollway.db")


@asynccontextmanager
async def open_database(kind: str, folder: Path) -> AsyncIterator[AsyncEngine]:
    """A database with the newest schema and nothing in it. Leave no further tables behind."""
    async with migrated_database(kind, folder) as url:
        engine = open_engine(url, pool=_PATIENT, busy_timeout_s=0.05)
        await _share_statements(engine, kind)
        try:
            yield engine
        finally:
            await engine.dispose()


@asynccontextmanager
async def migrated_database(kind: str, folder: Path) -> AsyncIterator[str]:
    """The address of a database with the newest schema and nothing in it."""
    if kind == "postgres":
        url = postgres.databases().take()
        yield url
        postgres.databases().give_back(url)  # after a failure it is not used again
    else:
        url = empty_database(kind, folder)
        await upgrade(url)
        yield url


_first: dict[str, AsyncEngine] = {}
"""The first engine of each kind."""


async def _share_statements(engine: AsyncEngine, kind: str) -> None:
    """Lets all engines of a kind know the statements that one has put into SQL, which takes milliseconds each."""
    async with engine.connect():  # the dialect asks the database who it is
        first = _first.setdefault(kind, engine).sync_engine
    engine.sync_engine.dialect = first.dialect
    engine.sync_engine._compiled_cache = first._compiled_cache


class MissingDatabase:
    """A database that is not there yet."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._folder = folder / "not-there-yet"
        self._is_postgres = kind == "postgres"
        self.url = postgres.databases().new_url() if self._is_postgres else sqlite_url(self._folder / "tollway.db")

    async def appear(self) -> None:
        """Now it is there, with the newest schema."""
        if self._is_postgres:
            postgres.databases().create_migrated(self.url)
        else:
            self._folder.mkdir()
            await upgrade(self.url)
