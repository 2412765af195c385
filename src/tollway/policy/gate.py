"""The gate that every call passes: how many may be on their way at once, and how much memory they may take.

Beyond the first some wait for a moment, in line; the others, and all of them beyond the second, are told to come back.
"""

from __future__ import annotations

import asyncio

from tollway.core.errors import Overloaded
from tollway.core.snapshot import Settings
from tollway.policy.line import Line

_RETRY_AFTER = (b"retry-after", b"1")


class Gate:
    """Of one process."""

    def __init__(self) -> None:
        self._line = Line()
        self.inside = 0
        """Calls on their way."""
        self.is_short_of_memory = False
        """Set by whoever watches the process."""
        self.admitted = 0
        self.turned_away = 0

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return len(self._line)

    def check_memory(self) -> None:
        """Raises `Overloaded` while this process has as much memory as it may have. Before a body is read."""
        if self.is_short_of_memory:
            self.turned_away += 1
            raise Overloaded("The gateway is short of memory; try again in a moment.", headers=(_RETRY_AFTER,))

    async def enter(self, settings: Settings, *, priority: int, caller: str) -> None:
        """Lets a call in, at once or when it is its turn; `leave` must follow. Raises `Overloaded`."""
        limit = settings.max_calls_at_once
        if limit and (self.inside >= limit or self._line):
            await self._wait(settings, limit, priority, caller)
        self.inside += 1
        self.admitted += 1

    def leave(self) -> None:
        """A call that was let in has ended."""
        self.inside -= 1
        if self._line:
            self._line.call_first()

    async def _wait(self, settings: Settings, limit: int, priority: int, caller: str) -> None:
        if len(self._line) >= settings.max_calls_waiting:
            self.turned_away += 1
            raise _full(limit)
        place = self._line.join(priority, caller)
        try:
            async with asyncio.timeout(settings.longest_wait_s):
                while not (self._line.is_first(place) and self.inside < limit):
                    await self._line.wait(place)
        except TimeoutError:
            self.turned_away += 1
            raise _full(limit) from None
        finally:
            self._line.leave(place)


def _full(limit: int) -> Overloaded:
    return Overloaded(
        f"The gateway has {limit} calls on their way, which is all it may have; try again in a moment.",
        headers=(_RETRY_AFTER,),
    )
