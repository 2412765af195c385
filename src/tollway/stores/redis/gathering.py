"""Before a counter is filled from the ledger, everybody brings there what is not in it yet.

The ledger is behind by what lies in the journals of all workers, and knows nothing of calls in flight. So whoever makes
a counter asks every member to (1) say what it holds in the new generation and (2) flush its journal, and reads the
ledger only when all have done so. A member that does not answer is waited for until its lease ends: from then on its
calls count no more, and when it comes back it forgets every counter that it has touched.

Messages go through one list per worker (`mail:<worker>`), which needs no subscription to be in place and works alike
on a single server, behind Sentinels and in a cluster.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from tollway.core.errors import StoreUnavailable

_log = logging.getLogger(__name__)

Generations = Mapping[str, str]
"""Scope's name to the generation of its counters."""
Bring = Callable[[Generations], Awaitable[None]]
"""Registers what this worker holds and flushes its journal. Raises `StoreUnavailable`."""

_REMIND_S = 0.1
_LISTEN_S = 0.5
"""Less than a client waits for an answer."""
_RETRY_S = 0.25

_decode = msgspec.json.Decoder().decode


def _encode(message: object) -> str:
    return msgspec.json.encode(message).decode()


class Members:
    """Who else is at work, as far as this worker knows. Leases are measured on this machine's own steady clock."""

    def __init__(self, worker: str, steady: Callable[[], float] = time.monotonic) -> None:
        self.worker = worker
        self._steady = steady
        self._until: dict[str, float] = {}

    def saw(self, members: Sequence[tuple[str, str | float]]) -> None:
        """Takes note of the members the server named, with the seconds left to each."""
        now = self._steady()
        self._until = {name: until for name, until in self._until.items() if until > now}
        self._until.update((name, now + float(left)) for name, left in members)

    def others(self) -> set[str]:
        """Those whose lease has not ended. A server that has forgotten everything does not make them disappear."""
        now = self._steady()
        return {name for name, until in self._until.items() if until > now and name != self.worker}

    @property
    def count(self) -> int:
        """How many there are, this one included."""
        return len(self.others()) + 1


class Gathering:
    """Asks all members for what is not in the ledger, and answers when others ask."""

    def __init__(
        self,
        *,
        client: Any,
        prefix: str,
        members: Members,
        ask: Callable[..., Awaitable[Any]],
        bring: Bring,
    ) -> None:
        """`ask` performs one operation on the shared counters; raises `ConnectionError`."""
        self._client = client
        self._prefix = prefix
        self._members = members
        self._ask = ask
        self._bring = bring
        self._missing: dict[int, set[str]] = {}
        self._refused: set[int] = set()
        self._answered = asyncio.Event()
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def gather(self, generations: Generations) -> None:
        """Returns once everything that any member spent in these scopes is in the ledger, or registered.

        Raises `StoreUnavailable` where a member cannot bring it there, `ConnectionError` without the server.
        """
        self._number += 1
        number = self._number
        self._missing[number] = self._members.others()
        message = _encode(("gather", self._members.worker, number, list(generations.items())))
        try:
            own = asyncio.ensure_future(self._bring(generations))
            own.add_done_callback(_retrieve)
            while missing := self._missing[number] & self._members.others():
                await self._ask("tell", self._mailboxes(missing), message)
                await self._next_answer()
            await own
            if number in self._refused:
                raise StoreUnavailable("Another replica cannot bring what it spent to the database.")
        finally:
            del self._missing[number]
            self._refused.discard(number)

    async def announce(self, lease_s: float) -> None:
        """Tells the others that this worker is there, before it counts anything. Raises `ConnectionError`."""
        message = _encode(("joined", self._members.worker, lease_s))
        await self._ask("tell", self._mailboxes(self._members.others()), message)

    async def listen(self) -> None:
        """Reads this worker's mail, until cancelled."""
        mailbox = self._mailbox(self._members.worker)
        while True:
            try:
                mail = await self._client.blpop([mailbox], timeout=_LISTEN_S)
            except Exception:  # noqa: BLE001 - the counters say that the server is away; here it is only tried again
                await asyncio.sleep(_RETRY_S)
                continue
            if mail is not None:
                self._read(_decode(mail[1]))

    def _read(self, message: Sequence[Any]) -> None:
        match message:
            case ("gather", str() as sender, int() as number, pairs):
                task = asyncio.create_task(self._answer(sender, number, dict(pairs)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case ("joined", str() as sender, float() | int() as lease_s):
                self._members.saw([(sender, lease_s)])
            case ("gathered", str() as sender, int() as number, bool() as is_brought):
                self._note(sender, number, is_brought=is_brought)
            case _:
                _log.warning("counters: a message of another version was ignored")

    async def _answer(self, sender: str, number: int, generations: Generations) -> None:
        try:
            await self._bring(generations)
            is_brought = True
        except StoreUnavailable:
            is_brought = False
        except ConnectionError:
            return  # this worker is out, and forgets what it touched when it comes back
        message = _encode(("gathered", self._members.worker, number, is_brought))
        try:
            await self._ask("tell", self._mailboxes({sender}), message)
        except ConnectionError:
            return

    def _note(self, sender: str, number: int, *, is_brought: bool) -> None:
        missing = self._missing.get(number)
        if missing is None:
            return
        missing.discard(sender)
        if not is_brought:
            self._refused.add(number)
        self._answered.set()

    async def _next_answer(self) -> None:
        self._answered.clear()
        try:
            async with asyncio.timeout(_REMIND_S):
                await self._answered.wait()
        except TimeoutError:
            return

    def _mailboxes(self, workers: set[str]) -> list[str]:
        return [self._mailbox(worker) for worker in sorted(workers)]

    def _mailbox(self, worker: str) -> str:
        return f"{self._prefix}:mail:{worker}"


def _retrieve(task: asyncio.Future[None]) -> None:
    # Where another member's failure came first nobody looks at this one, and asyncio would complain.
    if not task.cancelled():
        task.exception()
