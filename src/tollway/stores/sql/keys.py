"""Virtual keys in a database: looked up by hash when the data plane meets one it does not know.

A row becomes a `VirtualKey` here, and with what it belongs to a `Principal`. Writing keys is `control.keys`' part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tollway.core.principal import Principal
from tollway.db.engine import look_up_s, reading
from tollway.db.keys import deleted_keys, retired_key_hashes, virtual_keys
from tollway.stores.sql.limited import from_row
from tollway.stores.sql.principals import load_surroundings, principal_of
from tollway.stores.sql.virtual_key import VirtualKey


class SqlKeyStore:
    """`ports.keys.KeyStore` on SQLite or Postgres. Every method raises `StoreUnavailable` in an outage."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        """`clock`: epoch seconds; decides whether a regenerated key's old value still works."""
        self._engine = engine
        self._clock = clock

    async def find(self, key_hash: str) -> Principal | None:
        """The principal behind a key hash; None if there is no such key."""
        now = self._clock()
        query = select(virtual_keys).where(_opens_with(key_hash, datetime.fromtimestamp(now, UTC)))
        async with reading(self._engine, within_s=look_up_s(self._engine)) as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            key = from_row(VirtualKey, row)
            if key.key_hash != key_hash:
                key = await self._for_its_time(connection, key, key_hash)
            return principal_of(key, await load_surroundings(connection, key), now)

    async def _for_its_time(self, connection: AsyncConnection, key: VirtualKey, earlier: str) -> VirtualKey:
        """A regenerated key opened by an earlier value: the same key, for the time that value was given."""
        last = select(retired_key_hashes.c.works_until).where(retired_key_hashes.c.key_hash == earlier)
        works_until: datetime = (await connection.execute(last)).scalar_one()
        return msgspec.structs.replace(key, expires_at=min(key.expires_at or works_until, works_until))

    async def name_keys(self, hashes: Sequence[str]) -> dict[str, VirtualKey]:
        """Keys by hash, deleted ones included; unknown hashes are left out."""
        found: dict[str, VirtualKey] = {}
        async with reading(self._engine) as connection:
            for table in (deleted_keys, virtual_keys):  # the living win
                rows = await connection.execute(select(table).where(table.c.key_hash.in_(hashes)))
                found.update((key.key_hash, key) for key in (from_row(VirtualKey, row) for row in rows))
        return found

    async def find_hashes(self, key_hash: str) -> list[str]:
        """All hashes of a key that was regenerated, the given one first; only the given one of any other key."""
        tables = (virtual_keys, retired_key_hashes, deleted_keys)
        async with reading(self._engine) as connection:
            owners = [select(table.c.spend_id).where(table.c.key_hash == key_hash) for table in tables]
            spend_ids = {spend_id for query in owners for (spend_id,) in await connection.execute(query)}
            kin = [select(table.c.key_hash).where(table.c.spend_id.in_(spend_ids)) for table in tables]
            hashes = {found for query in kin for (found,) in await connection.execute(query)} if spend_ids else set()
        return [key_hash, *sorted(hashes - {key_hash})]


def _opens_with(key_hash: str, now: datetime) -> ColumnElement[bool]:
    # One statement for both ways in, so that an unknown key costs one indexed read.
    still_works = select(retired_key_hashes.c.spend_id).where(
        retired_key_hashes.c.key_hash == key_hash, retired_key_hashes.c.works_until > now
    )
    return or_(virtual_keys.c.key_hash == key_hash, virtual_keys.c.spend_id.in_(still_works))
