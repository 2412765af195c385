"""Connections. Reading and writing are different things here: a writer says so before its first query.

Every error that means "the database cannot be reached" leaves these two as `StoreUnavailable`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tollway.core.errors import StoreUnavailable
from tollway.db.url import is_in_memory, with_driver

_SQLITE_PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON")
_WRITES = "tollway_writes"


def open_engine(url: str, *, pool_size: int = 5, busy_timeout_s: float = 5.0) -> AsyncEngine:
    """An engine for an address in any form `db.url` understands. Connects on first use; `dispose()` it at the end.

    There are never more than `pool_size` connections. `busy_timeout_s`: how long a writer waits for SQLite's lock.
    """
    address = with_driver(url)
    options: dict[str, Any] = {
        "hide_parameters": True,  # rows hold names and hashes; errors are logged
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
    }
    if not is_in_memory(address):
        options |= {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 10}
    if address.startswith("sqlite"):
        return _open_sqlite(address, options | {"connect_args": {"timeout": busy_timeout_s}})
    return create_async_engine(address, pool_pre_ping=True, **options)


def _open_sqlite(address: str, options: dict[str, Any]) -> AsyncEngine:
    engine = create_async_engine(address, **options)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads before it writes could not wait for the lock; so writers take it at once.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to read from, with one consistent view. Raises `StoreUnavailable`."""
    with outages_reported():
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction: committed at the end, rolled back if the block raises. Raises `StoreUnavailable`."""
    with outages_reported():
        async with engine.connect() as connection:
            await connection.execution_options(**{_WRITES: True})
            async with connection.begin():
                yield connection


@contextmanager
def outages_reported() -> Iterator[None]:
    """Turns a driver's ways of saying "cannot reach it" into `StoreUnavailable`; other errors pass."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _unavailable(error) from error
        raise


def _unavailable(error: Exception) -> StoreUnavailable:
    # The driver's words may contain addresses: they go to the log with the cause, not to the caller.
    return StoreUnavailable(
        f"The database cannot be reached right now ({type(error).__name__}). Try again shortly.",
        headers=((b"retry-after", b"5"),),
    )
