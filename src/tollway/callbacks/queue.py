"""What one destination is still to be told: a bounded queue, handed over in batches, tried again where that helps."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from tollway.callbacks.payload import Heard, event_of
from tollway.core.errors import Misconfigured, TollwayError, UpstreamError
from tollway.ports.callbacks import Destination, Event

logger = logging.getLogger(__name__)

Count = Callable[[str, str, int], None]
"""Counts events of a callback: its name, `delivered`, `failed` or `dropped`, and how many."""
Open = Callable[[], Awaitable[Destination]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits, how it is handed over, and how long somebody is asked again. Times are seconds."""

    events: int = 10_000
    bytes: int = 32 * 1024 * 1024
    batch: int = 100
    batch_bytes: int = 4 * 1024 * 1024
    gather_s: float = 1.0
    """How long a batch waits for more."""
    deliver_s: float = 30.0
    attempts: int = 6
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    idle_s: float = 60.0
    """After so long without events the destination is closed."""


class Room:
    """What all queues together may still take."""

    __slots__ = ("bytes",)

    def __init__(self, most_bytes: int) -> None:
        self.bytes = most_bytes


class Queue:
    """Of one destination. What comes when it is full is dropped: those that wait keep their turn."""

    def __init__(
        self, name: str, open_destination: Open, limits: Limits, count: Count, room: Room, *, redacts: bool = False
    ) -> None:
        """`room`: shared by all queues. `redacts`: nothing of what was said is told here."""
        self._name = name
        self._open = open_destination
        self._limits = limits
        self._count = count
        self._room = room
        self._redacts = redacts
        self._waiting: deque[Heard] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._is_full_batch = asyncio.Event()
        self._closing = asyncio.Event()
        self._destination: Destination | None = None
        self._is_failing = False
        self._is_dropping = False
        self.task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do and has let go of its destination."""
        return self.task is None or self.task.done()

    def put(self, heard: Heard) -> None:
        """Returns at once."""
        limits, size = self._limits, heard.size
        if self._room.bytes < size or len(self._waiting) >= limits.events or self._bytes + size > limits.bytes:
            self._drop()
            return
        self._waiting.append(heard)
        self._bytes += size
        self._room.bytes -= size
        self._news.set()
        if len(self._waiting) >= limits.batch:
            self._is_full_batch.set()
        if self.is_idle:
            self.task = asyncio.get_running_loop().create_task(self._run())

    async def close(self, until: float) -> None:
        """Hands over what waits, no longer than `until` (monotonic); what is left is dropped."""
        self._closing.set()
        self._news.set()
        if self.task is not None and not self.task.done():
            _, late = await asyncio.wait([self.task], timeout=max(0.0, until - time.monotonic()))
            for task in late:
                task.cancel()
                await asyncio.wait([task], timeout=1.0)
        if self._waiting:
            self._count(self._name, "dropped", len(self._waiting))
            self._room.bytes += self._bytes
            self._waiting.clear()
            self._bytes = 0

    def _drop(self) -> None:
        self._count(self._name, "dropped", 1)
        if not self._is_dropping:
            self._is_dropping = True
            logger.warning("Callback %s: its queue is full, calls are not reported until there is room", self._name)

    async def _run(self) -> None:
        try:
            while await self._has_news():
                await self._gather()
                await self._hand_over()
        except Exception:  # a mistake of ours must not stop reports for good: the next event begins again
            logger.exception("Callback %s: the queue stopped", self._name)
        finally:
            destination, self._destination = self._destination, None
            if destination is not None:
                await destination.close()

    async def _has_news(self) -> bool:
        if self._waiting:
            return True
        if self._closing.is_set():
            return False
        self._news.clear()
        try:
            async with asyncio.timeout(self._limits.idle_s):
                await self._news.wait()
        except TimeoutError:
            return bool(self._waiting)
        return bool(self._waiting) or not self._closing.is_set()

    async def _gather(self) -> None:
        if len(self._waiting) >= self._limits.batch or self._closing.is_set():
            return
        self._is_full_batch.clear()
        waits = [asyncio.ensure_future(one.wait()) for one in (self._is_full_batch, self._closing)]
        try:
            await asyncio.wait(waits, timeout=self._limits.gather_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _hand_over(self) -> None:
        batch, size = self._next_batch()
        if not batch:
            return
        try:
            events: list[Event] = []
            for heard in batch:
                events.append(event_of(heard, redacts=self._redacts))
                await asyncio.sleep(0)  # calls in flight come between
            is_delivered = await self._deliver(events)
        except asyncio.CancelledError:
            self._count(self._name, "dropped", len(batch))
            raise
        finally:
            self._bytes -= size
            self._room.bytes += size
            self._is_dropping = False
        self._count(self._name, "delivered" if is_delivered else "failed", len(batch))

    def _next_batch(self) -> tuple[list[Heard], int]:
        batch: list[Heard] = []
        size = 0
        while self._waiting and len(batch) < self._limits.batch:
            if batch and size + self._waiting[0].size > self._limits.batch_bytes:
                break
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        return batch, size

    async def _deliver(self, events: list[Event]) -> bool:
        """Tries until it is delivered, or there is no use in trying; whether it was."""
        for attempt in range(self._limits.attempts):
            try:
                async with asyncio.timeout(self._limits.deliver_s):
                    if self._destination is None:
                        self._destination = await self._open()
                    await self._destination.deliver(events)
            except TimeoutError:
                error: TollwayError = UpstreamError(f"it takes longer than {self._limits.deliver_s:g} s")
            except UpstreamError as fault:
                error = fault
            except Misconfigured as fault:
                self._note_failure(fault.message)
                return False
            except Exception as fault:  # noqa: BLE001 - a mistake in there; its text may hold what it was sent
                self._note_failure(f"{type(fault).__name__} while reporting")
                return False
            else:
                self._note_success()
                return True
            self._note_failure(error.message)
            if attempt + 1 < self._limits.attempts:
                await self._pause(error, attempt)
        return False

    async def _pause(self, error: TollwayError, attempt: int) -> None:
        """Waits before the next attempt, not for long where the gateway stops."""
        asked_s = _retry_after_s(error)
        pause_s = self._limits.first_pause_s * 2**attempt * random.uniform(0.5, 1.0)
        pause_s = min(self._limits.longest_pause_s, pause_s if asked_s is None else max(asked_s, pause_s))
        if self._closing.is_set():
            await asyncio.sleep(min(pause_s, 0.5))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()

    def _note_failure(self, message: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.error("Callback %s fails: %s", self._name, message)

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            logger.warning("Callback %s works again", self._name)


def _retry_after_s(error: TollwayError) -> float | None:
    text = next((value for name, value in error.headers if name == b"retry-after"), b"")
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
