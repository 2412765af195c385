"""One HTTP/1.1 keep-alive connection.

The parser is llhttp (RFC 9112, strict). What it leaves to its user is decided here: which framings of a body are
accepted, how much may arrive, when a connection may be used again. Pooling is in `pool`, the calls are in `direct`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from httptools import HttpParserError, HttpResponseParser

from tollway.core.errors import Header, UpstreamError
from tollway.ports.transport import UpstreamRequest
from tollway.upstream import failure
from tollway.upstream.head import Refused, ends_at_close, read_head, size_of
from tollway.upstream.response import DirectResponse

MAX_FRAMING_BYTES = 64 * 1024
"""Longest head, and longest run of chunk headers and trailers that carry no body."""

MAX_IDLE_S = 55.0
"""Below the 60 s after which AWS load balancers, and the 75 s after which nginx, close an idle connection. Servers that
wait less either say so (`Keep-Alive: timeout`) or are found closed: then a call moves to a fresh connection."""

_SURELY_READ_BYTES = 64 * 1024
"""A shorter request has left with its first packets."""

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


class StaleConnection(UpstreamError):
    """The server had closed an idle connection and never saw the request on it: safe to ask again."""

    def __init__(self, server: str) -> None:
        super().__init__(f"{server} closed an idle connection.", is_retryable=True)


class Connection(asyncio.Protocol):
    """Sends one request at a time and feeds what comes back to the parser and the response."""

    __slots__ = (
        "_framing",
        "_headers",
        "_idle_since",
        "_is_complete",
        "_is_interim",
        "_is_kept",
        "_is_until_close",
        "_loop",
        "_parser",
        "_pieces",
        "_response",
        "_sent",
        "_transport",
        "calls",
        "is_open",
        "max_idle_s",
        "on_body",
        "owner",
        "server",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.owner = owner
        self.server = owner.server
        self.calls = 0
        self.is_open = True
        self._idle_since: float | None = None
        """When a sweep first found it idle."""
        self.max_idle_s = MAX_IDLE_S
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._response: DirectResponse | None = None
        self._headers: list[Header] = []
        self._pieces: list[bytes] = []
        self._framing = 0
        self._sent = 0
        self._is_complete = self._is_interim = self._is_until_close = False
        self._is_kept = True
        # Called by the parser for each piece of body: once per event in a stream, so no Python in between.
        self.on_body: Callable[[bytes], None] = self._pieces.append
        self._parser = HttpResponseParser(self)

    # Calls

    def send(self, message: bytes, request: UpstreamRequest) -> DirectResponse:
        """Writes a request, encoded as `message`; its answer will arrive in the response returned."""
        assert self._transport is not None, "connected"
        assert self._response is None, "idle"
        self.calls += 1
        self._idle_since = None
        self._framing = 0
        self._is_complete = self._is_until_close = False
        response = self._response = DirectResponse(self, request, self._loop)
        self._sent = len(message)
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
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > self.max_idle_s:
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
            if not response.push(chunk):
                self.fail(failure.too_large(self.server, response.max_bytes, response.status))
                return
        if self._is_complete:
            self._finish(is_clean=refusal is None)
            return
        if refusal is None and self._framing > MAX_FRAMING_BYTES:
            refusal = f"more than {MAX_FRAMING_BYTES:,} bytes without a body"
        if refusal is not None:
            self.fail(failure.malformed(self.server, refusal, response.status))
            return
        if response.status:
            if not response.is_paused and response.should_pause():
                self._pause(response)
            response.notify()

    def eof_received(self) -> None:  # type: ignore[explicit-override]
        """The server will send no more; returning None has the event loop close the connection."""
        self._lose(None)

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]
        """The connection is gone, whoever closed it."""
        self._lose(exc)
        self._transport = None
        del self._parser  # it refers back to us, and nobody should have to collect that
        self.owner.forget(self)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """A status line begins."""
        if self._is_complete:
            raise Refused("it goes on after its end")
        self._headers.clear()
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
        self._is_kept = self._parser.should_keep_alive()
        response.headers, terms = read_head(self._headers)
        if terms is not None:
            response.decoder = terms.decoder
            self.max_idle_s = min(MAX_IDLE_S, terms.max_idle_s)
        if not self._is_kept and ends_at_close(status, self._parser.get_http_version(), self._headers):
            self._is_until_close = True
            response.has_explicit_end = False
        response.status = status

    def on_message_complete(self) -> None:
        """The body, if any, is complete."""
        self._is_complete = not self._is_interim

    # What follows

    def _finish(self, *, is_clean: bool) -> None:
        """The answer has properly ended: the connection goes back to the pool, if nothing speaks against it."""
        response, transport = self._response, self._transport
        assert response is not None
        assert transport is not None
        if response.is_paused:
            transport.resume_reading()
        self._response = None
        response.end()
        if is_clean and self._is_kept and self.is_open and self.max_idle_s > 0 and self._is_request_read(response):
            self.owner.release(self)
        else:
            self.abort()

    def _is_request_read(self, response: DirectResponse) -> bool:
        """A server may answer before it has read all of a long request; the rest of it would be in the way."""
        if self._sent <= _SURELY_READ_BYTES:
            return True
        assert self._transport is not None
        # Over TLS the transport does not know what the socket has yet to take; then an error is suspicious enough.
        return response.status < 400 and not self._transport.get_write_buffer_size()

    def _pause(self, response: DirectResponse) -> None:
        assert self._transport is not None
        self._transport.pause_reading()
        response.is_paused = True

    def _lose(self, cause: Exception | None) -> None:
        """The server has closed the connection, or the network has."""
        self.is_open = False
        response = self._response
        if response is None:
            return
        self._response = None
        if self._is_until_close and cause is None:
            response.end()
        elif response.status:
            response.end(failure.cut(self.server, response.status))
        elif self.calls > 1 and not self._framing:
            response.end(StaleConnection(self.server))
        else:
            response.end(failure.no_answer(self.server, cause))


def _detail(error: HttpParserError) -> str:
    cause = error.__context__
    return str(cause if isinstance(cause, Refused) else error).lower()


def _probe_when_silent(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not on every system
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _KEEPALIVE_PROBE_S)
