"""Settings of the database before anything is imported or upgraded for it: the start depends on them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tollway.core.errors import StoreUnavailable
from tollway.db.url import postgres_url, sqlite_path

_WAIT_S = 5.0


async def read_settings(url: str) -> list[tuple[str, str, str]]:
    """Section, name and JSON of every setting; none from a database that is still to be made or upgraded.

    Raises `StoreUnavailable`.
    """
    address = postgres_url(url)
    if address is not None:
        from tollway.db import postgres  # noqa: PLC0415  (the driver: nobody on SQLite pays for it)

        return await postgres.read_settings(address)
    path = sqlite_path(url)
    return [] if path is None or not path.exists() else await asyncio.to_thread(_read_sqlite, path)


def _read_sqlite(path: Path) -> list[tuple[str, str, str]]:
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'settings'").fetchone() is None:
                return []
            # SQLite keeps a JSON number as a number.
            query = "SELECT section, name, CAST(value AS TEXT) FROM settings ORDER BY section, name"
            return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"database {path}: {error}") from error
