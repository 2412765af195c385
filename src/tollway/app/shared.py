"""What this worker shares with others: counters in Redis or Valkey, where one is configured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tollway.accounting.ledger import Ledger
from tollway.core.redis import RedisAddress
from tollway.stores.memory.counters import MemoryCounterStore

if TYPE_CHECKING:
    from tollway.stores.redis.counters import RedisCounterStore


class SharedCounters:
    """Counters of all workers, and this worker's membership."""

    def __init__(
        self, address: RedisAddress, own: MemoryCounterStore, worker: str, *, timeout_s: float, replicas: int
    ) -> None:
        """Opens no connection yet. `worker`: unique among all that share the server; `replicas`: how many there are."""
        from tollway.stores.redis.connection import open_redis
        from tollway.stores.redis.counters import RedisCounterStore
        from tollway.stores.redis.script import CountersScript

        self._client = open_redis(address)
        self._prefix = address.prefix.removesuffix(":")
        send = CountersScript(self._client, prefix=self._prefix, worker=worker)
        self.store: RedisCounterStore = RedisCounterStore(
            own, send, worker=worker, timeout_s=timeout_s, workers_expected=replicas
        )

    @property
    def gauges(self) -> dict[str, Callable[[], float]]:
        """What metrics show of them."""
        return {
            "tollway_shared_counters_up": lambda: float(self.store.is_shared),
            "tollway_replicas": lambda: float(self.store.members.count),
        }

    async def start(self, ledger: Ledger) -> None:
        """Joins the others. A server that is away is looked for in the background."""
        from tollway.stores.redis.gathering import Gathering

        await self.store.start(partial(Gathering, client=self._client, prefix=self._prefix), ledger.bring)

    async def close(self) -> None:
        """Leaves the others, once every settlement is told."""
        from tollway.stores.redis.connection import close_redis

        await self.store.close()
        await close_redis(self._client)
