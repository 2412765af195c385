"""Answers in Redis or Valkey, for all replicas.

A call waits for this server no longer than a bound. Writes are made in the background, and dropped where too many wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from tollway.core.redis import RedisAddress
from tollway.ports.responses import KeptAnswer, decode_answer, encode_answer
from tollway.stores.patience import Patience
from tollway.stores.redis.connection import RedisClient, close_redis
from tollway.stores.redis.hearing import UNREACHABLE

_UNWRITTEN_AT_MOST = 1000
_SCANNED_AT_ONCE = 1000


class RedisResponseStore:
    """`ports.responses.ResponseStore` under a prefix of its own, apart from counters and all else."""

    kind = "redis"

    def __init__(self, client: RedisClient, address: RedisAddress, *, timeout_s: float) -> None:
        """`timeout_s`: the most that a call waits for an answer of the server."""
        self._client = client
        self._timeout_s = timeout_s
        self._admin_timeout_s = max(address.answer_timeout_s, timeout_s)
        # Without the hash tag that keeps counters together: answers may lie on any node of a cluster.
        self._prefix = f"{address.namespace}:tollway:answers:" if address.namespace else "tollway:answers:"
        self._unwritten: deque[tuple[str, KeptAnswer, float]] = deque(maxlen=_UNWRITTEN_AT_MOST)
        self._writer: asyncio.Task[None] | None = None
        self.patience = Patience("The Redis of the cache")

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer; None too where the server is away, or too slow."""
        if self.patience.is_over:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.execute_command("GET", self._prefix + key)
        except (TimeoutError, *UNREACHABLE) as error:
            self.patience.waited_in_vain(error)
            return None
        self.patience.regain()
        if found is None:
            return None
        try:
            return decode_answer(found)
        except msgspec.DecodeError:
            return None  # of a version that writes it differently

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, soon."""
        self._unwritten.append((key, answer, ttl_s))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were. Raises `StoreUnavailable`."""
        return sum([await self._ask("UNLINK", self._prefix + key) for key in keys])

    async def clear(self) -> None:
        """Forgets every answer, and nothing else that the server holds. Raises `StoreUnavailable`."""
        self._unwritten.clear()
        try:
            found: list[bytes] = []
            async for key in self._client.scan_iter(match=f"{self._prefix}*", count=_SCANNED_AT_ONCE):
                found.append(key)
                if len(found) == _SCANNED_AT_ONCE:
                    await self._unlink(found)
                    found = []
            await self._unlink(found)
        except UNREACHABLE as error:
            raise self.patience.away(error) from error

    async def ping(self) -> None:
        """Writes and reads something. Raises `StoreUnavailable`."""
        await self._ask("SET", f"{self._prefix}ping", "pong", "PX", 1000)
        await self._ask("GET", f"{self._prefix}ping")

    async def info(self) -> dict[str, Any]:
        """What the server says about itself. Raises `StoreUnavailable`."""
        try:
            async with asyncio.timeout(self._admin_timeout_s):
                info: dict[str, Any] = await self._client.info()
        except (TimeoutError, *UNREACHABLE) as error:
            raise self.patience.away(error) from error
        return info

    async def close(self) -> None:
        """Writes what is still to be written, if that does not take long."""
        if self._writer is not None and not self._writer.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._admin_timeout_s):
                    await self._writer
        await close_redis(self._client)

    async def _write(self) -> None:
        while self._unwritten:
            key, answer, ttl_s = self._unwritten.popleft()
            try:
                milliseconds = max(1, round(ttl_s * 1000))
                await self._client.execute_command("SET", self._prefix + key, encode_answer(answer), "PX", milliseconds)
            except UNREACHABLE as error:
                self.patience.lose(error)
                self._unwritten.clear()

    async def _ask(self, *command: Any) -> Any:
        try:
            async with asyncio.timeout(self._admin_timeout_s):
                return await self._client.execute_command(*command)
        except (TimeoutError, *UNREACHABLE) as error:
            raise self.patience.away(error) from error

    async def _unlink(self, keys: Sequence[bytes]) -> None:
        for key in keys:  # one by one: those of a cluster lie on different nodes
            await self._client.execute_command("UNLINK", key)
