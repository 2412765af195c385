"""`PrincipalCopies` in Redis or Valkey, sealed with the salt key.

A copy names the newest change that was committed before it was loaded; a hash names, for everything that was changed,
the number of its last change. A copy counts only if nothing it was made from has been changed since, so it does not
matter in which order copies and changes arrive. The hash has an epoch that every copy carries as well: should it be
lost, or grow too large, no copy counts any more until it is made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import msgspec
from redis.exceptions import RedisError
from typing_extensions import override

from tollway.core.changes import NumberedChange
from tollway.core.errors import Misconfigured
from tollway.core.redis import RedisAddress
from tollway.core.tasks import end_tasks
from tollway.ports.copies import PrincipalCopies, PrincipalCopy
from tollway.ports.sealing import Seal
from tollway.stores.redis.connection import RedisClient

_log = logging.getLogger(__name__)

_PENDING = 10_000
_BATCH = 100
_FLUSH_EVERY_S = 0.1
_RETRY_S = 1.0
_MOST_MARKS = 20_000
_EPOCH_LENGTH = 32

_RESET = """
local function begin()
  local floor = math.max(tonumber(redis.call('HGET', KEYS[1], 'top') or 0), tonumber(ARGV[2]))
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'floor', string.format('%.0f', floor))
end
"""
"""A new epoch; copies loaded before its floor never count. ARGV: an epoch to begin, the newest change known."""

_KEEP = (
    _RESET
    + """
if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then begin() end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
for i = 2, #KEYS do redis.call('SET', KEYS[i], epoch .. ARGV[i + 2], 'EX', ARGV[3]) end
"""
)
"""KEYS: the hash, the copies. ARGV: …, the lifetime in seconds, what the copies are."""

_MARK = (
    _RESET
    + """
if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then begin() end
local top = tonumber(redis.call('HGET', KEYS[1], 'top') or 0)
for i = 4, #ARGV, 2 do
  local number = tonumber(ARGV[i + 1])
  local before = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0)
  if number > before then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  top = math.max(top, number)
end
redis.call('HSET', KEYS[1], 'top', string.format('%.0f', top))
"""
)
"""KEYS: the hash. ARGV: …, how many marks it may have, and of each its name and number."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PrincipalCopy).decode


class SealedPrincipals(PrincipalCopies):
    """Writes in the background and in batches; reads only when asked."""

    def __init__(
        self, client: RedisClient, address: RedisAddress, seal: Seal, *, lifetime_s: float, newest: Callable[[], int]
    ) -> None:
        """`lifetime_s`: how long after it was loaded a copy may be of use. `newest`: the newest change known."""
        self._client = client
        self._prefix = f"{address.prefix}principals:"
        self._marks_key = f"{address.prefix}principals"
        self._timeout_s = address.answer_timeout_s
        self._seal = seal
        self._lifetime_s = max(1, round(lifetime_s))
        self._newest = newest
        self._copies: dict[str, PrincipalCopy] = {}
        self._marks: dict[str, int] = {}
        self._heard: dict[str, int] = {}
        """Marks this process knows of, whether or not the server has them yet."""
        self._has_work = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._away_until = 0.0

    @override
    def as_of(self) -> int:
        return self._newest()

    @override
    def keep(self, key_hash: str, copy: PrincipalCopy) -> None:
        if len(self._copies) < _PENDING:
            self._copies[key_hash] = copy
            self._has_work.set()

    @override
    def forget(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        for one in changes:
            mark = _mark(one.change.kind, one.change.id)
            self._heard.pop(mark, None)
            self._heard[mark] = one.number
            if is_news:
                self._marks[mark] = max(one.number, self._marks.get(mark, 0))
        while len(self._heard) > _PENDING:
            del self._heard[next(iter(self._heard))]
        if self._marks:
            self._has_work.set()

    @override
    async def find(self, key_hash: str) -> PrincipalCopy | None:
        now = asyncio.get_running_loop().time()
        if now < self._away_until:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._find(key_hash)
        except (RedisError, OSError, Misconfigured):
            self._away_until = now + _RETRY_S
            return None

    def start(self) -> None:
        """Begins to write what there is to write."""
        self._flusher = asyncio.create_task(self._flush(), name="copies of principals")

    async def stop(self) -> None:
        """No more of it."""
        await end_tasks([self._flusher])

    async def write(self) -> None:
        """Writes what there is to write. Raises `RedisError`, or `Misconfigured` without a key to seal with."""
        await self._write_marks()
        await self._write_copies()

    async def _find(self, key_hash: str) -> PrincipalCopy | None:
        stored = await self._client.get(self._prefix + key_hash)
        if not isinstance(stored, bytes):
            return None
        await self._seal.ready()
        epoch, sealed = stored[:_EPOCH_LENGTH], stored[_EPOCH_LENGTH:]
        opened = self._seal.open_bytes(sealed, "principal", key_hash)
        if opened is None:
            return None
        try:
            copy = _decode(opened)
        except msgspec.DecodeError:  # of another version
            return None
        made_from = [_mark("key", key_hash), *(_mark(kind, name) for kind, name in copy.principal.depends_on)]
        current, floor, *marks = await self._client.hmget(self._marks_key, ["epoch", "floor", *made_from])
        numbers = [int(mark) for mark in (floor, *marks) if mark is not None]
        numbers += [self._heard[mark] for mark in made_from if mark in self._heard]
        return copy if current == epoch and max(numbers, default=0) <= copy.as_of else None

    async def _flush(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            try:
                await self.write()
            except (RedisError, OSError):
                self._has_work.set()
                await asyncio.sleep(_RETRY_S)
            except Misconfigured as error:
                _log.error("%s Principals are not copied.", error.message)
                return
            await asyncio.sleep(_FLUSH_EVERY_S)

    async def _write_marks(self) -> None:
        while self._marks:
            batch = dict(list(self._marks.items())[:_BATCH])
            said = [part for mark, number in batch.items() for part in (mark, number)]
            await self._run(_MARK, [self._marks_key], _MOST_MARKS, *said)
            for mark, number in batch.items():
                if self._marks[mark] == number:
                    del self._marks[mark]

    async def _write_copies(self) -> None:
        if self._copies:
            await self._seal.ready()
        while self._copies:
            batch = dict(list(self._copies.items())[:_BATCH])
            for key_hash in batch:
                del self._copies[key_hash]
            sealed = [self._seal.seal_bytes(_encode(copy), "principal", name) for name, copy in batch.items()]
            keys = [self._marks_key, *(self._prefix + name for name in batch)]
            await self._run(_KEEP, keys, self._lifetime_s, *sealed)

    async def _run(self, script: str, keys: Sequence[str], *args: Any) -> None:
        await self._client.eval(script, len(keys), *keys, uuid4().hex, self._newest(), *args)


def _mark(kind: str, name: str) -> str:
    return f"{kind}:{name}"
