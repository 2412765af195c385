"""The database, opened when it is first needed.

SQLAlchemy takes a third of a second to import and a first migration longer; a call with the master key, or with a key
that was used before, needs neither. So the gateway listens first, and whoever needs the database waits for it here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from tollway.core.errors import StoreUnavailable
from tollway.core.principal import Principal
from tollway.core.record import Charge, Record
from tollway.ports.keys import KeyStore
from tollway.ports.ledger import LedgerStore

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tollway.stores.sql.keys import SqlKeyStore
    from tollway.stores.sql.ledger import SqlLedgerStore

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


class Opened(msgspec.Struct, frozen=True):
    """A database at the right revision, and the stores on it."""

    engine: AsyncEngine
    keys: SqlKeyStore
    ledger: SqlLedgerStore


class Database:
    """One database, brought to this version's schema and opened once, in the background."""

    def __init__(self, url: str, *, timezone: str, reset_time: str) -> None:
        """`timezone` and `reset_time` place the budget windows of keys."""
        self.url = url
        self._timezone = timezone
        self._reset_time = reset_time
        self._opening: asyncio.Task[Opened] | None = None

    async def opened(self) -> Opened:
        """The open database. The first caller opens it; raises `StoreUnavailable` while that fails, and tries anew."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            raise
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise

    async def state(self) -> str:
        """`connected`, or `disconnected`: for readiness. Waits for a database that is only being opened."""
        from tollway.db.engine import reading

        try:
            opened = await self.opened()
            async with reading(opened.engine) as connection:
                await connection.exec_driver_sql("SELECT 1")
        except StoreUnavailable:
            return "disconnected"
        return "connected"

    async def close(self) -> None:
        """Closes every connection."""
        if self._opening is not None and not self._opening.cancelled():
            try:
                opened = await self._opening
            except StoreUnavailable:
                return
            await opened.engine.dispose()

    async def _open(self) -> Opened:
        await asyncio.to_thread(_prepare, self.url)
        from tollway.db.engine import open_engine
        from tollway.stores.sql.keys import SqlKeyStore
        from tollway.stores.sql.ledger import SqlLedgerStore

        engine = open_engine(self.url)
        keys = SqlKeyStore(engine, timezone=self._timezone, reset_time=self._reset_time)
        return Opened(engine, keys, SqlLedgerStore(engine))


def _prepare(url: str) -> None:
    """Brings the schema up to date and imports what opening needs; in a thread, since both take their time."""
    from tollway.db import upgrade

    if upgrade.current_revision(url) != upgrade.head_revision():
        upgrade.upgrade(url)
    import tollway.stores.sql.keys
    import tollway.stores.sql.ledger  # noqa: F401


class LateKeyStore(KeyStore):
    """`KeyStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def find(self, key_hash: str) -> Principal | None:
        return await (await self._database.opened()).keys.find(key_hash)


class LateLedgerStore(LedgerStore):
    """`LedgerStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def insert(self, records: Sequence[Record]) -> int:
        return await (await self._database.opened()).ledger.insert(records)

    @override
    async def window_spend(self, charges: Sequence[Charge]) -> list[int]:
        return await (await self._database.opened()).ledger.window_spend(charges)
