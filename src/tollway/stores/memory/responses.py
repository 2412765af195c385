"""Answers in this process's memory, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from tollway.ports.responses import KeptAnswer

_OVERHEAD_BYTES = 500
"""Of one entry, beside its body."""


class MemoryResponseStore:
    """`ports.responses.ResponseStore` for one process: what was not used for longest makes room."""

    kind = "local"

    def __init__(self, clock: Callable[[], float], *, max_bytes: int) -> None:
        """`clock` gives epoch seconds."""
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[float, KeptAnswer, int]] = OrderedDict()
        """By key: when its time is over, the answer, and the bytes of both; the longest unused first."""

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer, unless its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires_at, answer, _ = entry
        if expires_at <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return answer

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, unless there is never room for it."""
        self._keep(key, answer, ttl_s, more_bytes=0)

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were."""
        return sum(self._drop(key) for key in keys)

    async def clear(self) -> None:
        """Forgets every answer."""
        self._entries.clear()
        self._bytes = 0

    async def ping(self) -> None:
        """Nothing can be wrong with it."""

    async def info(self) -> None:
        """There is no server."""

    async def close(self) -> None:
        """Nothing is left to do."""

    def _keep(self, key: str, answer: KeptAnswer, ttl_s: float, *, more_bytes: int) -> bool:
        """Keeps it, and drops what there is no room for; False if there is never room for it."""
        size = len(answer.body) + _OVERHEAD_BYTES + more_bytes
        if size > self._max_bytes:
            return False
        self._drop(key)
        self._bytes += size
        self._entries[key] = (self._clock() + ttl_s, answer, size)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))
        return True

    def _drop(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._bytes -= entry[2]
        return True
