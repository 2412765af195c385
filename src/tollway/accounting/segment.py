"""One file of the journal: its format, reading it back, and holding it.

Little-endian: the magic `TOLLWAYJ`, u16 version, then frames of u32 length, u32 CRC-32 over the length and the payload,
and the payload: a `Record` as msgpack array. A process killed while writing leaves a torn last frame; its call was
never acknowledged, and it is ignored.

A segment is held under an exclusive `flock` for as long as its process lives. So one that can be locked is an orphan,
and whoever locks it first adopts it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from secrets import token_hex

import msgspec

from tollway.core.record import Record

_log = logging.getLogger(__name__)

SUFFIX = ".journal"
_MAGIC = b"TOLLWAYJ"
_VERSION = 1
HEADER = _MAGIC + struct.pack("<H", _VERSION)
_FRAME = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_PROBE = bytes(64 * 1024)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class UnknownVersion(Exception):
    """The segment was written by a newer Tollway."""


def frame(record: Record) -> bytes:
    """A record as it stands in a file."""
    payload = _encode(record)
    length = _LENGTH.pack(len(payload))
    return _FRAME.pack(len(payload), zlib.crc32(payload, zlib.crc32(length))) + payload


class Damage(msgspec.Struct, frozen=True):
    """Where a segment stops making sense."""

    offset: int
    lost_bytes: int
    is_torn_tail: bool
    """The file ends inside a frame, as it does when a process is killed while writing; anything else is a bad disk."""


class SegmentReader:
    """Reads the records of a segment, in order, up to its end or to the first damage.

    Raises `UnknownVersion` for a format that this version does not know.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damage: Damage | None = None
        """Set once reading has come to it."""

    def __iter__(self) -> Iterator[Record]:
        self.check_version()
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = file.read(len(HEADER))
            if header != HEADER:
                self.damage = Damage(0, size, is_torn_tail=HEADER.startswith(header))
                return
            offset = len(header)
            while head := file.read(_FRAME.size):
                is_whole = len(head) == _FRAME.size
                length, checksum = _FRAME.unpack(head) if is_whole else (0, 0)
                if not is_whole or length > size - offset - _FRAME.size:
                    self.damage = Damage(offset, size - offset, is_torn_tail=True)
                    return
                payload = file.read(length)
                record = _checked(payload, checksum)
                if record is None:
                    self.damage = Damage(offset, size - offset, is_torn_tail=False)
                    return
                yield record
                offset += _FRAME.size + length

    def check_version(self) -> None:
        """Raises `UnknownVersion`."""
        with self._path.open("rb") as file:
            header = file.read(len(HEADER))
        if len(header) == len(HEADER) and header.startswith(_MAGIC) and header != HEADER:
            raise UnknownVersion(
                f"journal segment {self._path} has format {header[len(_MAGIC) :].hex()}, this version reads "
                f"{_VERSION}; start the newer version once so that its records reach the ledger"
            )


def _checked(payload: bytes, checksum: int) -> Record | None:
    if zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload)))) != checksum:
        return None
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        return None


class Segment:
    """One file of a journal, locked by this process for as long as it exists."""

    def __init__(self, path: Path, descriptor: int, *, records: list[Record] | None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        """End of the last good frame."""
        self._records = records
        self.is_adopted = records is None
        """Written by a process that is gone."""
        self._stored = 0
        self._is_damaged = False
        self._is_name_synced = False
        self._syncing: asyncio.Future[None] | None = None
        self._next_sync: asyncio.Future[None] | None = None

    @classmethod
    def create(cls, folder: Path, owner: str) -> Segment:
        """A new one, empty and locked, that `owner` writes to. Raises `OSError`."""
        while True:
            path = folder / f"{time.time_ns():020d}-{owner}-{token_hex(4)}{SUFFIX}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if not _lock(descriptor):
                os.close(descriptor)  # somebody took the new file for an orphan
                continue
            segment = cls(path, descriptor, records=[])
            try:
                segment._append(HEADER)
            except OSError:
                segment.remove()
                raise
            return segment

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """One that nobody holds any more; None if somebody does, or it is gone. Raises `UnknownVersion`."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        orphan = cls(path, descriptor, records=None)
        try:
            SegmentReader(path).check_version()
        except UnknownVersion:
            orphan.release()
            raise
        return orphan

    def write(self, record: Record, *, keep_at_most: int) -> None:
        """Appends one frame. Raises `OSError` and leaves nothing behind when it cannot be written whole."""
        self._append(frame(record))
        if self._records is not None:
            self._records.append(record)
            if len(self._records) > keep_at_most:
                self.forget_records()

    def probe(self) -> None:
        """Raises `OSError` while the disk takes no more. What it writes is removed again."""
        size = self._size
        self._append(_PROBE)
        self._size = size
        os.ftruncate(self._descriptor, size)

    def _append(self, data: bytes) -> None:
        try:
            written = os.pwrite(self._descriptor, data, self._size)
            while written < len(data):  # a nearly full disk takes a part, and says why at the next attempt
                written += os.pwrite(self._descriptor, data[written:], self._size + written)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += written

    @property
    def opened_at(self) -> float:
        """When it was begun, in seconds since 1970: its name says so. Its first record is hardly younger."""
        return int(self.path.name.partition("-")[0]) / 1e9

    @property
    def is_empty(self) -> bool:
        """Whether no record is in it."""
        return self._size <= len(HEADER)

    @property
    def buffered(self) -> int:
        """How many records are held in memory."""
        return len(self._records or ())

    def forget_records(self) -> None:
        """Frees the memory; from now on they are read from the file."""
        self._records = None

    def batches(self, size: int) -> Iterator[Sequence[Record]]:
        """All records, in groups of at most `size`. Whoever asks for the next group has stored the one before.

        So a reader that fails and comes back begins with the group that failed.
        """
        reader = SegmentReader(self.path)
        records = iter(reader if self._records is None else self._records)
        rest = islice(records, self._stored, None)
        while batch := list(islice(rest, size)):
            yield batch
            self._stored += len(batch)
        if reader.damage is not None and reader.damage.lost_bytes:
            self._report(reader.damage)

    def _report(self, damage: Damage) -> None:
        if damage.is_torn_tail:
            _log.warning("journal %s: ignored %d bytes of an unfinished record", self.path, damage.lost_bytes)
            return
        self._is_damaged = True
        _log.error(
            "journal %s: damaged at byte %d; the %d bytes from there are not in the ledger; the file stays as %s",
            *(self.path, damage.offset, damage.lost_bytes, self._damaged_path.name),
        )

    @property
    def _damaged_path(self) -> Path:
        return self.path.with_suffix(".damaged")

    async def synced(self) -> None:
        """Returns once everything written before is on the disk; whoever waits at the same time shares a sync."""
        # The sync that is under way may have begun before this write: join the next one.
        if self._next_sync is None:
            self._next_sync = asyncio.ensure_future(self._sync_after(self._syncing))
            self._next_sync.add_done_callback(_retrieve_error)
        await asyncio.shield(self._next_sync)

    async def _sync_after(self, previous: asyncio.Future[None] | None) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        self._syncing, self._next_sync = self._next_sync, None
        await asyncio.to_thread(self.sync)

    async def idle(self) -> None:
        """Returns once no sync is under way."""
        for sync in (self._syncing, self._next_sync):
            if sync is not None:
                await asyncio.wait([sync])

    def sync(self) -> None:
        """Returns once everything written is on the disk, the file's name included. Blocks."""
        os.fdatasync(self._descriptor)
        if not self._is_name_synced:
            _sync_folder(self.path.parent)
            self._is_name_synced = True

    def remove(self) -> None:
        """Unlinks the file, or puts a damaged one aside; then gives up the lock."""
        if self._is_damaged:
            self.path.replace(self._damaged_path)
        else:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def release(self) -> None:
        """Gives up the lock and leaves the file to whoever adopts it."""
        os.close(self._descriptor)


def segments_of(folder: Path, owner: str) -> list[Path]:
    """The segments in a folder that one owner wrote to."""
    return sorted(folder.glob(f"*-{owner}-*{SUFFIX}"))


def _lock(descriptor: int) -> bool:
    """Takes the file exclusively; False if another process has it, or it was unlinked in the meantime."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _retrieve_error(sync: asyncio.Future[None]) -> None:
    # Every call that waited for it may have been cancelled; asyncio complains about errors nobody looked at.
    if not sync.cancelled():
        sync.exception()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
