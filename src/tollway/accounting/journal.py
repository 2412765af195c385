"""The write-ahead journal: records are in a file before the caller has the answer, and in the database a little later.

A folder holds segments. A worker appends to one segment; the flusher seals it, brings its records to the database and
unlinks it. Segments of processes that are gone are adopted by whoever comes first.

`append` writes each record at once. Measured on ext4 under uvloop, µs of CPU per record beyond those of the loop: 3.4
to 4.8, whether 1 or 32 calls are open. Gathering what one tick of the loop appends into a single write behind a future
took 6 to 9 with 1 call and 2.2 to 4.1 with 32, at best 1.3 less. A direct write also leaves a cancelled call no moment
between its write and its answer.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tollway.accounting.segment import HEADER, SUFFIX, Segment, UnknownVersion, frame
from tollway.core.errors import Misconfigured, Overloaded
from tollway.core.record import Record

_log = logging.getLogger(__name__)


class FileJournal:
    """`ports.ledger.Journal` in a folder that workers share, one segment being written by each.

    `owner`: which worker writes, as the names of its segments say.
    `fsync`: wait for the disk as well; survives power loss, at the price of its latency (calls share one sync).
    `keep_at_most`: records of the segment being written that stay in memory for the flusher; beyond, it reads the file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        owner: str = "",
        fsync: bool = False,
        keep_at_most: int = 10_000,
        probe_interval_s: float = 1.0,
    ) -> None:
        self._folder = folder
        self._owner = owner or str(os.getpid())
        self._fsync = fsync
        self._keep_at_most = keep_at_most
        self._live: Segment | None = None
        self._sealed: list[Segment] = []
        self._unreadable: set[Path] = set()
        self._probe_interval_s = probe_interval_s
        self._fault: OSError | None = None
        self._next_probe = 0.0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            Segment.create(self._folder, self._owner).remove()
        except OSError as error:
            raise Misconfigured(
                f"journal folder {folder}: {error.strerror}; it must be a folder that Tollway may write to",
                param="journal_folder",
            ) from error

    async def append(self, record: Record) -> None:
        """Returns once the record is in the file, or on the disk with `fsync`.

        Raises `Overloaded` when it cannot be (disk full, I/O error).
        """
        try:
            if self._live is None:
                self._live = Segment.create(self._folder, self._owner)
            segment = self._live
            segment.write(record, keep_at_most=self._keep_at_most)
            if self._fsync:
                await segment.synced()
        except OSError as error:
            raise self._refused(error) from error
        if self._fault is not None:
            self._recovered()

    def check(self) -> None:
        """Raises `Overloaded` while records cannot be written. Tries again by itself, but not at every call."""
        if self._fault is None:
            return
        if time.monotonic() < self._next_probe:
            raise self._refused(self._fault)
        try:
            if self._live is None:
                self._live = Segment.create(self._folder, self._owner)
            self._live.probe()
            if self._fsync:
                self._live.sync()
        except OSError as error:
            raise self._refused(error) from error
        self._recovered()

    def sealed(self) -> Sequence[Segment]:
        """Segments that nobody appends to any more and that are not in the database yet, oldest first."""
        return tuple(self._sealed)

    def seal(self) -> None:
        """Ends the segment being written; the next record begins a new one."""
        if self._live is not None:
            self._sealed.append(self._live)
            self._live = None

    async def discard(self, segment: Segment) -> None:
        """Removes a sealed segment, all of whose records are in the database."""
        await segment.idle()
        self._sealed.remove(segment)
        segment.remove()

    def forget_records(self) -> None:
        """Frees the memory of every segment: while the database is away the file is enough."""
        for segment in (*self._sealed, self._live):
            if segment is not None:
                segment.forget_records()

    @property
    def buffered(self) -> int:
        """How many records are held in memory."""
        return sum(segment.buffered for segment in (*self._sealed, self._live) if segment is not None)

    def lag_s(self) -> float:
        """Age of the oldest record that is not in the database; 0 if all are."""
        now = time.time()
        segments = [segment for segment in (*self._sealed, self._live) if segment is not None and not segment.is_empty]
        return max((now - segment.opened_at for segment in segments), default=0.0)

    def adopt(self) -> int:
        """Takes over the segments of processes that are gone; how many. They count as sealed, before our own."""
        orphans = [orphan for path in sorted(self._folder.glob(f"*{SUFFIX}")) if (orphan := self._adopt(path))]
        self._sealed[:0] = orphans
        return len(orphans)

    def reject(self, record: Record) -> None:
        """Keeps a record that the database refuses for good, in a file for the operator."""
        path = self._folder / "rejected.frames"
        is_new = not path.exists()
        with path.open("ab") as file:
            file.write((HEADER if is_new else b"") + frame(record))
        _log.error("ledger: the database refuses record %s; it is kept in %s", record.record_id, path)

    def close(self) -> None:
        """Gives up every lock. Files that still hold records stay and are adopted at the next start."""
        self.seal()
        for segment in self._sealed:
            segment.release()
        self._sealed.clear()

    def _adopt(self, path: Path) -> Segment | None:
        if path in self._unreadable:
            return None
        try:
            return Segment.adopt(path)
        except UnknownVersion as error:
            self._unreadable.add(path)
            _log.error("%s", error)
            return None

    def _refused(self, error: OSError) -> Overloaded:
        if self._fault is None:
            _log.error("journal %s: %s; calls are refused until records can be written", self._folder, error.strerror)
        if error is not self._fault:
            self._fault = error
            self._next_probe = time.monotonic() + self._probe_interval_s
        return Overloaded(
            "Usage cannot be recorded right now, so no call is served. Try again shortly.",
            headers=((b"retry-after", b"1"),),
        )

    def _recovered(self) -> None:
        _log.warning("journal %s: records can be written again", self._folder)
        self._fault = None
