"""Cooldowns that replicas share: told on a channel, and kept for those who come later. They are advice, not accounts:
what cannot be told is lost, and everybody finds out by themselves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

import msgspec

from tollway.core.cooldown import Cooldown
from tollway.core.redis import RedisAddress
from tollway.core.tasks import end_tasks
from tollway.stores.redis.connection import RedisClient
from tollway.stores.redis.hearing import UNREACHABLE, hear

_log = logging.getLogger(__name__)

_RETRY_S = 0.5
_UNTOLD_AT_MOST = 1000
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Cooldown).decode


class SharedCooldowns:
    """A channel, and a sorted set of what is still in force by its end, under an address's prefix."""

    def __init__(self, client: RedisClient, address: RedisAddress, hear: Callable[[Cooldown], None]) -> None:
        """`hear` is called with everyone's cooldowns, this process's own included."""
        self._client = client
        self._answer_timeout_s = address.answer_timeout_s
        self._hear = hear
        self._kept = f"{address.prefix}cooldowns"
        self._channel = self._kept + (f":{address.db}" if address.db else "")
        self._untold: deque[Cooldown] = deque(maxlen=_UNTOLD_AT_MOST)
        self._has_untold = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def tell(self, cooldown: Cooldown) -> None:
        """Takes word of it to the others, soon."""
        self._untold.append(cooldown)
        self._has_untold.set()

    def start(self) -> None:
        """Begins to listen and to tell."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="cooldowns heard"),
            asyncio.create_task(self._tell(), name="cooldowns told"),
        ]

    async def stop(self) -> None:
        """No more of it."""
        await end_tasks(self._tasks)

    async def _tell(self) -> None:
        while True:
            await self._has_untold.wait()
            self._has_untold.clear()
            while self._untold:
                cooldown = self._untold.popleft()
                word = _encode(cooldown)
                try:
                    await self._client.execute_command("ZADD", self._kept, cooldown.until, word)
                    await self._client.execute_command("ZREMRANGEBYSCORE", self._kept, "-inf", time.time())
                    await self._client.execute_command("PUBLISH", self._channel, word)
                except UNREACHABLE as error:
                    _log.debug("A cooldown could not be told of (%s)", type(error).__name__)

    async def _listen(self) -> None:
        while True:
            try:
                async for word in hear(self._client, self._channel, answer_timeout_s=self._answer_timeout_s):
                    for one in [word] if word else await self._in_force():
                        self._take(one)
            except UNREACHABLE as error:
                _log.debug("Cooldowns of others are not heard (%s)", type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    async def _in_force(self) -> list[bytes]:
        kept: list[bytes] = await self._client.execute_command("ZRANGEBYSCORE", self._kept, time.time(), "+inf")
        return kept

    def _take(self, word: bytes) -> None:
        try:
            self._hear(_decode(word))
        except (msgspec.DecodeError, TypeError):
            return  # of a version that says it differently
