"""Looking at the shared counters from outside: no member, so nobody waits for whoever looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from tollway.core.errors import StoreUnavailable
from tollway.core.record import Charge
from tollway.core.redis import RedisAddress
from tollway.ports.counters import HeldScope, Orphan
from tollway.stores.redis.channel import Operation
from tollway.stores.redis.connection import close_redis, open_redis
from tollway.stores.redis.script import CountersScript

_ANSWERS_S = 5.0
_LISTEN_S = 0.5
_NO_LEASE_S = -1.0
"""Long enough for one script call, which is all at once."""


class LiveCounters:
    """What live counters have as settled, and who holds what of them. To be closed. Raises what the client raises."""

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

    async def orphans(self) -> list[Orphan]:
        """Workers that are gone and still hold something, the longest gone first."""
        (members,) = await self._perform()
        at_work = {worker for worker, _ in members}
        gone = await self._client.hgetall(f"{self._prefix}:gone")
        since = {_text(worker): float(moment) for worker, moment in gone.items()}
        start = f"{self._prefix}:held:"
        found = []
        async for key in self._client.scan_iter(match=f"{_literal(start)}*", count=1000):
            worker = _text(key).removeprefix(start)
            if worker not in at_work and (scopes := await self._held_by(worker, key)):
                found.append(Orphan(worker, since.get(worker), scopes))
        return sorted(found, key=lambda orphan: (orphan.since or 0.0, orphan.worker))

    async def release(self, workers: Sequence[str]) -> dict[str, int | None]:
        """Gives back what these had reserved: in how many scopes each, or None for one that is at work.

        Those scopes are counted anew from the ledger and from what everybody else has in flight.
        """
        _, counts = await self._perform(("abandon", tuple(workers)))
        return {worker: None if count < 0 else int(count) for worker, count in zip(workers, counts, strict=True)}

    async def close(self) -> None:
        """Closes the connections."""
        await close_redis(self._client)

    async def _perform(self, *operations: Operation) -> Sequence[Any]:
        """Joins, which ends leases that are over, and performs these; gone again before anybody sees it."""
        perform = CountersScript(self._client, prefix=self._prefix, worker=f"look-{uuid4().hex[:8]}")
        answers = await perform(msgspec.msgpack.encode((("join", _NO_LEASE_S), *operations)))
        assert answers is not None  # whoever joins is heard
        performed: Sequence[Any] = msgspec.msgpack.decode(answers)
        return performed

    async def _held_by(self, worker: str, key: bytes | str) -> tuple[HeldScope, ...]:
        fields = [f"{kind}:{worker}" for kind in "plr"]
        scopes = []
        for name in sorted(map(_text, await self._client.smembers(key))):
            in_flight, lost, reserved = await self._client.hmget(f"{self._prefix}:s:{name}", fields)
            held = HeldScope(name, int(in_flight or lost or 0), int(reserved or 0))
            if held.calls:
                scopes.append(held)
        return tuple(scopes)

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
