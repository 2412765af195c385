"""Changes of other processes reach this one, and this one's reach them.

Every change is noted in the database with what it changes, so none is lost. The bus, where there is one, says at once
what was noted. The note is read now and then all the same: every other second while the bus works, twice a second while
it does not or there is none, and as soon as it hears again. A bus that fails is therefore told of, and not noticed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from tollway.core.changes import SERVED, NumberedChange, decode_word
from tollway.core.errors import StoreUnavailable
from tollway.core.tasks import end_tasks
from tollway.ports.changes import BusUnavailable, ChangeBus, ChangeLog

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_LOOK_BESIDE_BUS_S = 2.0
_OVERLAP_S = 5.0
"""Each look goes back so far: a change may be numbered before another and be committed after it."""
_MOST = 5_000
"""More changes than these at once, and reading everything anew is less work."""
_KEPT_S = 3600.0
_FORGET_EVERY_S = 600.0
_RECONNECT_S = 0.5
_UNTIL_FIRST_LOOK_S = 0.5


class Copies(Protocol):
    """What this process keeps copies of, and what processes share of them."""

    def forget(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        """These things are not what they were. `is_news`: nobody may have told the others yet."""
        ...

    def forget_all(self) -> None:
        """Anything may have changed."""
        ...

    async def interrupt(self, changes: Sequence[NumberedChange]) -> None:
        """Calls in flight that these forbid are ended."""
        ...

    async def refresh(self) -> None:
        """What is served is to be read anew. Raises `StoreUnavailable`."""
        ...


class ChangeFeed:
    """Both directions, for one process."""

    def __init__(
        self,
        log: Callable[[], Awaitable[tuple[ChangeLog, int]]],
        copies: Copies,
        bus: ChangeBus | None,
        *,
        told_by: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`log` gives the log and the number of its newest change before anything was read from the database; it may
        have to open it. `told_by` is this process. `clock`: epoch seconds.
        """
        self._open_log = log
        self._copies = copies
        self._bus = bus
        self.told_by = told_by
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._log: ChangeLog | None = None
        self._looks: deque[tuple[float, int]] = deque()
        """When the log was looked at, and the newest number known then."""
        self._acted_on: set[int] = set()
        self._owes_refresh = False
        self._look_now = asyncio.Event()
        self._outgoing: deque[NumberedChange] = deque(maxlen=_MOST)
        self._has_outgoing = asyncio.Event()
        self._hears = False
        self._is_told = False
        self._next_forgetting = time.monotonic() + _FORGET_EVERY_S
        self.newest = 0
        """The newest change that this process knows of; all before it were committed by then."""

    @property
    def hears_at_once(self) -> bool:
        """Whether the bus works."""
        return self._hears

    def start(self) -> None:
        """Begins to listen, and to look."""
        self._tasks = [asyncio.create_task(self._watch(), name="changes")]
        if self._bus is not None:
            self._tasks.append(asyncio.create_task(self._listen(self._bus), name="changes heard"))
            self._tasks.append(asyncio.create_task(self._tell(self._bus), name="changes told"))

    async def stop(self) -> None:
        """No more of it."""
        await end_tasks(self._tasks)

    async def made_here(self, changes: Sequence[NumberedChange]) -> None:
        """This process has committed these. Returns when they are in force here; others hear of them meanwhile.

        Raises `StoreUnavailable` if what is served cannot be read anew just now; it will be.
        """
        if changes:
            self._outgoing.extend(changes)
            self._has_outgoing.set()
            await self._act(changes, is_news=True)

    async def look(self) -> None:
        """Reads what was noted and acts on it. Raises `StoreUnavailable`."""
        now = time.monotonic()
        if self._log is None:
            self._log, newest = await self._open_log()
            self._looks.append((now, newest))
            self.newest = max(self.newest, newest)
        elif now - self._looks[-1][0] > _KEPT_S / 2:  # some of what was noted meanwhile may be gone
            await self._begin_anew(self._log)
        while len(self._looks) > 1 and self._looks[1][0] <= now - _OVERLAP_S:
            self._looks.popleft()
        since = self._looks[0][1]
        found = await self._log.since(since, besides=self.told_by, limit=_MOST)
        if len(found) == _MOST:
            await self._begin_anew(self._log)
            return
        self._acted_on = {number for number in self._acted_on if number > since}
        self._looks.append((now, max(self._looks[-1][1], *(one.number for one in found), 0)))
        await self._take(found, is_news=True)
        if self._owes_refresh:
            await self._refresh()
        await self._clear_away(self._log)

    async def _begin_anew(self, log: ChangeLog) -> None:
        started, newest = time.monotonic(), await log.latest()
        self._looks = deque([(started, newest)])
        self._acted_on.clear()
        self.newest = max(self.newest, newest)
        self._copies.forget_all()
        await self._refresh()

    async def _take(self, changes: Iterable[NumberedChange], *, is_news: bool) -> None:
        """Acts on changes that others made, once."""
        new = [one for one in changes if one.number not in self._acted_on]
        if new:
            self._acted_on.update(one.number for one in new)
            await self._act(new, is_news=is_news)

    async def _act(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        self.newest = max(self.newest, *(one.number for one in changes))
        self._copies.forget(changes, is_news=is_news)
        await self._copies.interrupt(changes)
        if any(one.change.kind in SERVED for one in changes):
            await self._refresh()

    async def _refresh(self) -> None:
        self._owes_refresh = False
        try:
            await self._copies.refresh()
        except BaseException:
            self._owes_refresh = True
            raise

    async def _clear_away(self, log: ChangeLog) -> None:
        if time.monotonic() >= self._next_forgetting:
            self._next_forgetting = time.monotonic() + _FORGET_EVERY_S
            await log.forget(before_s=self._clock() - _KEPT_S)

    async def _watch(self) -> None:
        await asyncio.sleep(_UNTIL_FIRST_LOOK_S)
        while True:
            self._look_now.clear()
            try:
                await self.look()
            except StoreUnavailable:
                pass  # the ledger tells of it; nothing can change while nobody can write
            except Exception:  # noqa: BLE001 - the next look is due, whatever was wrong with this one
                _log.exception("Changes could not be acted upon")
            await self._pause(_LOOK_BESIDE_BUS_S if self._hears else _LOOK_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._look_now.wait()
        except TimeoutError:
            return

    async def _listen(self, bus: ChangeBus) -> None:
        while True:
            try:
                async for message in bus.listen():
                    if message:
                        await self._hear(message)
                    else:
                        self._began_to_hear()
            except BusUnavailable as error:
                self._stopped_hearing(error)
            except Exception:  # noqa: BLE001 - it must go on
                self._hears = False
                _log.exception("Listening for changes failed; trying again")
            await asyncio.sleep(_RECONNECT_S)

    async def _hear(self, message: bytes) -> None:
        word = decode_word(message)
        if word is None:
            self._look_now.set()  # from a version that says more than this one understands
        elif word.told_by != self.told_by:
            try:
                await self._take(word.changes, is_news=False)
            except StoreUnavailable:
                self._look_now.set()

    def _began_to_hear(self) -> None:
        self._hears = True
        self._look_now.set()
        self._has_outgoing.set()
        if self._is_told:
            _log.warning("changes: other gateways' are heard at once again")
        self._is_told = False

    def _stopped_hearing(self, error: BusUnavailable) -> None:
        if not self._is_told:
            _log.error("changes: not heard at once (%s); meanwhile the database is read every %s s", error, _LOOK_S)
        self._is_told = True
        self._hears = False
        self._look_now.set()

    async def _tell(self, bus: ChangeBus) -> None:
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            telling = list(self._outgoing)
            self._outgoing.clear()
            if not telling:
                continue
            try:
                await bus.publish(self.told_by, telling)
            except BusUnavailable:
                continue  # who listens is told of it there; the others look for themselves
            except Exception:  # noqa: BLE001 - it must go on
                _log.exception("Changes could not be told of; other gateways find them in the database")
