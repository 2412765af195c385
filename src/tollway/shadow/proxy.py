"""The proxy: callers get the primary's answer as it comes, and the second is asked afterwards, from a queue.

Nothing that the second does can be noticed by a caller. What does not fit into the queue is left out, and counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tollway.shadow.mirrored import is_mirrored
from tollway.shadow.reading import Reply
from tollway.shadow.report import Report
from tollway.shadow.sockets import relay_socket

logger = logging.getLogger(__name__)

_LONGEST = 8 << 20
"""Bytes of a question or an answer; what is longer is relayed, and not compared."""
_WAITING_CALLS = 200
_WAITING_BYTES = 64 << 20
_AT_ONCE = 8
_CONNECT_S = 10.0
_SECOND_S = 600.0
_OF_A_CONNECTION = frozenset(
    {
        *("connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""RFC 9110 section 7.6.1: these are not passed on."""
_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that the client would add by itself."""
_KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key", "x-litellm-api-key")

Headers = CIMultiDict[str]


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the primary has answered."""

    method: str
    path: str
    target: str
    """Path and query, as they came."""
    headers: Headers
    body: bytes
    reply: Reply


class Shadow:
    """One gateway in front of callers, one behind its back."""

    def __init__(
        self,
        primary: str,
        second: str,
        report: Report,
        *,
        sample: float = 1.0,
        second_key: str | None = None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """`sample`: the share of calls that is copied. `second_key`: used there instead of the callers' own.

        `after` is called when a call has been compared, or left out.
        """
        self._primary = primary.rstrip("/")
        self._second = second.rstrip("/")
        self._report = report
        self._sample = sample
        self._second_key = second_key
        self._after = after
        self._waiting: asyncio.Queue[Copied] = asyncio.Queue(_WAITING_CALLS)
        self._waiting_bytes = 0
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def start(self, host: str, port: int) -> web.AppRunner:
        """Serves until its `cleanup`; then `stop`. Raises `OSError` for an address that cannot be had."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_OWN,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(_AT_ONCE)]
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._relay)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, auto_decompress=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            await self.stop(patience_s=0)
            raise
        return runner

    async def stop(self, *, patience_s: float = 10.0) -> None:
        """Compares what is waiting, if that does not take longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._waiting.join()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        is_copied = is_mirrored(request.method, request.path) and random.random() < self._sample
        asked, answered = _Copy(is_copied), _Copy(is_copied)
        headers = _passed(request.headers)
        url = URL(self._primary + request.raw_path, encoded=True)
        started = time.monotonic()
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await relay_socket(self._opened(), request, url, _forwarded(headers, request.remote))
            async with self._opened().request(
                request.method,
                url,
                data=_teed(request, asked) if request.body_exists else None,
                headers=_forwarded(headers, request.remote),
                allow_redirects=False,
            ) as answer:
                first_byte_s = time.monotonic() - started
                response = await self._pass_back(request, answer, answered)
                if is_copied:
                    reply = Reply(
                        status=answer.status,
                        headers=_lower(answer.headers),
                        body=answered.whole(),
                        seconds=time.monotonic() - started,
                        first_byte_s=first_byte_s,
                    )
                    self._keep(request, headers, asked, answered, reply)
                return response
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            return _failed(502, f"The primary gateway cannot be reached ({type(fault).__name__})")

    async def _pass_back(
        self, request: web.Request, answer: aiohttp.ClientResponse, answered: _Copy
    ) -> web.StreamResponse:
        """The answer as it comes; one that breaks off breaks off for the caller too."""
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_passed(answer.headers))
        await response.prepare(request)
        try:
            async for chunk in answer.content.iter_any():
                answered.add(chunk)
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, OSError, TimeoutError):
            answered.give_up()
            if request.transport is not None:
                request.transport.abort()
        return response

    def _keep(self, request: web.Request, headers: Headers, asked: _Copy, answered: _Copy, reply: Reply) -> None:
        """Puts a call into the queue, if there is room."""
        if asked.is_lost or answered.is_lost:
            self._leave_out("too long, or broken off")
            return
        copied = Copied(
            method=request.method,
            path=request.path,
            target=request.raw_path,
            headers=headers,
            body=asked.whole(),
            reply=reply,
        )
        if self._waiting.full() or self._waiting_bytes > _WAITING_BYTES:
            self._leave_out("the second gateway is too slow")
            return
        self._waiting_bytes += _size(copied)
        self._waiting.put_nowait(copied)

    async def _work(self) -> None:
        while True:
            copied = await self._waiting.get()
            try:
                await self._compare(copied)
            except Exception:
                logger.exception("A call could not be compared")
                self._leave_out("not comparable")
            finally:
                self._waiting_bytes -= _size(copied)
                self._waiting.task_done()

    async def _compare(self, copied: Copied) -> None:
        try:
            reply = await self._ask_second(copied)
        except (aiohttp.ClientError, OSError, TimeoutError):
            self._leave_out("the second gateway cannot be reached")
            return
        if len(reply.body) > _LONGEST:
            self._leave_out("too long, or broken off")
            return
        self._report.add(f"{copied.method} {copied.path}", copied.reply, reply)
        self._after()

    async def _ask_second(self, copied: Copied) -> Reply:
        started = time.monotonic()
        async with self._opened().request(
            copied.method,
            URL(self._second + copied.target, encoded=True),
            data=copied.body or None,
            headers=copied.headers if self._second_key is None else _with_key(copied.headers, self._second_key),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_SECOND_S, sock_connect=_CONNECT_S),
        ) as answer:
            first_byte_s = time.monotonic() - started
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _LONGEST:
                    break
            return Reply(
                status=answer.status,
                headers=_lower(answer.headers),
                body=bytes(body),
                seconds=time.monotonic() - started,
                first_byte_s=first_byte_s,
            )

    def _leave_out(self, reason: str) -> None:
        self._report.leave_out(reason)
        self._after()

    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "started first"
        return self._session


class _Copy:
    """What goes by, as long as it is not too much."""

    def __init__(self, is_wanted: bool) -> None:
        self._chunks: list[bytes] = []
        self._left = _LONGEST if is_wanted else -1

    @property
    def is_lost(self) -> bool:
        """There was too much of it, or it has no end."""
        return self._left < 0

    def add(self, chunk: bytes) -> None:
        """More of it."""
        if self._left >= 0:
            self._left -= len(chunk)
            self._chunks.append(chunk)
        if self._left < 0:
            self._chunks.clear()

    def give_up(self) -> None:
        """It broke off."""
        self._left = -1
        self._chunks.clear()

    def whole(self) -> bytes:
        """All of it; nothing if it is lost."""
        return b"".join(self._chunks)


async def _teed(request: web.Request, copy: _Copy) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        copy.add(chunk)
        yield chunk


def _passed(headers: Mapping[str, str]) -> Headers:
    """Those that are for the other end, each as often as it came."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OF_A_CONNECTION)


def _forwarded(headers: Headers, client: str | None) -> Headers:
    """Says for whom, as proxies do."""
    before = headers.get("X-Forwarded-For")
    chain = ", ".join(filter(None, (before, client)))
    return CIMultiDict(
        (
            *((name, value) for name, value in headers.items() if name.lower() != "x-forwarded-for"),
            *((("X-Forwarded-For", chain),) if chain else ()),
        )
    )


def _with_key(headers: Headers, key: str) -> Headers:
    """The caller's key is not shown to the second."""
    kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _KEYS)
    kept["Authorization"] = f"Bearer {key}"
    return kept


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _size(copied: Copied) -> int:
    return len(copied.body) + len(copied.reply.body)


def _failed(status: int, message: str) -> web.Response:
    error = {"message": f"tollway shadow: {message}.", "type": "api_error", "param": None, "code": str(status)}
    return web.Response(status=status, body=msgspec.json.encode({"error": error}), content_type="application/json")
