"""Answers in the gateway's own Postgres that are found by meaning too, for all replicas.

A call waits for the database no longer than a bound, and once it has, nobody does for a while: an answer from a
provider is better than none from a cache. Answers are written in the background, sealed; where too many wait, some are
dropped.
Imports no SQLAlchemy, as it is made before anybody needs the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tollway.core.errors import Misconfigured, StoreUnavailable, TollwayError
from tollway.core.tasks import end_tasks
from tollway.ports.responses import KeptAnswer, decode_answer, encode_answer
from tollway.ports.sealing import Seal
from tollway.ports.similar import Meaning, Similar

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tollway.stores.sql.similar_rows import SimilarRow, SimilarRows

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_REST_S = 2.0
"""How long the database is left alone once it was too slow, or away."""
_LONGEST_SEARCH_S = 5.0
"""Of what is near; the call itself waits for less."""
_LONGEST_GOODBYE_S = 2.0
_WRITTEN_AT_ONCE = 100
_UNWRITTEN_AT_MOST = 1000
_SWEEP_EVERY_S = 60.0


class DatabaseSimilarAnswers:
    """`ports.similar.SimilarAnswers` in the table `similar_answers`."""

    kind = "pgvector-semantic"

    def __init__(
        self,
        opened: Callable[[], Awaitable[AsyncEngine]],
        seal: Seal,
        clock: Callable[[], float],
        *,
        timeout_s: float,
        max_bytes: int,
    ) -> None:
        """`opened` gives the database once it is open; `clock` epoch seconds. `timeout_s`: the most that a call waits
        for an answer under a key.
        """
        self._opened = opened
        self._seal = seal
        self._clock = clock
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._rows: SimilarRows | None = None
        self._opening: asyncio.Task[SimilarRows] | None = None
        self._unwritten: dict[str, tuple[KeptAnswer, float, Meaning | None]] = {}
        """By key, in the order of writing: the answer, when its time is over, its meaning."""
        self._writer: asyncio.Task[None] | None = None
        self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
        self._rests_until = 0.0
        self._is_told = False

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer; None too where the database is away, or too slow, or not open yet."""
        within_s = self._timeout_s
        found = await self._tried(lambda rows: rows.get(key, self._now(), within_s=within_s), within_s)
        return None if found is None else self._read(key, found)

    async def find(self, meaning: Meaning, threshold: float, *, since: float) -> Similar | None:
        """The nearest answer in the bucket, if it is near enough, and was made since then."""
        since_us, within_s = int(since * 1e6), _LONGEST_SEARCH_S
        found = await self._tried(
            lambda rows: rows.nearest(meaning, self._now(), since=since_us, within_s=within_s), within_s
        )
        if found is None or found[2] < threshold:
            return None
        key, written, cosine = found
        answer = self._read(key, written)
        return None if answer is None else Similar(key, answer, min(1.0, cosine))

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, soon."""
        self._write_soon(key, answer, ttl_s, None)

    def put_similar(self, key: str, answer: KeptAnswer, ttl_s: float, meaning: Meaning) -> None:
        """Keeps an answer, soon, to be found by its meaning too."""
        self._write_soon(key, answer, ttl_s, meaning)

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were. Raises `StoreUnavailable`."""
        waiting = [self._unwritten.pop(key, None) for key in keys]
        rows = await self._ready()
        return max(await rows.delete(keys), sum(one is not None for one in waiting))

    async def clear(self) -> None:
        """Forgets every answer, and nothing else of the database. Raises `StoreUnavailable`."""
        self._unwritten.clear()
        await (await self._ready()).clear()

    async def ping(self) -> None:
        """Writes and reads something. Raises `StoreUnavailable`."""
        rows, now = await self._ready(), self._now()
        await rows.put([self._row("ping", KeptAnswer(self._clock(), b"pong"), self._clock() + 1, None)])
        if await rows.get("ping", now, within_s=_LONGEST_SEARCH_S) is None:
            raise StoreUnavailable("The database does not give back what was written to the cache.")

    async def info(self) -> None:
        """What there is to say is for the database's own tools."""

    async def close(self) -> None:
        """Writes what is still to be written, if that does not take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_GOODBYE_S):
                if self._writer is not None:
                    await asyncio.shield(self._writer)
        await end_tasks((self._writer, self._opening))

    async def _tried(self, work: Callable[[SimilarRows], Awaitable[_T]], within_s: float) -> _T | None:
        if self._rows is None:
            self._open()  # nobody waits for that
            return None
        if time.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(within_s):
                found = await work(self._rows)
        except (TimeoutError, TollwayError) as error:
            self._rest(error)
            return None
        except Exception as error:  # noqa: BLE001 - no call fails for it; most likely the extension is gone
            self._rest(error)
            self._rows = None
            return None
        self._is_well()
        return found

    def _open(self) -> asyncio.Task[SimilarRows] | None:
        """Has it opened, unless that has failed just now."""
        if self._opening is None or self._opening.done():
            if time.monotonic() < self._rests_until:
                return None
            self._opening = asyncio.create_task(self._prepare())
            self._opening.add_done_callback(_retrieve)
        return self._opening

    async def _ready(self) -> SimilarRows:
        """Raises `StoreUnavailable`."""
        if self._rows is not None:
            return self._rows
        self._rests_until = 0.0  # somebody looks after it
        opening = self._open()
        assert opening is not None
        return await asyncio.shield(opening)

    async def _prepare(self) -> SimilarRows:
        try:
            await self._seal.ready()
            engine = await self._opened()
            from tollway.stores.sql.similar_rows import SimilarRows  # noqa: PLC0415  (SQLAlchemy)

            rows = SimilarRows(engine)
            await rows.prepare()
        except StoreUnavailable as error:
            self._rest(error)
            raise
        except Exception as error:
            self._rest(error)
            said = error.message if isinstance(error, Misconfigured) else type(error).__name__
            raise StoreUnavailable(f"The cache cannot use the database: {said}") from error
        self._rows = rows
        self._is_well()
        return rows

    def _write_soon(self, key: str, answer: KeptAnswer, ttl_s: float, meaning: Meaning | None) -> None:
        if len(self._unwritten) < _UNWRITTEN_AT_MOST or key in self._unwritten:
            self._unwritten[key] = (answer, self._clock() + ttl_s, meaning)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            rows = self._rows
            if rows is None:
                opening = self._open()
                if opening is None:
                    self._unwritten.clear()
                    return
                rows = await asyncio.shield(opening)
            while self._unwritten:
                batch = list(self._unwritten.items())[:_WRITTEN_AT_ONCE]
                for key, _ in batch:
                    del self._unwritten[key]
                await rows.put([self._row(key, *one) for key, one in batch])
                if time.monotonic() >= self._next_sweep:
                    self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
                    await rows.shrink(self._max_bytes)
        except Exception as error:  # noqa: BLE001 - as above
            self._unwritten.clear()
            self._rest(error)

    def _row(self, key: str, answer: KeptAnswer, expires_at: float, meaning: Meaning | None) -> SimilarRow:
        from tollway.stores.sql.similar_rows import SimilarRow  # noqa: PLC0415  (SQLAlchemy; by now it is there)

        return SimilarRow(
            key=key,
            bucket="" if meaning is None else meaning.bucket,
            vector=None if meaning is None else meaning.vector,
            answer=self._seal.seal_bytes(encode_answer(answer), *_place(key)),
            created_at=int(answer.created_at * 1e6),
            expires_at=int(expires_at * 1e6),
        )

    def _read(self, key: str, written: bytes) -> KeptAnswer | None:
        opened = self._seal.open_bytes(written, *_place(key))
        if opened is None:
            return None  # sealed under another key
        try:
            return decode_answer(opened)
        except msgspec.DecodeError:
            return None  # of a version that writes it differently

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _rest(self, error: BaseException) -> None:
        self._rests_until = time.monotonic() + _REST_S
        if not self._is_told:
            said = error.message if isinstance(error, TollwayError) else type(error).__name__
            _log.error("cache: nothing is found in the database, so every call goes to its provider: %s", said)
        self._is_told = True

    def _is_well(self) -> None:
        if self._is_told:
            _log.warning("cache: the database answers again")
            self._is_told = False


def _place(key: str) -> tuple[str, ...]:
    return ("similar_answers", key)


def _retrieve(task: asyncio.Task[SimilarRows]) -> None:
    if not task.cancelled():
        task.exception()  # it was told
