"""Looking at the shared counters from outside: no member, so nobody waits for whoever looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec

from tollway.core.errors import StoreUnavailable
from tollway.core.record import Charge
from tollway.core.redis import RedisAddress
from tollway.stores.redis.connection import close_redis, open_redis

_ANSWERS_S = 5.0
_LISTEN_S = 0.5


class LiveCounters:
    """What live counters have as settled. To be closed. Raises what the client raises."""

    def __init__(self, address: RedisAddress) -> None:
        self._client = open_redis(address)
        self._prefix = address.prefix.removesuffix(":")

    async def everyone_flushes(self) -> None:
        """Returns once every gateway has brought its records to the ledger. Raises `StoreUnavailable` if one cannot."""
        missing = {_text(name) for name in await self._client.hkeys(f"{self._prefix}:workers")}
        own = f"check-{uuid4().hex[:8]}"
        message = msgspec.json.encode(("gather", own, 1, ()))
        for worker in missing:
            await self._client.rpush(f"{self._prefix}:mail:{worker}", message)
        silent_for_s = 0.0
        while missing and silent_for_s < _ANSWERS_S:
            mail = await self._client.blpop([f"{self._prefix}:mail:{own}"], timeout=_LISTEN_S)
            if mail is None:
                silent_for_s += _LISTEN_S
                continue
            _, worker, _, is_brought = msgspec.json.decode(mail[1])
            if not is_brought:
                raise StoreUnavailable(f"Gateway {worker} cannot bring its records to the database.")
            missing.discard(worker)
        if missing:
            raise StoreUnavailable(f"Gateways that do not answer: {', '.join(sorted(missing))}.")

    async def settled(self) -> dict[Charge, int]:
        """Nano-dollars settled in each window that the counters know."""
        return {charge: nanos async for charge, nanos in self._windows()}

    async def close(self) -> None:
        """Closes the connections."""
        await close_redis(self._client)

    async def _windows(self) -> AsyncIterator[tuple[Charge, int]]:
        start = f"{self._prefix}:s:"
        async for key in self._client.scan_iter(match=f"{_literal(start)}*", count=1000):
            kind, _, entity = _text(key).removeprefix(start).partition(":")
            for field, value in (await self._client.hgetall(key)).items():
                if field[:1] == b"s":
                    yield Charge(kind, entity, int(field[1:])), int(value)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _literal(text: str) -> str:
    """A text as a pattern that matches it alone."""
    return "".join(f"\\{each}" if each in "*?[]\\" else each for each in text)
