"""Answers as objects of a bucket, for all replicas.

An object says itself when its time is over, because a bucket's own rules count in days: such a rule deletes what nobody
asks for any more. Writes are made in the background, and dropped where too many wait.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html (2026-11-26).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import md5, sha256
from html import unescape
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

import msgspec

from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import Endpoint, Timeouts
from tollway.ports.responses import KeptAnswer
from tollway.ports.transport import Transport, UpstreamRequest
from tollway.stores.patience import Patience

_FOLDER = "tollway-answers/"
"""Everything below it is ours, and nothing else is touched."""
_UNWRITTEN_AT_MOST = 1000
_WRITERS = 8
_LISTED_AT_ONCE = 1000
_PATIENCE_S = 10.0
"""For everything that no call waits for."""
_TIMEOUTS = Timeouts(connect=_PATIENCE_S, first_byte=_PATIENCE_S, between_chunks=_PATIENCE_S, total=_PATIENCE_S)
_LONGEST = 256 << 20
_FAILURES = (TimeoutError, UpstreamError, Misconfigured)
_KEY = re.compile(r"<Key>([^<]+)</Key>")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_NEXT = re.compile(r"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_OK, _NO_CONTENT, _NOT_FOUND = 200, 204, 404

Sign = Callable[[str, str, bytes], Awaitable[tuple[tuple[str, str], ...]]]
"""From method, target and body to the headers of a request."""


class _Object(msgspec.Struct, frozen=True, array_like=True):
    """Append only, always with a default: it is read by other versions."""

    expires_at: float
    answer: KeptAnswer


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Object).decode


class _Refused(UpstreamError):
    """The storage has answered, but not with what it was asked for."""


class S3ResponseStore:
    """`ports.responses.ResponseStore` in a bucket, in a folder of its own."""

    kind = "s3"

    def __init__(
        self,
        transport: Transport,
        endpoint: Endpoint,
        sign: Sign,
        clock: Callable[[], float],
        *,
        bucket_path: str,
        prefix: str,
        timeout_s: float,
    ) -> None:
        """`bucket_path`: of the bucket on its server. `prefix`: what the names of our objects begin with.

        `clock` gives epoch seconds. `timeout_s`: the most that a call waits for an answer of the storage.
        """
        self._transport = transport
        self._endpoint = endpoint
        self._sign = sign
        self._clock = clock
        self._bucket_path = bucket_path
        self._folder = f"{prefix.strip('/')}/{_FOLDER}".lstrip("/")
        self._timeout_s = timeout_s
        self._unwritten: deque[tuple[str, KeptAnswer, float]] = deque(maxlen=_UNWRITTEN_AT_MOST)
        self._writers: set[asyncio.Task[None]] = set()
        self.patience = Patience("The bucket of the cache")

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer; None too where the storage is away, or too slow."""
        if self.patience.is_over:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._fetch(key)
        except _Refused as error:
            self.patience.lose(error)
            return None
        except _FAILURES as error:
            self.patience.waited_in_vain(error)
            return None
        self.patience.regain()
        return found.answer if found is not None and found.expires_at > self._clock() else None

    def put(self, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keeps an answer for so long, soon."""
        self._unwritten.append((key, answer, self._clock() + ttl_s))
        if len(self._writers) < _WRITERS:
            writer = asyncio.create_task(self._write())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were. Raises `StoreUnavailable`."""
        await self._settle()
        try:
            return sum([await self._remove(key) for key in keys])
        except _FAILURES as error:
            raise self.patience.away(error) from error

    async def clear(self) -> None:
        """Forgets every answer, and nothing else that the bucket holds. Raises `StoreUnavailable`."""
        self._unwritten.clear()
        await self._settle()
        try:
            async for names in self._listed():
                await self._remove_all(names)
        except _FAILURES as error:
            raise self.patience.away(error) from error

    async def ping(self) -> None:
        """Writes and reads something. Raises `StoreUnavailable`."""
        now = self._clock()
        try:
            await self._store("ping", _Object(now + 1, KeptAnswer(now, b"pong")))
            await self._fetch("ping")
        except _FAILURES as error:
            raise self.patience.away(error) from error

    async def info(self) -> None:
        """A storage says nothing of itself."""

    async def close(self) -> None:
        """Writes what is still to be written, if that does not take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._settle()

    async def _settle(self) -> None:
        while self._writers:
            await asyncio.gather(*self._writers)

    async def _write(self) -> None:
        while self._unwritten:
            key, answer, expires_at = self._unwritten.popleft()
            try:
                await self._store(key, _Object(expires_at, answer))
            except _FAILURES as error:
                self.patience.lose(error)
                self._unwritten.clear()

    async def _fetch(self, key: str) -> _Object | None:
        status, body = await self._ask("GET", self._target(self._name(key)))
        if status == _NOT_FOUND and _code(body) in ("", "NoSuchKey"):
            return None
        if status != _OK:
            raise _refused(status, body)
        try:
            return _decode(body)
        except msgspec.DecodeError:
            return None  # of a version that writes it differently

    async def _store(self, key: str, stored: _Object) -> None:
        status, body = await self._ask("PUT", self._target(self._name(key)), _encode(stored))
        if status != _OK:
            raise _refused(status, body)

    async def _remove(self, key: str) -> bool:
        if await self._fetch(key) is None:
            return False
        status, body = await self._ask("DELETE", self._target(self._name(key)))
        if status not in (_OK, _NO_CONTENT):
            raise _refused(status, body)
        return True

    async def _listed(self) -> AsyncIterator[list[str]]:
        """Names of objects, many at once."""
        asked = {"list-type": "2", "max-keys": str(_LISTED_AT_ONCE), "prefix": self._folder}
        while True:
            status, body = await self._ask("GET", self._target(**asked))
            if status != _OK:
                raise _refused(status, body)
            listing = body.decode("utf-8", "replace")
            if names := [unescape(name) for name in _KEY.findall(listing)]:
                yield names
            following = _NEXT.search(listing)
            if following is None:
                return
            asked["continuation-token"] = unescape(following[1])

    async def _remove_all(self, names: Sequence[str]) -> None:
        objects = "".join(f"<Object><Key>{escape(name)}</Key></Object>" for name in names)
        body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}<Quiet>true</Quiet></Delete>'.encode()
        checksum = base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()
        headers = (("Content-MD5", checksum), ("Content-Type", "application/xml"))
        status, answer = await self._ask("POST", self._target(delete=""), body, headers)
        if status != _OK or b"<Error>" in answer:
            raise _refused(status, answer)

    async def _ask(
        self, method: str, target: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> tuple[int, bytes]:
        signed = await self._sign(method, target, body)
        request = UpstreamRequest(
            endpoint=self._endpoint,
            method=method,
            target=target,
            body=body,
            headers=(*signed, *headers),
            timeouts=_TIMEOUTS,
            max_response_bytes=_LONGEST,
        )
        response = await self._transport.send(request)
        return response.status, await response.read()

    def _name(self, key: str) -> str:
        """Of the object: keys may hold any text, names of objects may not."""
        return self._folder + sha256(key.encode("utf-8", "backslashreplace")).hexdigest()

    def _target(self, name: str = "", **asked: str) -> str:
        path = f"{self._bucket_path}/{quote(name, safe='/-_.~')}"
        return f"{path}?{urlencode(asked, quote_via=quote)}" if asked else path


def _code(body: bytes) -> str:
    found = _CODE.search(body.decode("utf-8", "replace"))
    return found[1] if found else ""


def _refused(status: int, body: bytes) -> _Refused:
    code = _code(body)
    return _Refused(f"HTTP {status}: {code}" if code else f"HTTP {status}")
