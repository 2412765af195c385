"""Databases to test on. Suites that must hold everywhere are parametrised over `DATABASES`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.db.engine import open_engine
from tollway.db.upgrade import upgrade
from tollway.db.url import sqlite_url

DATABASES = ("sqlite",)


def empty_database(kind: str, folder: Path) -> str:
    """The address of a new database of this kind, without tables."""
    assert kind == "sqlite"
    return sqlite_url(folder / "tollway.db")


@asynccontextmanager
async def open_database(kind: str, folder: Path) -> AsyncIterator[AsyncEngine]:
    """A new database with the newest schema."""
    url = empty_database(kind, folder)
    await upgrade(url)
    engine = open_engine(url, busy_timeout_s=0.05)
    try:
        yield engine
    finally:
        await engine.dispose()
