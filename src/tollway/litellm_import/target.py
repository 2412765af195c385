"""The database that is imported into: what is there already, and what comes in.

A rehearsal writes into a scratch database instead, and looks into both: so it finds what an import would find.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Table, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.db.engine import open_engine, reading, writing
from tollway.db.pool import PoolSettings
from tollway.db.upgrade import current_revision, head_revision, upgrade
from tollway.db.url import sqlite_url
from tollway.litellm_import.report import Outcome
from tollway.stores.sql.limited import from_row

S = TypeVar("S", bound=msgspec.Struct)

_PATIENT = PoolSettings(size=2, answer_timeout_s=None)
_UNCOMPARED = frozenset({"created_at", "created_by", "updated_at", "updated_by", "settings_updated_at"})
_AT_ONCE = 500
"""Databases bound the parameters of a statement."""


def _is_same(stored: msgspec.Struct, made: msgspec.Struct) -> bool:
    return comparable(stored) == comparable(made)


def comparable(row: msgspec.Struct) -> Mapping[str, Any]:
    """What two rows that say the same have in common: not when they were made, and by whom."""
    return {name: value for name, value in msgspec.structs.asdict(row).items() if name not in _UNCOMPARED}


class Target:
    """Rows of one database. Made by `open_target`."""

    def __init__(self, engine: AsyncEngine, looked_into: Sequence[AsyncEngine], *, is_rehearsal: bool) -> None:
        """`engine` is written to; `looked_into` are all that may have rows."""
        self.engine = engine
        self.looked_into = looked_into
        self.is_rehearsal = is_rehearsal

    async def put(
        self, table: Table, rows: Sequence[S], *, is_same: Callable[[S, S], bool] = _is_same
    ) -> list[Outcome]:
        """Adds those rows that are not there yet; what became of each.

        `is_same`: whether one that is there says what a new one does.
        """
        known = await self.existing(table, rows)
        found: list[Outcome] = []
        new: list[S] = []
        for row in rows:
            key = _key_of(table, row)
            if key not in known:
                new.append(row)
                known[key] = row
                found.append("kept")
            else:
                found.append("present" if is_same(known[key], row) else "differs")
        if new:
            names = [name for name in table.columns.keys() if hasattr(new[0], name)]  # noqa: SIM118
            values = [{name: getattr(row, name) for name in names} for row in new]
            async with writing(self.engine) as connection:
                await connection.execute(insert(table), values)
        return found

    async def existing(self, table: Table, rows: Sequence[S]) -> dict[tuple[Any, ...], S]:
        """Those of these rows that are there, as they are, by primary key."""
        kind = type(rows[0]) if rows else None
        keys = sorted({_key_of(table, row) for row in rows})
        found: dict[tuple[Any, ...], S] = {}
        for start in range(0, len(keys), _AT_ONCE):
            is_one = tuple_(*table.primary_key).in_(keys[start : start + _AT_ONCE])
            for engine in self.looked_into:
                async with reading(engine) as connection:
                    for row in await connection.execute(select(table).where(is_one)):
                        assert kind is not None
                        stored = from_row(kind, row)
                        found[_key_of(table, stored)] = stored
        return found

    async def look_up(self, key: Column[Any], value: Column[Any], keys: Collection[Any]) -> dict[Any, Any]:
        """One column of those rows of a table whose other column has one of these values, by it."""
        wanted = sorted({one for one in keys if one is not None})
        found: dict[Any, Any] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            query = select(key, value).where(key.in_(wanted[start : start + _AT_ONCE]))
            for engine in self.looked_into:
                async with reading(engine) as connection:
                    found |= {row[0]: row[1] for row in await connection.execute(query)}
        return found

    async def rows(self, table: Table, kind: type[S], ids: Collection[str | None]) -> dict[str, S]:
        """Rows of a table whose primary key is one text, by it."""
        (key,) = table.primary_key
        wanted = sorted({one for one in ids if one})
        found: dict[str, S] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            query = select(table).where(key.in_(wanted[start : start + _AT_ONCE]))
            for engine in self.looked_into:
                async with reading(engine) as connection:
                    for row in await connection.execute(query):
                        found[row._mapping[key.name]] = from_row(kind, row)
        return found


@asynccontextmanager
async def open_target(url: str, *, is_rehearsal: bool) -> AsyncIterator[Target]:
    """The database at an address, made and brought to the newest schema if need be; in a rehearsal left as it is.

    Raises `StoreUnavailable`.
    """
    engines: list[AsyncEngine] = []
    with TemporaryDirectory(prefix="tollway-rehearsal-") as folder:
        if is_rehearsal:
            scratch = sqlite_url(Path(folder) / "scratch.db")
            await upgrade(scratch)
            engines.append(open_engine(scratch))
            if await current_revision(url) == head_revision():
                engines.append(open_engine(url, pool=_PATIENT))
        else:
            await upgrade(url)
            engines.append(open_engine(url, pool=_PATIENT))
        try:
            yield Target(engines[0], engines, is_rehearsal=is_rehearsal)
        finally:
            for engine in engines:
                await engine.dispose()


def _key_of(table: Table, row: msgspec.Struct) -> tuple[Any, ...]:
    return tuple(getattr(row, column.name) for column in table.primary_key)
