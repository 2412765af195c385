"""Operations on shared counters: in order, many in one round trip, and in bounded time.

One batch is under way at a time, and its answers are acted on before the next is made. So an operation may be made out
of what is known when it goes out (`make`), and two of one worker never overtake each other. While a batch is away the
next one gathers: under load a round trip is shared by all calls that came meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

Operation = Sequence[Any]
"""Name and arguments, as `counters.lua` takes them: texts, numbers and lists; its msgpack knows no bytes."""
Send = Callable[[bytes], Awaitable[bytes | None]]
"""Performs encoded operations; None: this worker is not a member. Raises what its client raises."""

_AT_MOST = 64
"""Operations in a batch: some milliseconds of the server at most, in which it serves nobody else."""
_TURN_S = 0.005
"""Patience is counted in turns of the loop. One that took more than twice its time does not count: a process that waits
for a processor would take its own slowness for the server's."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Pending:
    """One operation on its way."""

    __slots__ = ("answered", "failed", "make")

    def __init__(
        self, make: Callable[[], Operation], answered: Callable[[Any], None], failed: Callable[[], None]
    ) -> None:
        """`answered` gets the answer, before anything else goes out; `failed`: nobody knows whether it was done."""
        self.make = make
        self.answered = answered
        self.failed = failed


class OperationChannel:
    """Sends operations. Whoever is told of a loss (`lost`) or an expulsion (`expelled`) says what comes next."""

    def __init__(
        self,
        send: Send,
        *,
        timeout_s: float,
        lost: Callable[[BaseException], None],
        expelled: Callable[[], Sequence[Operation]],
    ) -> None:
        """`expelled` gives the operations with which the worker joins again; the batch is sent once more after them."""
        self._send = send
        self._timeout_s = timeout_s
        self._lost = lost
        self._expelled = expelled
        self._waiting: deque[Pending] = deque()
        self._under_way: Sequence[Pending] = ()
        self._task: asyncio.Task[None] | None = None

    def put(self, pending: Pending) -> None:
        """Sends it with the next batch."""
        self._waiting.append(pending)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._ended)

    async def ask(self, *operation: Any) -> Any:
        """Performs one operation and returns its answer. Raises `ConnectionError` if that cannot be known."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answered(value: Any) -> None:
            if not answer.done():
                answer.set_result(value)

        def failed() -> None:
            if not answer.done():
                answer.set_exception(ConnectionError("The shared counters cannot be reached."))

        self.put(Pending(lambda: operation, answered, failed))
        return await answer

    async def delivered(self) -> None:
        """Returns once everything put before is performed, or lost."""
        if self._task is not None:
            done = asyncio.get_running_loop().create_future()

            def settle(_: Any = None) -> None:
                if not done.done():
                    done.set_result(None)

            self.put(Pending(lambda: ("tell", (), ""), settle, settle))
            await done

    def fail_waiting(self) -> None:
        """Gives up what has not been sent."""
        waiting, self._waiting = self._waiting, deque()
        for pending in waiting:
            pending.failed()

    async def close(self) -> None:
        """Returns once everything is sent."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_AT_MOST, len(self._waiting)))]
            try:
                answers = await self._perform([pending.make() for pending in batch])
            except Exception as error:  # noqa: BLE001 - whatever went wrong: nobody knows what the server did
                self._lost(error)
                for pending in batch:
                    pending.failed()
                self.fail_waiting()
                return
            for pending, answer in zip(batch, answers, strict=True):
                pending.answered(answer)

    async def _perform(self, operations: list[Operation]) -> Sequence[Any]:
        encoded = _encode(operations)
        answers = await self._in_time(encoded)
        if answers is None:
            entrance = self._expelled()
            answers = await self._in_time(_encode([*entrance, *operations]))
            if answers is None:
                raise ConnectionError("The server does not let this worker join.")
            return answers[len(entrance) :]
        return answers

    async def _in_time(self, encoded: bytes) -> Sequence[Any] | None:
        sending = asyncio.ensure_future(self._send(encoded))
        turns = max(1, round(self._timeout_s / _TURN_S))
        while turns:
            started = time.monotonic()
            done, _ = await asyncio.wait([sending], timeout=_TURN_S)
            if done:
                answer = sending.result()
                return None if answer is None else _decode(answer)
            if time.monotonic() - started < 2 * _TURN_S:
                turns -= 1
        sending.cancel()
        raise TimeoutError(f"no answer within {self._timeout_s} s")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()
        if self._waiting:
            waiting, self._waiting = self._waiting, deque()
            for pending in waiting:
                self.put(pending)
