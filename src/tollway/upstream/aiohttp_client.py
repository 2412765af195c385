"""HTTP/1.1 through aiohttp, held to the promises of `direct` by the same conformance suite.

Importing this takes a quarter of a second: `proxied` does it when the first such endpoint is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import yarl

from tollway.core.errors import Header, UpstreamError
from tollway.core.snapshot import Endpoint, Origin
from tollway.ports.transport import Sink, UpstreamRequest
from tollway.upstream import failure, forwarding
from tollway.upstream.connection import MAX_FRAMING_BYTES, MAX_IDLE_S
from tollway.upstream.decoding import Decoder
from tollway.upstream.head import Refused, ends_at_close, read_head, size_of
from tollway.upstream.message import encode_fields, encode_head, fixed_fields
from tollway.upstream.tls import TlsContexts

_SET_BY_US = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class AiohttpResponse:
    """Implements `ports.transport.UpstreamResponse`."""

    def __init__(self, answer: aiohttp.ClientResponse, request: UpstreamRequest, deadline: float) -> None:
        """`deadline` is on the loop's clock. Raises `Refused`."""
        fields = answer.raw_headers
        if size_of(fields) > MAX_FRAMING_BYTES:
            raise Refused(f"its head is longer than {MAX_FRAMING_BYTES:,} bytes")
        self.status = answer.status
        self.headers: Sequence[Header]
        self.headers, terms = read_head(fields)
        version = "1.0" if answer.version is None else f"{answer.version.major}.{answer.version.minor}"
        self.has_explicit_end = not ends_at_close(answer.status, version, fields)
        """False where only the closed connection marks the end of the body, so that a cut cannot be seen."""
        self._answer = answer
        self._decoder: Decoder | None = terms.decoder if terms else None
        self._request = request
        self._server = failure.authority(request.endpoint.origin)
        self._deadline = deadline
        self._received = 0
        _wake_reader_when_closed(answer)

    async def read(self) -> bytes:
        """The whole body; see `UpstreamResponse`."""
        chunks = []
        while chunk := await self.next_chunk():
            chunks.append(chunk)
        return b"".join(chunks)

    async def next_chunk(self) -> bytes:
        """Everything that has arrived since the last call; see `UpstreamResponse`."""
        try:
            while data := await self._receive():
                if chunk := self._count(data) if self._decoder is None else self._decode(self._decoder, data):
                    return chunk
            if self._decoder is not None and not self._decoder.is_finished:
                raise failure.cut(self._server, self.status)
        except BaseException:
            self.close()
            raise
        return b""

    async def forward(self, sink: Sink) -> bool:
        """See `UpstreamResponse.forward`."""
        return await forwarding.forward(self, sink)

    def close(self) -> None:
        """Closes the connection unless the answer has ended; then the pool has it already."""
        self._answer.close()

    async def _receive(self) -> bytes:
        timeouts = self._request.timeouts
        now = asyncio.get_running_loop().time()
        stall_at = now + timeouts.between_chunks
        try:
            async with asyncio.timeout_at(min(stall_at, self._deadline)):
                return await self._answer.content.readany()
        except TimeoutError:
            if self._deadline < stall_at:
                raise failure.timed_out(self._server, "the whole answer", timeouts.total, status=self.status) from None
            what = "the next bytes of the answer"
            raise failure.timed_out(self._server, what, timeouts.between_chunks, status=self.status) from None
        except (aiohttp.ClientError, OSError):
            raise failure.cut(self._server, self.status) from None

    def _count(self, data: bytes) -> bytes:
        self._received += len(data)
        max_bytes = self._request.max_response_bytes
        if self._received > max_bytes:
            raise failure.too_large(self._server, max_bytes, self.status)
        return data

    def _decode(self, decoder: Decoder, data: bytes) -> bytes:
        try:
            return self._count(decoder.feed(data, self._request.max_response_bytes - self._received))
        except ValueError as error:
            raise failure.malformed(self._server, str(error), self.status) from None


class AiohttpTransport:
    """Implements `ports.transport.Transport`."""

    def __init__(
        self, *, proxy_for: Callable[[Origin], str | None], max_connections: int, certificate: str | None = None
    ) -> None:
        """`proxy_for` names the proxy of a server; it is not left to aiohttp, which would read `.netrc` as well."""
        self._proxy_for = proxy_for
        self._max_connections = max_connections
        self._tls = TlsContexts(certificate)
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def send(self, request: UpstreamRequest) -> AiohttpResponse:
        """See `Transport.send`. A kept connection that proves dead before it answered is replaced once, silently."""
        if self._kept is None:
            self._kept = _make_session(self._max_connections, keeps_connections=True)
        with contextlib.suppress(_StaleConnection):
            return await self._send(self._kept, request)
        if self._fresh is None:
            self._fresh = _make_session(self._max_connections, keeps_connections=False)
        return await self._send(self._fresh, request)

    async def close(self) -> None:
        """Closes every connection; calls on the way fail."""
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    async def _send(self, session: aiohttp.ClientSession, request: UpstreamRequest) -> AiohttpResponse:
        server = failure.authority(request.endpoint.origin)
        progress = _Progress(request)
        try:
            async with progress.scope:
                answer = await session.request(**self._arguments(request), trace_request_ctx=progress)
        except (OSError, aiohttp.ClientError) as error:
            raise _explain(error, server, progress) from None
        try:
            return AiohttpResponse(answer, request, progress.deadline)
        except Refused as refusal:
            answer.close()
            raise failure.malformed(server, str(refusal), answer.status) from None

    def _arguments(self, request: UpstreamRequest) -> dict[str, Any]:
        endpoint = request.endpoint
        if request.target:
            endpoint = msgspec.structs.replace(endpoint, target=request.target)
        encode_head(endpoint)  # for its checks: the same requests are refused as by `direct`
        encode_fields(request.headers)
        return {
            "method": request.method,
            "url": _url(endpoint),
            "data": io.BytesIO(request.body),  # aiohttp warns of long bytes
            "headers": [*fixed_fields(endpoint), *request.headers],
            "proxy": self._proxy_for(endpoint.origin),
            "ssl": self._tls.get(endpoint.origin.verify) if endpoint.origin.scheme == "https" else True,
            "timeout": aiohttp.ClientTimeout(total=None, connect=request.timeouts.connect),
            "allow_redirects": False,
        }


class _StaleConnection(Exception):
    """The server had closed an idle connection and never saw the request on it: safe to ask again."""


def _wake_reader_when_closed(answer: aiohttp.ClientResponse) -> None:
    """After bytes that it cannot parse aiohttp 3.14 closes the connection, and leaves the reader waiting."""
    protocol = answer.connection.protocol if answer.connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is None:
        return
    content = answer.content

    def wake(closed: asyncio.Future[None]) -> None:
        closed.exception()  # it is known; asyncio wants to see it looked at
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError())

    closed.add_done_callback(wake)


class _Progress:
    """How far a request has come, as aiohttp's traces tell, and how long its head may take."""

    def __init__(self, request: UpstreamRequest) -> None:
        self.is_reused = False
        self.timeouts = request.timeouts
        self._loop = asyncio.get_running_loop()
        self.deadline = self._loop.time() + self.timeouts.total
        self.scope = asyncio.timeout_at(self.deadline)

    def has_connected(self, *, is_reused: bool) -> None:
        """The request is about to be written: from now on its answer is waited for."""
        self.is_reused = is_reused
        self.scope.reschedule(min(self.deadline, self._loop.time() + self.timeouts.first_byte))

    def late(self, server: str) -> UpstreamError:
        """The error for the limit that `scope` has found passed."""
        if self.scope.when() == self.deadline:  # not by the clock: uvloop's timers may be a millisecond early
            return failure.timed_out(server, "the whole answer", self.timeouts.total)
        return failure.timed_out(server, "the first byte of the answer", self.timeouts.first_byte)


class _Request(aiohttp.ClientRequest):
    """Looks at a kept connection before it is used: what arrived while it was idle answers no request of ours."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:  # type: ignore[explicit-override]
        if conn.protocol is not None and conn.protocol.should_close:
            conn.close()
            raise aiohttp.ServerDisconnectedError
        return await super().send(conn)


def _make_session(max_connections: int, *, keeps_connections: bool) -> aiohttp.ClientSession:
    traces = aiohttp.TraceConfig()
    traces.on_connection_create_end.append(_note_created)
    traces.on_connection_reuseconn.append(_note_reused)
    keeping: dict[str, Any] = {"keepalive_timeout": MAX_IDLE_S} if keeps_connections else {"force_close": True}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=max_connections, **keeping),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_SET_BY_US,
        request_class=_Request,
        max_line_size=MAX_FRAMING_BYTES,
        max_field_size=MAX_FRAMING_BYTES,
        trace_configs=[traces],
    )


async def _note_created(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.has_connected(is_reused=False)


async def _note_reused(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.has_connected(is_reused=True)


def _url(endpoint: Endpoint) -> yarl.URL:
    origin = endpoint.origin
    path, _, query = endpoint.target.partition("?")
    return yarl.URL.build(
        scheme=origin.scheme, host=origin.host, port=origin.port, path=path, query_string=query, encoded=True
    )


def _explain(error: Exception, server: str, progress: _Progress) -> Exception:
    """What went wrong before the head was there."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return failure.timed_out(server, "connecting", progress.timeouts.connect)
        case TimeoutError():
            return progress.late(server)
        case aiohttp.ClientProxyConnectionError():
            return failure.unreachable(server, "its proxy cannot be reached")
        case aiohttp.ClientHttpProxyError():
            return failure.unreachable(server, f"its proxy answered {error.status}")
        case aiohttp.ClientConnectorCertificateError():
            return failure.unreachable(server, error.certificate_error)
        case aiohttp.ClientConnectorError():
            return failure.unreachable(server, error.os_error)
        case aiohttp.ClientResponseError():
            return failure.malformed(server, "it is not HTTP")
        case _ if progress.is_reused:
            return _StaleConnection()
        case aiohttp.ClientOSError():
            return failure.no_answer(server, OSError(error.errno, error.strerror))
        case _:
            return failure.no_answer(server)
