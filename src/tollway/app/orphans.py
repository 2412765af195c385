"""What workers that are gone hold of the shared counters, for an operator to look at and to give back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tollway.config.load import load
from tollway.core.errors import StoreUnavailable
from tollway.core.redis import RedisAddress
from tollway.ports.counters import Orphan
from tollway.stores.redis import require_client

if TYPE_CHECKING:
    from tollway.stores.redis.live import LiveCounters


def find_counters(config: Path | None, environ: Mapping[str, str]) -> RedisAddress | None:
    """Where the counters are that gateways of a configuration share; None: each has its own, in memory.

    Raises `ConfigurationError`.
    """
    return load(config, environ=environ).server.redis


async def orphans(address: RedisAddress) -> list[Orphan]:
    """Workers that ended with calls in flight and whose journal nobody has replayed. Raises `StoreUnavailable`."""
    async with _live_counters(address) as live:
        return await live.orphans()


async def release(address: RedisAddress, workers: Sequence[str]) -> dict[str, int | None]:
    """Gives back what these had reserved: in how many scopes each, or None for one that is at work.

    Raises `StoreUnavailable`.
    """
    async with _live_counters(address) as live:
        return await live.release(workers)


@asynccontextmanager
async def _live_counters(address: RedisAddress) -> AsyncIterator[LiveCounters]:
    require_client()
    from redis.exceptions import RedisError

    from tollway.stores.redis.live import LiveCounters

    live = LiveCounters(address)
    try:
        yield live
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"The shared Redis at {address} cannot be reached.") from error
    finally:
        await live.close()
