"""What a connection writes: as few system calls as possible, and no faster than the client reads."""

from __future__ import annotations

import asyncio

MAX_HELD_BYTES = 64 * 1024
"""To be written in one go: each write is a system call, whatever its size."""


class Signal:
    """Wakes everybody who waits. Nobody waiting costs nothing."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Returns after the next `wake`, perhaps for another reason than hoped: look again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Lets them run."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


class Outbox:
    """The writing half of a connection."""

    __slots__ = ("_held", "_loop", "_transport", "held_bytes", "is_choked", "relief")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.held_bytes = 0
        self.is_choked = False
        """The client does not read as fast as responses are written."""
        self.relief = Signal()
        """It has caught up, or left."""

    def hold(self, data: bytes) -> None:
        """Writes at the end of this turn of the event loop, together with what else there is by then."""
        if not data:
            return
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self.held_bytes += len(data)
        if self.held_bytes > MAX_HELD_BYTES:
            self._flush()

    def write(self, data: bytes) -> None:
        """Writes now, behind what is held."""
        if self._held:
            self._held.append(data)
            self._flush()
        elif data:
            self._transport.write(data)

    def drop(self) -> None:
        """Forgets what is held: nobody will read it."""
        self._held.clear()
        self.held_bytes = 0

    def _flush(self) -> None:
        held = self._held
        if held:
            data = held[0] if len(held) == 1 else b"".join(held)
            self.drop()
            self._transport.write(data)
