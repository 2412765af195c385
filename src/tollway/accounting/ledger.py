"""The flusher: brings records from the journal to the database, forever, and says when they are there.

Live counters are ahead of the database by what is still in the journal. Whoever reads spend from the database calls
`flush` first; whoever fills a live counter from the database goes through `seed`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tollway.accounting.journal import FileJournal
from tollway.accounting.owners import Owners
from tollway.accounting.segment import Segment
from tollway.core.errors import Overloaded, StoreUnavailable
from tollway.core.ids import new_record_id
from tollway.core.record import Charge, Record
from tollway.ports.counters import CounterStore
from tollway.ports.ledger import LedgerStore, Retention, Unstorable

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 3.0
_ADOPT_EVERY_S = 10.0
_FORGET_EVERY_S = 60.0
_MAINTAIN_EVERY_S = 86_400.0
_MAINTAIN_AGAIN_S = 60.0
"""After a step that could not be done: somebody reads what it would change."""
_IDLE_S = 600.0
"""Far longer than a call takes from settling its counters to appending its record, so that no spend is forgotten."""


class Ledger:
    """Owns the way of records from the journal to the store. `clock`: epoch seconds.

    `owners`: who else writes to this folder, where counters are shared; they learn from here which workers are gone.
    `interval_s`: how far the database is behind, at most, while it can be reached. `batch_size`: records a transaction.
    `retention`: how long records are kept; None: for good.
    """

    def __init__(
        self,
        journal: FileJournal,
        store: LedgerStore,
        counters: CounterStore,
        clock: Callable[[], float] = time.time,
        *,
        owners: Owners | None = None,
        interval_s: float = 1.0,
        batch_size: int = 500,
        retention: Retention | None = None,
    ) -> None:
        self._journal = journal
        self._store = store
        self._counters = counters
        self._clock = clock
        self._owners = owners
        self._interval_s = interval_s
        self._batch_size = batch_size
        self._retention = retention
        self._turn = asyncio.Lock()
        self._closing = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._flushes: set[asyncio.Task[None]] = set()
        self._is_away = False
        self._adjustments = 0
        self._is_adjusted = asyncio.Event()
        self._is_adjusted.set()
        self._unseen = 0
        """A running number of what live counters do not learn by settling: adjustments and adopted journals."""
        self._unseen_stored = 0
        self._next_adoption = 0.0
        self._next_forgetting = 0.0
        self._next_maintenance = 0.0

    async def replay(self) -> int:
        """Adopts the journals of processes that are gone and brings them to the database; how many segments.

        To be called before the first call is served. Raises `StoreUnavailable` while the database is away; the records
        are safe then, and follow when it is back.
        """
        adopted = self._adopt()
        if adopted:
            await self.flush()
            _log.info("ledger: replayed %d journal segments of an earlier run", adopted)
        await self._release()
        return adopted

    def start(self) -> None:
        """Begins flushing in the background."""
        self._loop = asyncio.create_task(self._run(), name="ledger flush")

    async def flush(self) -> None:
        """Returns when everything appended before is in the database. Raises `StoreUnavailable`."""
        # A transaction is never interrupted because the reader who waits for it has gone away.
        flush = asyncio.create_task(self._flush())
        self._flushes.add(flush)
        flush.add_done_callback(self._forget_flush)
        await asyncio.shield(flush)

    async def flush_everywhere(self) -> None:
        """Like `flush`, for every process that shares the counters: whoever reads sums sees all that was settled.

        Another process that cannot be reached is not waited for; what it has follows later.
        """
        await self._counters.everyone_flushes()
        await self.flush()

    async def close(self) -> None:
        """Stops the background work and flushes a last time. What cannot be stored stays in the journal."""
        self._closing.set()
        if self._loop is not None:
            await self._loop
        try:
            await self._flush()
        except StoreUnavailable:
            _log.error("ledger: the database is away; records stay in the journal and follow at the next start")
        self._journal.close()
        if self._owners is not None:
            self._owners.leave()

    async def seed(self, charges: Sequence[Charge]) -> None:
        """Tells the live counters what was settled in these windows, if they do not know by now.

        That includes every adjustment made and every journal adopted so far; one that comes while the database is being
        read makes it read again, so that each counts exactly once. Raises `StoreUnavailable`.
        """
        missing = list(charges)
        while missing:
            seen = self._unseen
            if seen > self._unseen_stored:
                await self.flush()
                self._unseen_stored = max(self._unseen_stored, seen)
            reading = await self._counters.prepare(missing)
            sums = await self._store.window_sums(missing)
            if seen == self._unseen:
                missing = [
                    charge
                    for charge, settled in zip(missing, sums, strict=True)
                    if not await self._counters.seed(charge, settled.nanos, settled.calls, reading)
                ]

    async def record_adjustment(
        self,
        charge: Charge,
        delta_nanos: int,
        *,
        key_hash: str = "",
        user_id: str = "",
        team_id: str = "",
        metadata: bytes = b"",
    ) -> Record:
        """Adds to what was spent in a window: a manual reset (negative) or an initial spend.

        It counts at once and is as durable as a call's record. Raises `Overloaded` when it cannot be recorded.
        """
        now = self._clock()
        record = Record(
            record_id=new_record_id(int(now * 1e3)),
            kind="adjustment",
            started_at=int(now * 1e6),
            ended_at=int(now * 1e6),
            key_hash=key_hash,
            user_id=user_id,
            team_id=team_id,
            cost_nanos=delta_nanos,
            metadata=metadata,
            charges=(charge,),
        )
        with self._adjusting():
            # The counter first: a counter filled from the database between the two would count the record twice.
            await self._counters.adjust(charge, delta_nanos)
            self._unseen += 1
            try:
                await self._journal.append(record)
            except Overloaded:
                await self._counters.adjust(charge, -delta_nanos)
                raise
        return record

    async def bring(self) -> None:
        """Returns when all that was counted here so far is in the database. Raises `StoreUnavailable`."""
        await self._is_adjusted.wait()  # or it may be counted, and not in the journal yet
        await self.flush()

    @contextmanager
    def _adjusting(self) -> Iterator[None]:
        self._adjustments += 1
        self._is_adjusted.clear()
        try:
            yield
        finally:
            self._adjustments -= 1
            if not self._adjustments:
                self._is_adjusted.set()

    async def _run(self) -> None:
        pause_s = self._interval_s
        while not await self._is_closing(within_s=pause_s):
            try:
                await self._flush()
                await self._tidy()
            except StoreUnavailable:
                pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, self._interval_s))
            except Exception:  # noqa: BLE001 - whatever it is, records must go on reaching the database
                _log.exception("ledger: flush failed; trying again")
                pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, self._interval_s))
            else:
                pause_s = self._interval_s

    async def _is_closing(self, *, within_s: float) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), within_s)
        except TimeoutError:
            return False
        return True

    async def _flush(self) -> None:
        async with self._turn:
            try:
                for segment in self._pending_segments():
                    await self._counters.delivered()
                    for batch in segment.batches(self._batch_size):
                        await self._insert(batch)
                        if segment.is_adopted:
                            await self._counters.forget({charge for record in batch for charge in record.charges})
                    await self._journal.discard(segment)
            except StoreUnavailable as error:
                self._went_away(error)
                raise
            self._came_back()

    def _pending_segments(self) -> Iterator[Segment]:
        # While old segments cannot be stored the live one goes on growing: one open file, however long it takes.
        yield from self._journal.sealed()
        self._journal.seal()
        yield from self._journal.sealed()

    async def _insert(self, batch: Sequence[Record]) -> None:
        try:
            await self._store.insert(batch)
        except Unstorable:
            if len(batch) == 1:
                self._journal.reject(batch[0])
                return
            middle = len(batch) // 2
            await self._insert(batch[:middle])
            await self._insert(batch[middle:])

    async def _tidy(self) -> None:
        now = self._clock()
        if now >= self._next_adoption:
            self._next_adoption = now + _ADOPT_EVERY_S
            self._adopt()
            await self._release()
        if now >= self._next_forgetting:
            self._next_forgetting = now + _FORGET_EVERY_S
            await self._counters.forget_idle(now - _IDLE_S)
        if now >= self._next_maintenance:
            await self._maintain(now)

    async def _maintain(self, now: float) -> None:
        """One step. As long as there are more, the next follows after the next flush: records come first."""
        self._next_maintenance = now + _MAINTAIN_AGAIN_S
        is_more = await self._store.maintain(now, self._retention)
        pause_s = self._retention.interval_s if self._retention else _MAINTAIN_EVERY_S
        self._next_maintenance = now if is_more else now + min(pause_s, _MAINTAIN_EVERY_S)

    def _adopt(self) -> int:
        adopted = self._journal.adopt()
        self._unseen += adopted
        return adopted

    async def _release(self) -> None:
        """Gives back what workers that are gone had reserved."""
        if self._owners is None:
            return
        for worker in self._owners.gone():
            if await self._counters.release(worker):
                self._owners.bury(worker)

    def _went_away(self, error: StoreUnavailable) -> None:
        self._journal.forget_records()
        if not self._is_away:
            _log.error("ledger: %s Records are kept in the journal (cause: %s)", error.message, error.__cause__)
        self._is_away = True

    def _came_back(self) -> None:
        if self._is_away:
            _log.warning("ledger: the database is back; the journal has been brought to it")
        self._is_away = False

    def _forget_flush(self, flush: asyncio.Task[None]) -> None:
        self._flushes.discard(flush)
        if not flush.cancelled():
            flush.exception()  # the caller may be gone; the background flush reports
