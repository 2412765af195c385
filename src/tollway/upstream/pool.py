"""The connections to one origin: the last one used is used next, so that a quiet time lets the others go."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from tollway.core.snapshot import Origin
from tollway.upstream import failure
from tollway.upstream.connection import Connection


class Pool:
    """Hands out idle connections, newest first, opens new ones up to a maximum, then lets callers queue."""

    def __init__(self, origin: Origin, *, tls: ssl.SSLContext | None, max_open: int) -> None:
        self.server = failure.authority(origin)
        self.opened = 0
        self.reused = 0
        self.connections: set[Connection] = set()
        self._origin = origin
        self._tls = tls
        self._max_open = max_open
        self._slots_taken = 0
        self._idle: list[Connection] = []
        self._is_closed = False
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    def take(self) -> Connection | None:
        """The connection that was used last, if one is idle."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self.reused += 1
                return connection
        return None

    async def open(self, timeout_s: float) -> Connection:
        """A new connection, once there is room for one; or one that is given back meanwhile.

        Raises `UpstreamError` when the server cannot be reached or no room is made within `timeout_s`.
        """
        if self._slots_taken >= self._max_open:
            given = await self._queue(timeout_s)
            if given is not None:
                return given
        else:
            self._slots_taken += 1
        return await self._connect(timeout_s)

    @property
    def is_busy(self) -> bool:
        """Whether there are connections, or some are being opened."""
        return self._slots_taken > 0

    def sweep(self, now: float) -> None:
        """Enforces the timeouts of every connection."""
        for connection in tuple(self.connections):
            connection.sweep(now)

    def close(self) -> None:
        """Closes every connection; calls on the way fail."""
        self._is_closed = True
        for connection in tuple(self.connections):
            connection.fail(failure.closed(self.server))
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(failure.closed(self.server))

    # For the connections

    def release(self, connection: Connection) -> None:
        """The connection is idle again: the first in the queue gets it."""
        waiter = self._next_waiter() if self._waiters else None
        if waiter is None:
            self._idle.append(connection)
        else:
            self.reused += 1
            waiter.set_result(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is closed: its place is free."""
        if connection in self.connections:
            self.connections.remove(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free_slot()

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is None:
            self._slots_taken -= 1
        else:
            waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _queue(self, timeout_s: float) -> Connection | None:
        """A connection, or None: a place to open one."""
        if self._idle:
            self._idle[0].abort()  # makes room: the caller wants a fresh one
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                given = await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if not waiter.cancelled():  # given at the same moment
                self._give_back(waiter.result())
            if isinstance(error, TimeoutError):
                raise failure.timed_out(self.server, "waiting for a free connection", timeout_s) from None
            raise
        if given is not None and not given.is_open:  # closed between the gift and now: its place is freed by itself
            return await self._queue(timeout_s)
        return given

    def _give_back(self, given: Connection | None) -> None:
        if given is None:
            self._free_slot()
        elif given.is_open:
            self.release(given)

    async def _connect(self, timeout_s: float) -> Connection:
        """Needs a place, and gives it up on failure."""
        loop = asyncio.get_running_loop()
        connection = Connection(self, loop)
        try:
            async with asyncio.timeout(timeout_s):
                await loop.create_connection(
                    lambda: connection,
                    self._origin.host,
                    self._origin.port,
                    ssl=self._tls,
                    server_hostname=self._origin.host if self._tls else None,
                )
        except (OSError, UnicodeError, asyncio.CancelledError) as error:
            connection.abort()
            self._free_slot()
            raise self._explain(error, timeout_s) from None
        if self._is_closed or not connection.is_open:
            connection.abort()
            self._free_slot()
            raise failure.closed(self.server) if self._is_closed else failure.no_answer(self.server)
        self.connections.add(connection)
        self.opened += 1
        return connection

    def _explain(self, error: BaseException, timeout_s: float) -> BaseException:
        match error:
            case TimeoutError():
                return failure.timed_out(self.server, "connecting", timeout_s)
            case OSError() | UnicodeError():  # the latter: a host that is no name
                return failure.unreachable(self.server, error)
            case _:
                return error  # cancelled
