"""Connections to Postgres through its driver alone. Imported only where a Postgres address is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tollway.db.outages import unavailable
from tollway.db.pool import PoolSettings
from tollway.db.url import PostgresUrl

_LOOK_TIMEOUT_S = 5.0


async def connect(address: PostgresUrl, pool: PoolSettings) -> asyncpg.Connection:
    """A new connection. Raises `StoreUnavailable`, whatever it is that keeps us out."""
    try:
        return await asyncpg.connect(
            address.dsn,
            timeout=pool.connect_timeout_s,
            statement_cache_size=0 if pool.without_prepared_statements else 100,
            server_settings=_server_settings(address, pool),
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise unavailable(error) from error


def _server_settings(address: PostgresUrl, pool: PoolSettings) -> dict[str, str]:
    settings: dict[str, str] = {}
    if address.schema is not None:
        settings["search_path"] = address.schema
    if (
        pool.answer_timeout_s is not None and not pool.without_prepared_statements
    ):  # poolers refuse what they do not know
        milliseconds = str(int(pool.answer_timeout_s * 1000))
        settings |= {"statement_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds}
    return settings


async def read_settings(address: PostgresUrl) -> list[tuple[str, str, str]]:
    """Section, name and JSON of every setting, none without tables of ours. Raises `StoreUnavailable`."""
    async with _looking(address) as connection:
        if await connection.fetchval("SELECT to_regclass('settings')::text") is None:
            return []
        rows = await connection.fetch("SELECT section, name, value::text FROM settings ORDER BY section, name")
        return [(row[0], row[1], row[2]) for row in rows]


async def read_revision(address: PostgresUrl) -> str | None:
    """The revision of the schema, None without tables of ours. Raises `StoreUnavailable`."""
    async with _looking(address) as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')::text") is None:
            return None
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision


@asynccontextmanager
async def _looking(address: PostgresUrl) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a quick look. Raises `StoreUnavailable`."""
    connection = await connect(address, PoolSettings(answer_timeout_s=None, without_prepared_statements=True))
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT_S):
            yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise unavailable(error) from error
    finally:
        connection.terminate()  # at once, whatever state the server is in
