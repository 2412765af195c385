"""How processes hear of each other's changes, and the principals they keep for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from tollway.config.sealing import Sealer
from tollway.core.cooldown import Cooldown
from tollway.core.redis import RedisAddress
from tollway.db.pool import PoolSettings
from tollway.db.url import postgres_url
from tollway.ports.changes import ChangeBus
from tollway.ports.lease import Lease
from tollway.stores.redis import require_client

if TYPE_CHECKING:
    from tollway.stores.redis.connection import RedisClient
    from tollway.stores.redis.cooldowns import SharedCooldowns
    from tollway.stores.redis.principals import SealedPrincipals

_CONNECTIONS = 5
_LEASE_S = 90.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Fleet:
    """Messages and principals in the Redis or Valkey that processes share."""

    client: RedisClient
    address: RedisAddress
    bus: ChangeBus
    principals: SealedPrincipals
    cooldowns: SharedCooldowns

    def lease(self, name: str, *, holder: str) -> Lease:
        """What one process does for all; it passes to another some time after the holder was last seen."""
        from tollway.stores.redis.lease import RedisLease

        return RedisLease(self.client, self.address, name, holder=holder, seconds=_LEASE_S)

    def start(self) -> None:
        """Begins what goes on in the background."""
        self.principals.start()
        self.cooldowns.start()

    async def close(self) -> None:
        """Closes every connection."""
        from tollway.stores.redis.connection import close_redis

        await self.principals.stop()
        await self.cooldowns.stop()
        await close_redis(self.client)


def open_fleet(
    address: RedisAddress | None,
    seal: Sealer,
    *,
    principals_live_s: float,
    newest_change: Callable[[], int],
    hear_cooldown: Callable[[Cooldown], None],
) -> Fleet | None:
    """None where nothing is shared; then nothing is imported. Connects to nothing yet.

    `principals_live_s`: how long a copy of a principal may be of use. `newest_change`: the newest that this process
    knows of. `hear_cooldown` is told of deployments that others set aside.

    Raises `Misconfigured` without the client library.
    """
    if address is None:
        return None
    require_client()
    from tollway.stores.redis.bus import RedisBus
    from tollway.stores.redis.connection import open_redis
    from tollway.stores.redis.cooldowns import SharedCooldowns
    from tollway.stores.redis.principals import SealedPrincipals

    # Connections of its own: those that admission needs are never busy with this.
    address = msgspec.structs.replace(address, connections=min(address.connections, _CONNECTIONS))
    client = open_redis(address)
    principals = SealedPrincipals(client, address, seal, lifetime_s=principals_live_s, newest=newest_change)
    cooldowns = SharedCooldowns(client, address, hear_cooldown)
    return Fleet(
        client=client, address=address, bus=RedisBus(client, address), principals=principals, cooldowns=cooldowns
    )


def bus_of(fleet: Fleet | None, database_url: str, pool: PoolSettings) -> tuple[ChangeBus | None, PoolSettings]:
    """The quickest way there is to hear of changes, and what it leaves of the connections to the database.

    Behind a pooler that hands each transaction another connection nobody can listen; with one connection, nobody could
    do anything else. Then, and with SQLite alone, the database is looked at instead.
    """
    if fleet is not None:
        return fleet.bus, pool
    address = postgres_url(database_url)
    if address is None or pool.without_prepared_statements or pool.size == 1:
        return None, pool
    from tollway.stores.sql.bus import PostgresBus

    return PostgresBus(address, pool), msgspec.structs.replace(pool, size=pool.size - 1)
