"""Answers in a database, for all replicas, sealed with the salt key.

Calls that ask at the same time share a query, and answers that come within a moment a transaction: the cache has one
connection for reading and one for writing, however many calls there are. Nobody waits for a write; answers are dropped
where too many wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice

import msgspec

from tollway.core.errors import StoreUnavailable
from tollway.core.tasks import end_tasks
from tollway.ports.responses import AnswerTable, KeptAnswer, SealedAnswer, decode_answer, encode_answer
from tollway.ports.sealing import Seal
from tollway.stores.patience import Patience

_log = logging.getLogger(__name__)

_GATHER_S = 0.05
_BATCH = 100
_UNWRITTEN_AT_MOST = 1000
_TRIM_EVERY_S = 60.0
_LAST_WRITE_S = 5.0
_MICROS = 1e6


class _Unwritten(msgspec.Struct, frozen=True):
    answer: KeptAnswer
    expires_at: float


class GatheredResponseStore:
    """`ports.responses.ResponseStore` on a table."""

    kind = "database"

    def __init__(
        self, table: AnswerTable, seal: Seal, clock: Callable[[], float], *, timeout_s: float, max_bytes: int
    ) -> None:
        """`clock` gives epoch seconds. `timeout_s`: the most that a call waits for an answer of the database."""
        self._table = table
        self._seal = seal
        self._clock = clock
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._asked: dict[str, asyncio.Future[KeptAnswer | None]] = {}
        """What no query has been made for yet, and who is to be told."""
        self._unwritten: dict[str, _Unwritten] = {}
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._writes = asyncio.Lock()
        self._closing = asyncio.Event()
        self._next_trim = time.monotonic() + _TRIM_EVERY_S
        self._has_read = False
        self.patience = Patience("The database of the cache")

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer; None too where the database is away, or too slow."""
        unwritten = self._unwritten.get(key)
        if unwritten is not None:
            return unwritten.answer if unwritten.expires_at > self._clock() else None
        if self.patience.is_over:
            return None
        found = self._asked.get(key)
        if found is None:
            found = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        # The query goes on: to cut it off would cost the connection.
        done, _ = await asyncio.wait([found], timeout=self._timeout_s)
        if done:
            return found.result()
        if self._has_read:  # else it is being opened, which takes longer
            self.patience.waited_in_vain(TimeoutError())
        return None

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, soon."""
        if len(self._unwritten) >= _UNWRITTEN_AT_MOST:
            return
        self._unwritten[key] = _Unwritten(answer, self._clock() + ttl_s)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were. Raises `StoreUnavailable`."""
        async with self._writes:
            unwritten = [self._unwritten.pop(key, None) for key in keys]
            return sum(one is not None for one in unwritten) + await self._table.delete([_digest(key) for key in keys])

    async def clear(self) -> None:
        """Forgets every answer. Raises `StoreUnavailable`."""
        async with self._writes:
            self._unwritten.clear()
            await self._table.clear()

    async def ping(self) -> None:
        """Writes and reads something. Raises `StoreUnavailable`."""
        await self._seal.ready()
        now = self._clock()
        await self._table.write([self._sealed("ping", _Unwritten(KeptAnswer(now, b"pong"), now + 1))])
        await self._table.find([_digest("ping")], now=int(now * _MICROS))

    async def info(self) -> None:
        """The database says nothing of itself here."""

    async def close(self) -> None:
        """Writes what is still to be written, if that does not take long."""
        self._closing.set()
        if self._writer is not None and not self._writer.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WRITE_S):
                    await self._writer
        await end_tasks([self._reader])

    async def _read(self) -> None:
        while self._asked:
            batch = dict(islice(self._asked.items(), _BATCH))
            for key in batch:
                del self._asked[key]
            found = await self._find(list(batch))
            for key, future in batch.items():
                future.set_result(found.get(key))

    async def _find(self, keys: Sequence[str]) -> dict[str, KeptAnswer]:
        try:
            await self._seal.ready()
            digests = {_digest(key): key for key in keys}
            rows = await self._table.find(list(digests), now=int(self._clock() * _MICROS))
        except StoreUnavailable as error:
            self.patience.lose(error)
            return {}
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails no call
            _log.exception("The cache cannot be read")
            self.patience.lose(error)
            return {}
        self._has_read = True
        self.patience.regain()
        opened = ((digests[digest], self._opened(digest, content)) for digest, content in rows.items())
        return {key: answer for key, answer in opened if answer is not None}

    async def _write(self) -> None:
        while self._unwritten:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _GATHER_S)
            try:
                async with self._writes:
                    await self._write_batch()
                await self._trim()
            except StoreUnavailable as error:
                self.patience.lose(error)
                self._unwritten.clear()
            except Exception as error:  # noqa: BLE001 - whatever it is, later answers are kept
                _log.exception("Answers cannot be written to the cache")
                self.patience.lose(error)
                self._unwritten.clear()

    async def _write_batch(self) -> None:
        await self._seal.ready()
        batch = dict(islice(self._unwritten.items(), _BATCH))
        await self._table.write([self._sealed(key, one) for key, one in batch.items()])
        for key, one in batch.items():
            if self._unwritten.get(key) is one:  # else a newer one came meanwhile
                del self._unwritten[key]

    async def _trim(self) -> None:
        if time.monotonic() < self._next_trim:
            return
        self._next_trim = time.monotonic() + _TRIM_EVERY_S
        while await self._table.trim(self._max_bytes):
            pass

    def _sealed(self, key: str, unwritten: _Unwritten) -> SealedAnswer:
        digest = _digest(key)
        content = self._seal.seal_bytes(encode_answer(unwritten.answer), *_place(digest))
        return SealedAnswer(digest, int(unwritten.expires_at * _MICROS), content)

    def _opened(self, digest: bytes, content: bytes) -> KeptAnswer | None:
        """None for one that was sealed under another salt key, or that another version writes differently."""
        opened = self._seal.open_bytes(content, *_place(digest))
        try:
            return None if opened is None else decode_answer(opened)
        except msgspec.DecodeError:
            return None


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "backslashreplace")).digest()


def _place(digest: bytes) -> tuple[str, str]:
    return ("cached_answers", digest.hex())
