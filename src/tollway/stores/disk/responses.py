"""Answers as files in a folder, for all processes of a machine, and for after a restart."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tollway.core.errors import StoreUnavailable
from tollway.ports.responses import KeptAnswer, decode_answer, encode_answer

_log = logging.getLogger(__name__)

_SUFFIX = ".answer"
_SWEEP_EVERY_S = 60.0


class DiskResponseStore:
    """`ports.responses.ResponseStore` in a folder. A file's time of change is when its time is over.

    Files are read and written in threads. What is over, and the oldest beyond the maximum, is deleted now and then.
    """

    kind = "disk"

    def __init__(self, folder: Path, clock: Callable[[], float], *, max_bytes: int) -> None:
        """`clock` gives epoch seconds."""
        self._folder = folder
        self._clock = clock
        self._max_bytes = max_bytes
        self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
        self._writing: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer, unless its time is over."""
        return await asyncio.to_thread(self._read, key)

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, soon."""
        task = asyncio.create_task(asyncio.to_thread(self._write, key, answer, self._clock() + ttl_s))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were."""
        return await asyncio.to_thread(lambda: sum(_remove(self._path(key)) for key in keys))

    async def clear(self) -> None:
        """Forgets every answer. Other files of the folder stay."""
        await asyncio.gather(*self._writing)
        await asyncio.to_thread(lambda: [_remove(path) for path in self._files()])

    async def ping(self) -> None:
        """Writes and reads something. Raises `StoreUnavailable`."""
        answer = KeptAnswer(self._clock(), b"pong")
        try:
            await asyncio.to_thread(self._replace, self._path("ping"), answer, self._clock() + 1)
        except OSError as error:
            raise StoreUnavailable(f"Nothing can be written to the folder of the cache: {error.strerror}.") from error

    async def info(self) -> None:
        """There is no server."""

    async def close(self) -> None:
        """Writes what is still to be written."""
        await asyncio.gather(*self._writing)

    def _read(self, key: str) -> KeptAnswer | None:
        path = self._path(key)
        try:
            with path.open("rb") as file:
                expires_at = os.fstat(file.fileno()).st_mtime
                written = file.read()
        except OSError:
            return None
        if expires_at <= self._clock():
            _remove(path)
            return None
        try:
            return decode_answer(written)
        except msgspec.DecodeError:
            return None  # of a version that writes it differently

    def _write(self, key: str, answer: KeptAnswer, expires_at: float) -> None:
        try:
            self._replace(self._path(key), answer, expires_at)
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
                self._sweep()
        except OSError as error:
            _log.error("cache: an answer cannot be written to %s: %s", self._folder, error.strerror)

    def _replace(self, path: Path, answer: KeptAnswer, expires_at: float) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}")
        unfinished.write_bytes(encode_answer(answer))
        os.utime(unfinished, (expires_at, expires_at))
        unfinished.replace(path)

    def _sweep(self) -> None:
        now, kept = self._clock(), []
        for path in self._files():
            with suppress(OSError):
                found = path.stat()
                if found.st_mtime <= now:
                    _remove(path)
                else:
                    kept.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self._max_bytes:
                return
            total -= size * _remove(path)

    def _files(self) -> Iterator[Path]:
        return self._folder.glob(f"*/*{_SUFFIX}")

    def _path(self, key: str) -> Path:
        """Two letters of folders, so that none has too many files. A key is hexadecimal, apart from its namespace."""
        name = key.replace("/", "_")
        return self._folder / name[-2:] / f"{name}{_SUFFIX}"


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
