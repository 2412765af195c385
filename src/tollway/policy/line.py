"""Those who wait for something scarce, in order: by priority, then fairly by caller, then as they came.

Fair means that callers take turns: somebody with a hundred calls waiting is served as often as somebody with one
(start-time fair queueing with equal shares: Goyal, Vin and Cheng, SIGCOMM 1996).
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

DEFAULT_PRIORITY = 0
"""Of calls that name none. Lower numbers go first."""


class Place:
    """One who waits."""

    __slots__ = ("caller", "changed", "has_left", "key")

    def __init__(self, key: tuple[int, int, int], caller: str) -> None:
        self.key = key
        self.caller = caller
        self.has_left = False
        self.changed: asyncio.Future[None] | None = None

    def __lt__(self, other: Place) -> bool:
        return self.key < other.key


class Line:
    """A queue whose head tries for itself, and leaves when it has got what it wants, or gives up."""

    def __init__(self) -> None:
        self._heap: list[Place] = []
        self._arrivals = count()
        self._turns: dict[str, int] = {}
        """The last turn of each caller who waits."""
        self._turn = 0
        """Of the last who left from the head."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, priority: int, caller: str) -> Place:
        """A place at the end of those of the same priority, but not behind further turns of other callers."""
        turn = max(self._turn, self._turns.get(caller, 0)) + 1
        self._turns[caller] = turn
        place = Place((priority, turn, next(self._arrivals)), caller)
        heapq.heappush(self._heap, place)
        self._length += 1
        return place

    def is_first(self, place: Place) -> bool:
        """Whether it is this one's turn to try."""
        return bool(self._heap) and self._heap[0] is place

    async def wait(self, place: Place) -> None:
        """Returns when it is this one's turn, or when the head was called upon to look again."""
        place.changed = asyncio.get_running_loop().create_future()
        try:
            await place.changed
        finally:
            place.changed = None

    def call_first(self) -> None:
        """There may be something for the head now."""
        if self._heap and self._heap[0].changed is not None and not self._heap[0].changed.done():
            self._heap[0].changed.set_result(None)

    def leave(self, place: Place) -> None:
        """It has got what it wanted, or waits no longer."""
        self._length -= 1
        place.has_left = True
        if self.is_first(place):
            self._turn = max(self._turn, place.key[1])
        while self._heap and self._heap[0].has_left:
            heapq.heappop(self._heap)
        if not self._heap:
            self._turns.clear()
            self._turn = 0
        self.call_first()
