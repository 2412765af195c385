"""One HTTP/1.1 keep-alive connection and the answer that comes in on it.

The parser is llhttp (RFC 9112, strict). What it leaves to its user is decided here: which framings of a body are
accepted, how much may arrive, when a connection may be used again. Pooling is in `pool`, the calls are in `direct`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from httptools import HttpParserError, HttpResponseParser

from tollway.core.errors import Header, UpstreamError
from tollway.core.snapshot import Timeouts
from tollway.upstream import failure
from tollway.upstream.decoding import Decoder
from tollway.upstream.head import BODILESS, Refused, read_head, size_of

MAX_FRAMING_BYTES = 64 * 1024
"""Longest head, and longest run of chunk headers and trailers that carry no body."""

HIGH_WATER_BYTES = 256 * 1024
"""Unread bytes of a body above which the server is made to wait."""

MAX_IDLE_S = 55.0
"""Below the 60 s after which AWS load balancers, and the 75 s after which nginx, close an idle connection. Servers that
wait less either say so (`Keep-Alive: timeout`) or are found closed: then a call moves to a fresh connection."""

_KEEPALIVE_PROBE_S = 60
"""TCP probes hold an address translation open while a model thinks; AWS forgets a silent flow after 350 s."""


class Owner(Protocol):
    """The pool, as its connections see it."""

    server: str
    """How messages call the other side."""

    def release(self, connection: Connection) -> None:
        """The answer has properly ended; the connection can carry another."""
        ...

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        ...


class DirectResponse:
    """One answer: filled by its connection, emptied by its reader. Implements `ports.transport.UpstreamResponse`."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_decoder",
        "_is_collecting",
        "_is_ended",
        "_loop",
        "_server",
        "_taken",
        "_timeouts",
        "_unread",
        "_waiter",
        "error",
        "has_explicit_end",
        "headers",
        "heard_at",
        "is_paused",
        "is_stale",
        "max_bytes",
        "received",
        "sent_at",
        "status",
    )

    def __init__(
        self, connection: Connection, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, max_bytes: int
    ) -> None:
        self.status = 0
        self.headers: Sequence[Header] = ()
        self.has_explicit_end = True
        """False where only the closed connection marks the end of the body, so that a cut cannot be seen."""
        self.error: UpstreamError | None = None
        self.is_stale = False
        """Nothing arrived because the server had closed the idle connection: safe to ask again."""
        self.received = 0
        self.sent_at = self.heard_at = loop.time()
        self._loop = loop
        self._connection: Connection | None = connection
        self._server = connection.owner.server
        self._timeouts = timeouts
        self.max_bytes = max_bytes
        self._decoder: Decoder | None = None
        self._chunks: list[bytes] = []
        self._unread = 0
        self._taken = 0
        self._is_ended = False
        self.is_paused = False
        self._is_collecting = False
        self._waiter: asyncio.Future[None] | None = None

    # For the reader

    async def wait_for_head(self) -> None:
        """Returns once the head is there. Raises `UpstreamError`."""
        while not self.status:
            if self.error is not None:
                raise self.error
            await self._wait()

    async def read(self) -> bytes:
        """The whole body; see `UpstreamResponse`."""
        self._is_collecting = True
        if self.is_paused:
            self._resume()
        while not self._is_ended and self.error is None:
            await self._wait()
        if self.error is not None:
            raise self.error
        body = self._take()
        self._check_coding_end()
        return body

    async def next_chunk(self) -> bytes:
        """Everything that has arrived since the last call; see `UpstreamResponse`."""
        while True:
            if self._chunks:
                chunk = self._take()
                if self.is_paused:
                    self._resume()
                if chunk:
                    return chunk
            elif self.error is not None:
                raise self.error
            elif self._is_ended:
                self._check_coding_end()
                return b""
            else:
                await self._wait()

    def close(self) -> None:
        """Closes the connection unless the answer has ended; then the pool has it already."""
        if self._connection is not None:
            self._connection.fail(failure.closed(self._server))

    async def _wait(self) -> None:
        """Until there is news. A stall is counted from here: silence while nobody reads does no harm."""
        self.heard_at = self._loop.time()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._unread = 0
        return data if self._decoder is None else self._decode(self._decoder, data)

    def _decode(self, decoder: Decoder, data: bytes) -> bytes:
        try:
            decoded = decoder.feed(data, self.max_bytes - self._taken)
        except ValueError as error:
            raise self._give_up(failure.malformed(self._server, str(error), self.status)) from None
        self._taken += len(decoded)
        if self._taken > self.max_bytes:
            raise self._give_up(failure.too_large(self._server, self.max_bytes, self.status))
        return decoded

    def _check_coding_end(self) -> None:
        if self._decoder is not None and not self._decoder.is_finished:
            raise failure.cut(self._server, self.status)

    def _give_up(self, error: UpstreamError) -> UpstreamError:
        if self._connection is not None:
            self._connection.fail(error)
        self.error = error
        return error

    def _resume(self) -> None:
        self.is_paused = False
        if self._connection is not None:
            self._connection.resume()

    # For the connection

    def begin(self, status: int, headers: Sequence[Header], decoder: Decoder | None) -> None:
        """The head is complete."""
        self.status = status
        self.headers = headers
        self._decoder = decoder

    def push(self, chunk: bytes) -> None:
        """More of the body."""
        self.received += len(chunk)
        self._unread += len(chunk)
        self._chunks.append(chunk)

    def should_pause(self) -> bool:
        """True, once, when the reader does not keep up."""
        if self._unread <= HIGH_WATER_BYTES or self._is_collecting or self.is_paused:
            return False
        self.is_paused = True
        return True

    def notify(self) -> None:
        """There is news: wakes the reader, unless it wants nothing but the end."""
        waiter = self._waiter
        if self._is_collecting:
            self.heard_at = self._loop.time()
        elif waiter is not None and not waiter.done():
            waiter.set_result(None)

    def end(self, error: UpstreamError | None = None) -> None:
        """Nothing more will come: properly, or because of `error`."""
        self._connection = None
        self.error = error
        self._is_ended = error is None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def overdue(self, now: float) -> UpstreamError | None:
        """The timeout that has passed, if any."""
        timeouts = self._timeouts
        if now - self.sent_at > timeouts.total:
            return failure.timed_out(self._server, "the whole answer", timeouts.total, status=self.status)
        if not self.status:
            if now - self.sent_at > timeouts.first_byte:
                return failure.timed_out(self._server, "the first byte of the answer", timeouts.first_byte)
        elif self._waiter is not None and now - self.heard_at > timeouts.between_chunks:
            return failure.timed_out(
                self._server, "the next bytes of the answer", timeouts.between_chunks, status=self.status
            )
        return None


class Connection(asyncio.Protocol):
    """Sends one request at a time and feeds what comes back to the parser and the response."""

    __slots__ = (
        "_framing",
        "_headers",
        "_is_complete",
        "_is_interim",
        "_is_kept",
        "_is_until_close",
        "_loop",
        "_parser",
        "_pieces",
        "_response",
        "_transport",
        "calls",
        "idle_since",
        "is_open",
        "max_idle_s",
        "on_body",
        "owner",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.owner = owner
        self.calls = 0
        self.is_open = True
        self.idle_since = loop.time()
        self.max_idle_s = MAX_IDLE_S
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._response: DirectResponse | None = None
        self._headers: list[Header] = []
        self._pieces: list[bytes] = []
        self._framing = 0
        self._is_complete = self._is_interim = self._is_until_close = False
        self._is_kept = True
        # Called by the parser for each piece of body: once per event in a stream, so no Python in between.
        self.on_body: Callable[[bytes], None] = self._pieces.append
        self._parser = HttpResponseParser(self)

    # Calls

    def send(self, message: bytes, timeouts: Timeouts, max_response_bytes: int) -> DirectResponse:
        """Writes a request; its answer will arrive in the response returned."""
        assert self._transport is not None, "connected"
        assert self._response is None, "idle"
        self.calls += 1
        self._framing = 0
        self._is_complete = self._is_until_close = False
        response = self._response = DirectResponse(self, self._loop, timeouts, max_response_bytes)
        self._transport.write(message)
        return response

    def fail(self, error: UpstreamError) -> None:
        """Ends the answer with an error and closes the connection at once."""
        response, self._response = self._response, None
        self.abort()
        if response is not None:
            response.end(error)

    def abort(self) -> None:
        """Closes without a farewell."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Closes an idle connection."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def resume(self) -> None:
        """The reader has caught up."""
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def sweep(self, now: float) -> None:
        """Closes the connection if it was idle for too long, or if its answer is late."""
        if self._response is not None:
            error = self._response.overdue(now)
            if error is not None:
                self.fail(error)
        elif self.calls and self.is_open and now - self.idle_since > self.max_idle_s:
            self.close()

    # asyncio.Protocol (`typing.override` needs Python 3.12)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]
        """The event loop has connected us."""
        self._transport = cast("asyncio.Transport", transport)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            _probe_when_silent(sock)

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]
        """Bytes of the answer, split anywhere."""
        response = self._response
        if response is None:  # nobody asked
            self.abort()
            return
        self._framing += len(data)
        refusal: str | None = None
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            refusal = _detail(error)
        pieces = self._pieces
        if pieces:
            self._framing = 0
            chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            response.push(chunk)
            if response.received > response.max_bytes:
                self.fail(failure.too_large(self.owner.server, response.max_bytes, response.status))
                return
        if self._is_complete:
            self._finish(is_clean=refusal is None)
            return
        if refusal is None and self._framing > MAX_FRAMING_BYTES:
            refusal = f"more than {MAX_FRAMING_BYTES:,} bytes without a body"
        if refusal is not None:
            self.fail(failure.malformed(self.owner.server, refusal, response.status))
            return
        if response.should_pause():
            assert self._transport is not None
            self._transport.pause_reading()
        if response.status:
            response.notify()

    def eof_received(self) -> None:  # type: ignore[explicit-override]
        """The server will send no more; returning None has the event loop close the connection."""
        self._lose(None)

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]
        """The connection is gone, whoever closed it."""
        self._lose(exc)
        self._transport = None
        self.owner.forget(self)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """A status line begins."""
        if self._is_complete:
            raise Refused("it goes on after its end")
        self._headers = []
        self._is_interim = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head, or of the trailer."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete: decides how the body ends and whether the connection can be kept."""
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise Refused("it switches protocols, which nobody asked for")
            self._is_interim = True
            return
        if self._framing > MAX_FRAMING_BYTES and size_of(self._headers) > MAX_FRAMING_BYTES:
            raise Refused(f"its head is longer than {MAX_FRAMING_BYTES:,} bytes")
        response = self._response
        assert response is not None
        head = read_head(self._headers)
        self._is_kept = self._parser.should_keep_alive()
        if not self._is_kept and not head.is_delimited and status not in BODILESS:
            head.check_end_at_close(self._parser.get_http_version())
            self._is_until_close = True
            response.has_explicit_end = False
        if head.max_idle_s is not None:
            self.max_idle_s = min(MAX_IDLE_S, head.max_idle_s)
        response.begin(status, head.headers, head.decoder)

    def on_message_complete(self) -> None:
        """The body, if any, is complete."""
        self._is_complete = not self._is_interim

    # Ends

    def _finish(self, *, is_clean: bool) -> None:
        """The answer has properly ended: the connection goes back to the pool, if nothing speaks against it."""
        response, transport = self._response, self._transport
        assert response is not None
        assert transport is not None
        if response.is_paused:
            transport.resume_reading()
        self._response = None
        response.end()
        if (
            is_clean
            and self._is_kept
            and self.is_open
            and self.max_idle_s > 0
            and not transport.get_write_buffer_size()
        ):
            self.idle_since = self._loop.time()
            self.owner.release(self)
        else:
            self.close()

    def _lose(self, cause: Exception | None) -> None:
        """The server has closed the connection, or the network has."""
        self.is_open = False
        response = self._response
        if response is None:
            return
        self._response = None
        server = self.owner.server
        if not response.status:
            response.is_stale = self.calls > 1 and self._framing == 0
            response.end(failure.no_answer(server, cause))
        elif self._is_until_close and cause is None:
            response.end()
        else:
            response.end(failure.cut(server, response.status))


def _detail(error: HttpParserError) -> str:
    cause = error.__context__
    return str(cause if isinstance(cause, Refused) else error).lower()


def _probe_when_silent(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not on every system
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _KEEPALIVE_PROBE_S)
