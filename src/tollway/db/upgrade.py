"""Is the schema the one this version needs? Asked at every start, so it costs a query and no imports.

Only when the answer is no does Alembic run, in a process of its own. A new SQLite file needs no Alembic at all: it is
made from `schema.sql`, which a test holds equal to the migrations.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tollway.core.errors import Misconfigured, StoreUnavailable
from tollway.db.url import mask_url, postgres_url, sqlite_path, sqlite_url

_log = logging.getLogger(__name__)

HEAD = "0014"
"""The newest migration. Numbers have four digits and grow by one, so that text order is their order."""

URL_VARIABLE = "TOLLWAY_DATABASE_URL"


def head_revision() -> str:
    """The revision that this version of Tollway works with."""
    return HEAD


async def current_revision(url: str) -> str | None:
    """The revision that the database has; None for one without tables, or that does not exist yet.

    Raises `StoreUnavailable`.
    """
    address = postgres_url(url)
    if address is not None:
        from tollway.db.postgres import read_revision  # noqa: PLC0415  (the driver: nobody on SQLite pays for it)

        return await read_revision(address)
    path = sqlite_path(url)
    if path is None:
        raise Misconfigured(f"database URL: {mask_url(url)} has no file to keep anything in", param="database_url")
    return _current_sqlite_revision(path)


async def upgrade(url: str) -> bool:
    """Brings the database to `head_revision`; whether there was anything to do.

    A database that a newer version has upgraded is left as it is: neighbouring versions share a schema.
    Raises `StoreUnavailable`, or `Misconfigured` when a migration fails.
    """
    current = await current_revision(url)
    if current is not None and current >= HEAD:
        if current > HEAD:
            _log.warning("database %s: schema %s is newer than %s; using it as it is", mask_url(url), current, HEAD)
        return False
    path = sqlite_path(url)
    if current is None and path is not None:
        await asyncio.to_thread(_create_sqlite, path)
    if await current_revision(url) != HEAD:
        await _run_migrations(url)
    return True


@contextmanager
def upgrade_lock(url: str) -> Iterator[None]:
    """One upgrade of an SQLite file at a time: waits for other processes of this machine. Blocks.

    Upgrades of Postgres wait for each other inside their transactions, wherever they come from: see `db.migrate`.
    """
    path = sqlite_path(url)
    if path is None:
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Path(f"{path}.upgrade-lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _current_sqlite_revision(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            has_revision = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
            if connection.execute(has_revision).fetchone() is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return row[0] if row else None
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"database {path}: {error}") from error


def _create_sqlite(path: Path) -> None:
    try:
        _run_schema(path)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"database {path}: it cannot be created ({error})") from error


def _run_schema(path: Path) -> None:
    script = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
    with upgrade_lock(sqlite_url(path)):
        path.touch(mode=0o600)  # SQLite gives its companion files the same mode
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # so that space can be given back later
                connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")


async def _run_migrations(url: str) -> None:
    _log.info("database %s: upgrading the schema to %s", mask_url(url), HEAD)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tollway", "db", "upgrade"),
        env=os.environ | {URL_VARIABLE: url},  # not an argument: those are for everyone to see
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        await current_revision(url)  # raises if the database went away meanwhile
        raise Misconfigured(
            f"database {mask_url(url)}: the schema could not be upgraded to {HEAD}; nothing was changed. "
            f"Run `tollway db upgrade` to see why. It said:\n{output.decode(errors='replace')[-2000:]}",
            param="database_url",
        )
