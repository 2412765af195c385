"""An existing database of LiteLLM, of whatever version: which tables and columns it has, and their rows.

Source of the schema: LiteLLM's `schema.prisma`. Documents were written as JSON texts inside JSON by older versions, and
moments have no zone: they are UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from tollway.core.errors import Misconfigured
from tollway.db.outages import unavailable
from tollway.db.pool import PoolSettings
from tollway.db.postgres import connect
from tollway.db.url import mask_url, postgres_url

Row = dict[str, Any]

BATCH = 500
_PREFIX = "LiteLLM_"
_KEYS = f"{_PREFIX}VerificationToken"


class Source:
    """Reads one consistent view of the database. Made by `open_source`."""

    def __init__(self, connection: asyncpg.Connection, tables: Mapping[str, Mapping[str, str]]) -> None:
        """`tables`: the type of each column of each table."""
        self._connection = connection
        self.tables = tables

    async def count(self, table: str) -> int:
        """How many rows a table has; 0 for one that this version does not have."""
        if table not in self.tables:
            return 0
        count: int = await self._connection.fetchval(_select("count(*)", table))
        return count

    async def batches(
        self, table: str, *, order: Sequence[str] = (), without: Collection[str] = (), since: datetime | None = None
    ) -> AsyncIterator[list[Row]]:
        """All rows of a table, some hundreds at a time.

        `without`: columns that are not read. `since`: only rows whose first column of `order` is not before.
        """
        known = self.tables.get(table, {})
        columns = [name for name in known if name not in without]
        ordered = [_quoted(name) for name in order if name in known]
        if not columns:
            return
        query = _select(", ".join(map(_quoted, columns)), table)
        arguments = []
        if since is not None and ordered:
            query += f" WHERE {ordered[0]} >= $1"
            arguments.append(since.astimezone(UTC).replace(tzinfo=None))
        if ordered:
            query += f" ORDER BY {', '.join(ordered)}"
        cursor = await self._connection.cursor(query, *arguments)
        while rows := await cursor.fetch(BATCH):
            yield [self._read(table, row) for row in rows]

    async def by_id(self, table: str, column: str, ids: Collection[Any]) -> dict[Any, Row]:
        """Those rows of a table whose column has one of these values, by it."""
        wanted = {one for one in ids if one is not None}
        if not wanted or column not in self.tables.get(table, {}):
            return {}
        query = _select("*", table) + f" WHERE {_quoted(column)} = ANY($1)"
        rows = await self._connection.fetch(query, list(wanted))
        return {row[column]: self._read(table, row) for row in rows}

    def _read(self, table: str, row: Mapping[str, Any]) -> Row:
        types = self.tables[table]
        return {name: _value(types[name], value) for name, value in row.items()}


@asynccontextmanager
async def open_source(url: str) -> AsyncIterator[Source]:
    """A database to import from. Raises `Misconfigured` for one that is not LiteLLM's, and `StoreUnavailable`."""
    address = postgres_url(url)
    if address is None:
        raise Misconfigured(f"LiteLLM keeps its data in Postgres: {mask_url(url)} is no such address.", param="url")
    connection = await connect(address, PoolSettings(answer_timeout_s=None))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            tables = await _tables(connection)
            if _KEYS not in tables:
                raise Misconfigured(
                    f'{mask_url(url)} has no table "{_KEYS}": it is no database of LiteLLM, or its tables are in '
                    "another schema (add ?schema=NAME to the address).",
                    param="url",
                )
            yield Source(connection, tables)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise unavailable(error) from error
    finally:
        connection.terminate()


async def _tables(connection: asyncpg.Connection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    rows = await connection.fetch(
        "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c "
        "JOIN information_schema.tables t USING (table_schema, table_name) "
        "WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND starts_with(c.table_name, $1) "
        "ORDER BY c.table_name, c.ordinal_position",
        _PREFIX,
    )
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def _select(what: str, table: str) -> str:
    return f"SELECT {what} FROM {_quoted(table)}"  # noqa: S608  (names are those of the database, quoted)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in ("json", "jsonb"):
        return _document(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _document(text: str) -> Any:
    value = msgspec.json.decode(text)
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value
