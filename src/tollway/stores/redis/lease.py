"""A lease in Redis: a key with the name of who holds it."""

from __future__ import annotations

import logging

from typing_extensions import override

from tollway.core.redis import RedisAddress
from tollway.ports.lease import Lease
from tollway.stores.redis.connection import RedisClient
from tollway.stores.redis.hearing import UNREACHABLE

_log = logging.getLogger(__name__)


class RedisLease(Lease):
    """Nobody relies on it for more than saving work: after an outage two may hold it for a moment."""

    def __init__(self, client: RedisClient, address: RedisAddress, name: str, *, holder: str, seconds: float) -> None:
        """`name` says for what, `holder` who; it ends `seconds` after it was last asked for."""
        self._client = client
        self._key = f"{address.prefix}lease:{name}"
        self._holder = holder
        self._milliseconds = int(seconds * 1000)

    @override
    async def hold(self) -> bool:
        try:
            lasting = ("PX", self._milliseconds)
            if await self._client.execute_command("SET", self._key, self._holder, "NX", *lasting):
                return True
            if await self._client.execute_command("GET", self._key) != self._holder.encode():
                return False
            await self._client.execute_command("PEXPIRE", self._key, self._milliseconds)
        except UNREACHABLE as error:
            _log.debug("Nobody can say who holds %s (%s)", self._key, type(error).__name__)
        return True
