"""When a worker that counts alone looks for the server again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf

_LONGEST_S = 4.0
_STEADY_S = 5.0


class Retries:
    """Pauses between attempts: short ones, unless the server comes and goes.

    Each time it goes, calls of that moment wait for it. So one that goes again within five seconds of its return is
    given twice as long before it is relied on, up to four seconds.
    """

    def __init__(self, first_s: float, steady: Callable[[], float] = time.monotonic) -> None:
        self._first_s = first_s
        self._steady = steady
        self._back_at = -inf
        self._heard = asyncio.Event()
        self.pause_s = first_s

    def went_away(self) -> None:
        """An answer did not come."""
        is_soon = self._steady() - self._back_at < _STEADY_S
        self.pause_s = min(2 * self.pause_s, max(_LONGEST_S, self._first_s)) if is_soon else self._first_s

    def came_back(self) -> None:
        """From now on it is relied on."""
        self._back_at = self._steady()

    def hear(self) -> None:
        """It is there after all: another worker's question came through, and waits for an answer."""
        self._heard.set()

    async def pause(self) -> None:
        """Returns when it is time for another attempt."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.pause_s):
                await self._heard.wait()
        self._heard.clear()
