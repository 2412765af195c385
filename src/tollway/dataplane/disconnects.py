"""Noticing that a client left while the gateway waits for a provider.

ASGI tells it through `receive`, which somebody has to await. One task per call would cost more than most calls' own
work, and most calls are over in no time: so a sweep every 100 ms starts a watcher only for calls that have been in
flight for one whole interval. A client that leaves is noticed within 200 ms.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tollway.dataplane.asgi import Receive

SWEEP_S = 0.1


class Watched:
    """One call in flight."""

    __slots__ = ("_receive", "_task", "_watcher", "is_client_gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self.is_client_gone = False

    def start(self) -> None:
        """Begins to wait for the client's leaving."""
        self._watcher = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """The call is over."""
        self._task = None
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        if self._task is not None:
            self.is_client_gone = True
            self._task.cancel()


class DisconnectWatch:
    """Cancels the task of a call whose client has left."""

    def __init__(self, sweep_s: float = SWEEP_S) -> None:
        self._sweep_s = sweep_s
        self._new: dict[int, Watched] = {}
        self._aged: dict[int, Watched] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, receive: Receive) -> Watched:
        """Watches the current task's client from now on."""
        watched = Watched(receive)
        self._new[id(watched)] = watched
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)
        return watched

    def remove(self, watched: Watched) -> None:
        """The call is over."""
        if self._new.pop(id(watched), None) is None:
            self._aged.pop(id(watched), None)
        watched.stop()

    def _sweep(self) -> None:
        for watched in self._aged.values():
            watched.start()
        self._aged, self._new = self._new, {}
        if self._aged:
            self._timer = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)
        else:
            self._timer = None
