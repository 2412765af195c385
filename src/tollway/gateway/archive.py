"""Answers that are kept here because their provider keeps none: sealed, written in batches.

A caller has the end of an answer only after it was stored, so that what goes on from it at once is understood by every
replica. A database that is slow holds an answer up for some seconds at most, and one that is away no further answer:
they are stored later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

import msgspec

from tollway.core.errors import StoreUnavailable
from tollway.dialects.responses.state import ResponseState
from tollway.ports.conversations import ConversationStore, StoredResponse
from tollway.ports.sealing import Seal

_log = logging.getLogger(__name__)

_WAIT_S = 5.0
_RETRY_S = 1.0
_BATCH = 100
_MOST_WAITING = 1_000
LONGEST_CHAIN = 1_000
"""Answers of one conversation that are read."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ResponseState).decode


class Archive:
    """Keeps answers and finds them again."""

    def __init__(self, store: ConversationStore, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self._waiting: dict[str, tuple[StoredResponse, asyncio.Event]] = {}
        """What is to be written, by id, and who is to be told."""
        self._writer: asyncio.Task[None] | None = None
        self._is_away = False

    async def add(self, state: ResponseState, *, deployment_id: str, upstream_id: str, kept_s: float) -> None:
        """Keeps an answer. Returns when it is stored, or cannot be for now."""
        await self._seal.ready()
        if len(self._waiting) >= _MOST_WAITING:
            _log.error("The database is away: the response %s is not kept, and no call can go on from it", state.id)
            return
        now, written = time.time_ns() // 1000, asyncio.Event()
        stored = StoredResponse(
            id=state.id,
            owner=state.owner,
            previous=state.previous or "",
            deployment_id=deployment_id,
            upstream_id=upstream_id,
            status=state.status,
            created_at=now,
            expires_at=now + int(kept_s * 1e6),
            content=self._seal.seal_bytes(_encode(state), *_place(state.id)),
        )
        self._waiting[stored.id] = (stored, written)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        if self._is_away:
            return
        try:
            await asyncio.wait_for(written.wait(), _WAIT_S)
        except TimeoutError:
            _log.warning("The response %s is not stored yet: the database is slow or away", state.id)

    async def chain(self, id: str, owner: str | None) -> list[ResponseState]:
        """A response and what it went on from, the oldest first; empty if it is not kept, or somebody else's.

        `owner` None: whoever asks. Raises `StoreUnavailable`. The first has a `previous` where that is gone.
        """
        return await self._read(id, owner, LONGEST_CHAIN)

    async def find(self, id: str, owner: str | None) -> ResponseState | None:
        """One response without those before it. Raises `StoreUnavailable`."""
        found = await self._read(id, owner, 1)
        return found[0] if found else None

    async def delete(self, id: str, owner: str | None) -> bool:
        """Whether there was such a response. Raises `StoreUnavailable`."""
        waiting = self._waiting.get(id)
        if waiting is not None and owner in (None, waiting[0].owner):
            with suppress(TimeoutError):
                await asyncio.wait_for(waiting[1].wait(), _WAIT_S)
        return await self._store.delete(id, owner, now=time.time_ns() // 1000)

    async def close(self) -> None:
        """Writes what waits, if the database is there."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        while self._waiting:
            try:
                await self._write_batch()
            except StoreUnavailable:
                _log.error("The database is away: %d responses are not kept", len(self._waiting))
                return

    async def _read(self, id: str, owner: str | None, longest: int) -> list[ResponseState]:
        await self._seal.ready()
        rows, wanted = [], id
        while (waiting := self._waiting.get(wanted)) is not None and owner in (None, waiting[0].owner):
            rows.append(waiting[0])
            wanted = waiting[0].previous
        longest -= len(rows)
        if wanted and longest > 0:
            rows += await self._store.chain(wanted, owner, now=time.time_ns() // 1000, longest=longest)
        return self._opened(rows)

    def _opened(self, rows: Sequence[StoredResponse]) -> list[ResponseState]:
        """Up to the first that does not open: it was sealed under another salt key."""
        states: list[ResponseState] = []
        for row in rows:
            content = self._seal.open_bytes(row.content, *_place(row.id))
            if content is None:
                _log.error("The stored response %s does not open with this salt key", row.id)
                break
            states.append(_decode(content))
        states.reverse()
        return states

    async def _write(self) -> None:
        try:
            while self._waiting:
                try:
                    await self._write_batch()
                except StoreUnavailable as error:
                    if not self._is_away:
                        _log.error("Responses are stored later: %s", error.message)
                    self._is_away = True
                    await asyncio.sleep(_RETRY_S)
                else:
                    self._is_away = False
        finally:
            self._writer = None

    async def _write_batch(self) -> None:
        batch = [*islice(self._waiting.values(), _BATCH)]
        try:
            await self._store.add([stored for stored, _ in batch])
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it must not keep others from being stored
            _log.exception("Responses could not be stored: %s", ", ".join(stored.id for stored, _ in batch))
        for stored, written in batch:
            del self._waiting[stored.id]
            written.set()


def _place(id: str) -> tuple[str, str]:
    return ("stored_responses", id)
