"""Concurrent callers that want the same thing share one flight to fetch it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Runs a fetch once for all who ask for its key meanwhile. Remembers nothing afterwards."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    async def fetch(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The result of `load`, or of one under way for `key`. A caller that is cancelled leaves it to the others."""
        return await asyncio.shield(self.begin(key, load))

    def begin(self, key: K, load: Callable[[], Awaitable[V]]) -> asyncio.Task[V]:
        """A flight for whoever asks for `key` later; nobody has to wait for it."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(_run(load))
            flight.add_done_callback(lambda done: self._land(key, done))
        return flight

    def _land(self, key: K, flight: asyncio.Task[V]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # seen: with every caller gone, nobody else asks, and the loop would complain


async def _run(load: Callable[[], Awaitable[V]]) -> V:
    return await load()
