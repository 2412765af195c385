"""A reservation on its way to the shared counters, and somebody who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tollway.ports.counters import Refusal, Unseeded
from tollway.stores.memory.counters import MemoryTicket
from tollway.stores.redis.channel import Operation, Pending

Answer = MemoryTicket | Refusal | Unseeded


class Reservation(Pending):
    """`answer`: what came of it; None: nobody knows."""

    __slots__ = ("_giving_back", "answer")

    def __init__(
        self,
        *,
        make: Callable[[], Operation],
        read: Callable[[Sequence[Any]], Answer],
        give_back: Callable[[MemoryTicket], Coroutine[Any, Any, object]],
    ) -> None:
        """`read` says what a reply means; `give_back` settles the ticket of a call that has gone meanwhile."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self.answer = future
        self._giving_back: asyncio.Task[object] | None = None

        def answered(reply: Any) -> None:
            answer = read(reply)
            if not future.done():
                future.set_result(answer)
            elif isinstance(answer, MemoryTicket):
                self._giving_back = asyncio.create_task(give_back(answer))
                self._giving_back.add_done_callback(_retrieve)

        def failed() -> None:
            if not future.done():
                future.set_result(None)

        super().__init__(make, answered, failed)


def _retrieve(task: asyncio.Task[object]) -> None:
    # Nobody waits for it; asyncio complains about errors that nobody looked at.
    if not task.cancelled():
        task.exception()
