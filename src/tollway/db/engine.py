"""Connections. Reading and writing are different things here: a writer says so before its first query.

Every error that means "the database cannot be reached" leaves these two as `StoreUnavailable`, and every one that means
"this value cannot be stored" as `InvalidRequest`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, event, func, select
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tollway.core.errors import InvalidRequest
from tollway.db.outages import is_outage, is_refusal, unavailable
from tollway.db.pool import PoolSettings
from tollway.db.url import PostgresUrl, is_in_memory, postgres_url, with_driver

_SQLITE_PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON")
_SQLITE_CONNECTIONS = 5
_WRITES = "tollway_writes"
_ANSWER_TIMEOUT = "tollway_answer_timeout_s"
_LOOK_UP_TIMEOUT = "tollway_look_up_timeout_s"
_CUT_AFTER_S = 0.5
"""The server is the first to end what takes too long; then there is no need to cut the connection."""
_TURN = "tollway_turn"
"""Writers of this process wait here, and not each with a connection that readers could use."""
_WRITERS_TURN = 0x746F6C6C_77617901
"""The advisory lock of writers on Postgres: turns between processes."""


def open_engine(url: str, *, pool: PoolSettings | None = None, busy_timeout_s: float = 5.0) -> AsyncEngine:
    """An engine for an address in any form `db.url` understands. Connects on first use; `dispose()` it at the end.

    There are never more than `pool.size` connections to Postgres. `busy_timeout_s`: how long a writer waits for
    SQLite's lock.
    """
    options: dict[str, Any] = {
        "hide_parameters": True,  # rows hold names and hashes; errors are logged
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
    }
    postgres = postgres_url(url)
    if postgres is not None:
        return _open_postgres(postgres, pool or PoolSettings(), options)
    address = with_driver(url)
    if not is_in_memory(address):
        options |= {"pool_size": _SQLITE_CONNECTIONS, "max_overflow": 0, "pool_timeout": 10}
    return _open_sqlite(address, options | {"connect_args": {"timeout": busy_timeout_s}})


def _open_postgres(address: PostgresUrl, pool: PoolSettings, options: dict[str, Any]) -> AsyncEngine:
    from tollway.db.postgres import connect  # noqa: PLC0415  (the driver: nobody on SQLite pays for it)

    connect_args: dict[str, Any] = {"async_creator_fn": lambda: connect(address, pool)}
    if pool.without_prepared_statements:  # each transaction may meet another server connection, and the names on it
        connect_args |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: f"t{uuid4().hex}"}
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args=connect_args,
        execution_options={
            _ANSWER_TIMEOUT: pool.answer_timeout_s,
            _LOOK_UP_TIMEOUT: pool.look_up_s,
            _TURN: asyncio.Lock(),
        },
        pool_size=pool.size,
        max_overflow=0,
        pool_timeout=pool.wait_s,
        pool_use_lifo=True,  # so that connections nobody needs grow old
        **options,
    )

    @event.listens_for(engine.sync_engine, "checkin")
    def remember(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: Any, record: Any, _fairy: Any) -> None:
        # No round trip: a server that stopped has closed its connections, and the loop knows that by now.
        driver = connection.driver_connection
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) > pool.max_idle_s:
            driver.terminate()
        if driver.is_closed():
            record.info.clear()
            raise DisconnectionError

    return engine


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
async def reading(engine: AsyncEngine, *, within_s: float | None = None) -> AsyncIterator[AsyncConnection]:
    """A connection to read from, with one consistent view. Raises `StoreUnavailable`, `InvalidRequest`.

    `within_s`: seconds that Postgres has for all of it, instead of its `answer_timeout_s`.
    """
    with outages_reported():
        async with _connected(engine, within_s) as connection:
            if is_postgres(engine):
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine, *, takes_turns: bool = True) -> AsyncIterator[AsyncConnection]:
    """A transaction: committed at the end, rolled back if the block raises.

    Writers take turns, so that what one has read is still so when it writes. On Postgres those who only add can do
    without: they go on beside each other with `takes_turns` off. Raises `StoreUnavailable`, `InvalidRequest`.
    """
    is_one_of_many = takes_turns and is_postgres(engine)
    with outages_reported():
        async with _turn(engine) if is_one_of_many else nullcontext(), _connected(engine) as connection:
            await connection.execution_options(**{_WRITES: True})
            async with connection.begin():
                if is_one_of_many:
                    await connection.execute(select(func.pg_advisory_xact_lock(_WRITERS_TURN)))
                yield connection


@asynccontextmanager
async def _turn(engine: AsyncEngine) -> AsyncIterator[None]:
    options = engine.get_execution_options()
    turn: asyncio.Lock = options[_TURN]
    async with asyncio.timeout(options[_ANSWER_TIMEOUT]):
        await turn.acquire()
    try:
        yield
    finally:
        turn.release()


def look_up_s(engine: AsyncEngine) -> float | None:
    """Seconds for what a call waits for before it is served; None: no limit."""
    seconds: float | None = engine.get_execution_options().get(_LOOK_UP_TIMEOUT)
    return seconds


def is_postgres(engine: AsyncEngine) -> bool:
    """Whether it leads to Postgres."""
    return engine.dialect.name == "postgresql"


@asynccontextmanager
async def _connected(engine: AsyncEngine, within_s: float | None = None) -> AsyncIterator[AsyncConnection]:
    """A connection; on Postgres, for no longer than it may take."""
    answer_timeout_s = engine.get_execution_options().get(_ANSWER_TIMEOUT)
    if answer_timeout_s is None:
        async with engine.connect() as connection:
            yield connection
        return
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + (within_s or answer_timeout_s + _CUT_AFTER_S)
    connection = engine.connect()
    async with asyncio.timeout_at(give_up_at):
        await connection.start()
    # A server that hangs answers to nothing, so there is nothing to ask of it: the connection is cut, and whoever waits
    # for it (a query, a rollback) learns so at once.
    driver: Any = (await connection.get_raw_connection()).driver_connection
    cut = loop.call_at(give_up_at, driver.terminate)
    try:
        yield connection
    finally:
        cut.cancel()
        await asyncio.shield(asyncio.create_task(connection.close()))


@contextmanager
def outages_reported() -> Iterator[None]:
    """Turns a driver's ways of saying "cannot reach it" into `StoreUnavailable`, and of refusing a value into
    `InvalidRequest`; other errors pass."""
    try:
        yield
    except (PoolTimeout, OSError) as error:
        raise unavailable(error) from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise _refused() from error
    except DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None) or ""
        cause = error.orig.__cause__ if error.orig is not None else None
        if is_refusal(code) or isinstance(error, DataError) or isinstance(cause, ValueError):
            raise _refused() from error
        if (
            isinstance(error, OperationalError | InterfaceError | NotSupportedError)
            or error.connection_invalidated
            or is_outage(code)
        ):
            raise unavailable(error) from error
        raise


def _refused() -> InvalidRequest:
    return InvalidRequest("A value cannot be stored: a number is too large, or a text has a character that is none.")
