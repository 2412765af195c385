"""One request and its response, as the ASGI application sees them.

Source: ASGI 3.0, HTTP protocol 2.3. What belongs to the connection is in `http1`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Literal, Protocol

from tollway.server.head import Header, UnsendableResponse, bare_head, encode_head, error_response
from tollway.server.outbox import Outbox, Signal

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

MAX_UNREAD_BYTES = 256 * 1024
"""Of a request's body, before its sender is held up. A long prompt fits, and costs no pause."""
_COPIED_BYTES = 64 * 1024
"""Up to here copying a body behind its head costs less than a second write."""
_BODILESS = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Framing = Literal["length", "chunked", "close", "none"]
"""How the end of a response's body is told."""


class Connection(Protocol):
    """What an exchange needs of the connection it takes place on."""

    out: Outbox
    is_stopping: bool
    """No further request after this one."""
    news: Signal
    """Something arrived, or the client left."""

    @property
    def default_headers(self) -> list[Header]:
        """Fields of every response."""
        ...

    def resume_reading(self) -> None:
        """The application has read what there was."""
        ...

    def abort(self) -> None:
        """Closes at once, without a proper end."""
        ...

    def complete(self, exchange: Exchange) -> None:
        """The response is written."""
        ...

    def forget(self, task: asyncio.Task[None]) -> None:
        """The application is done."""
        ...


class Exchange:
    """One request and its response. `receive` and `send` are the application's."""

    __slots__ = (
        "_body",
        "_connection",
        "_framing",
        "_head",
        "_is_delivered",
        "_is_head_request",
        "_is_received",
        "_on_disconnect",
        "_remaining",
        "expects_continue",
        "is_begun",
        "is_complete",
        "is_gone",
        "is_http10",
        "is_kept",
        "task",
        "unread_bytes",
    )

    def __init__(
        self, connection: Connection, *, is_head_request: bool, is_http10: bool, is_kept: bool, expects_continue: bool
    ) -> None:
        self._connection = connection
        self._is_head_request = is_head_request
        self.is_http10 = is_http10
        self.is_kept = is_kept
        """Whether the connection serves another request afterwards."""
        self.expects_continue = expects_continue
        """The client waits for leave to send the body."""
        self.task: asyncio.Task[None]
        """In which the application is called; set before it is."""
        self._body: list[bytes] = []
        self.unread_bytes = 0
        self._is_received = False
        self._is_delivered = False
        self._head = b""
        self._framing: Framing | None = None
        self._remaining = 0
        self.is_begun = False
        """The head of the response has been written."""
        self.is_complete = False
        self.is_gone = False
        """The client left before the response was complete."""
        self._on_disconnect: Callable[[], object] | None = None

    async def run(self, app: App, scope: Scope) -> None:
        """Has the application serve the request, and answers in its place if it fails to."""
        try:
            await app(scope, self.receive, self.send)
            if not (self.is_complete or self.is_gone):
                logger.error("The application returned before its response was complete")
                self._give_up(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")
        except Exception:
            logger.exception("The application failed")
            self._give_up(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")
        except asyncio.CancelledError:
            self._give_up(HTTPStatus.SERVICE_UNAVAILABLE, "The server was stopped before it could answer; try again.")
            raise
        finally:
            self._connection.forget(self.task)

    # The application's side

    async def receive(self) -> Message:
        """The next part of the request's body; `http.disconnect` once the client left or the response is complete."""
        connection = self._connection
        while not (self.is_gone or self.is_complete):
            if self._body or (self._is_received and not self._is_delivered):
                body = self._take()
                return {"type": "http.request", "body": body, "more_body": not self._is_received}
            if self.expects_continue:
                self.expects_continue = False
                if not (self.is_begun or self._is_received):
                    connection.out.write(_CONTINUE)
            await connection.news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Writes the response. Waits while the client does not keep up; does nothing once it left.

        Raises `UnsendableResponse` for what HTTP cannot carry.
        """
        if self._connection.out.is_choked:
            await self.relieved()
        if self.is_gone:
            return
        kind = message["type"]
        if kind == "http.response.body":
            self._write(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start":
            self._start(message["status"], message.get("headers", ()), b"")
        else:
            raise UnsendableResponse(f"{kind!r} is no message of a response.")

    # The same without messages, for an application that knows this server (`scope["extensions"]["tollway.exchange"]`)

    @property
    def is_choked(self) -> bool:
        """Whether the client does not keep up."""
        return self._connection.out.is_choked

    def whole_body(self) -> bytes | None:
        """The request's body, if all of it is here and none was received before; else None: `receive` it."""
        if not self._is_received or self._is_delivered or self.is_gone:
            return None
        return self._take()

    def start(self, status: int, headers: Iterable[Header], fields: bytes = b"") -> None:
        """Begins the response. `fields` are header lines that are encoded already."""
        if not self.is_gone:
            self._start(status, headers, fields)

    def write(self, body: bytes) -> bool:
        """Writes a part of the body at once; False if the client does not keep up: wait for `relieved` before more."""
        if not self.is_gone:
            self._connection.out.write(self._encode(body, more_body=True))
        return not self._connection.out.is_choked

    async def relieved(self) -> None:
        """Returns as soon as the client keeps up again, or has left."""
        out = self._connection.out
        while out.is_choked and not self.is_gone:
            await out.relief.wait()

    def finish(self, body: bytes) -> None:
        """Writes the rest of the body, which completes the response."""
        if not self.is_gone:
            self._write(body, more_body=False)

    def on_disconnect(self, callback: Callable[[], object] | None) -> None:
        """Has `callback` called at once when the client leaves before the response is complete; None: nobody.

        There is one callback: a second replaces the first. It runs in the event loop, at most once, never after the
        response is complete, and before this returns if the client has left already. Offered to the application as
        `scope["extensions"]["tollway.exchange"].on_disconnect`.
        """
        if self.is_gone and callback is not None:
            callback()
        else:
            self._on_disconnect = callback

    # The connection's side

    def push(self, pieces: list[bytes]) -> None:
        """Takes parts of the body that arrived."""
        if self.is_complete or self.is_gone:
            return
        self._body += pieces
        self.unread_bytes += sum(map(len, pieces))
        self._connection.news.wake()

    def end(self) -> None:
        """The request has properly ended."""
        self._is_received = True
        self._connection.news.wake()

    def lose(self) -> None:
        """The client left, or its request cannot be completed."""
        if self.is_complete or self.is_gone:
            return
        self.is_gone = True
        self._drop_body()
        self._connection.news.wake()
        self._connection.out.relief.wake()
        callback, self._on_disconnect = self._on_disconnect, None
        if callback is not None:
            callback()

    # What follows

    def _take(self) -> bytes:
        pieces = self._body
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self.unread_bytes:
            self.unread_bytes = 0
            self._connection.resume_reading()
        self._is_delivered = self._is_received
        return body

    def _start(self, status: int, headers: Any, encoded: bytes) -> None:
        """Makes the head. It is written with the first part of the body, which ASGI wants it to wait for."""
        if self._head:
            raise UnsendableResponse("A response begins only once.")
        defaults = self._connection.default_headers
        head, length, closes = encode_head(status, headers, defaults) if headers else bare_head(status, defaults)
        self._head = head + encoded
        if closes or (self.expects_continue and not self._is_received):  # else the body may come, or may not
            self.is_kept = False
        if self._is_head_request or status in _BODILESS:
            self._framing = "none"
        elif length is not None:
            self._framing = "length"
            self._remaining = length
        else:
            self._framing = "close" if self.is_http10 else "chunked"

    def _write(self, body: bytes, more_body: bool) -> None:
        data = self._encode(body, more_body)
        if more_body:
            self._connection.out.hold(data)
        else:
            self._connection.out.write(data)
            self._finish()

    def _encode(self, body: bytes, more_body: bool) -> bytes:
        """A part of the body as it is to be written: framed, and behind the head if it is the first."""
        framing = self._framing
        if framing is None or self.is_complete:
            raise UnsendableResponse("A part of the body was sent before its response began, or after it ended.")
        if type(body) is not bytes:  # its owner could change it before it is written
            body = bytes(body)
        size = len(body)
        if framing == "length":
            self._remaining -= size
            if self._remaining < 0 or (self._remaining and not more_body):
                raise UnsendableResponse("The body is not as long as content-length says.")
        data = b""
        if not self.is_begun:
            data = self._finish_head(size, is_whole=not more_body)
            framing = self._framing
        if framing == "chunked":
            if size:
                data = b"%b%x\r\n%b\r\n" % (data, size, body)
            if not more_body:
                data += b"0\r\n\r\n"
        elif framing != "none":
            if data and size > _COPIED_BYTES:
                self._connection.out.write(data)
                return body
            data = data + body if data else body
        return data

    def _finish_head(self, size: int, *, is_whole: bool) -> bytes:
        """The head with all fields that tell where the response ends, and what becomes of the connection."""
        head = self._head
        if is_whole and self._framing in ("chunked", "close"):
            self._framing = "length"
            head = b"%bcontent-length: %d\r\n" % (head, size)
        elif self._framing == "chunked":
            head += b"transfer-encoding: chunked\r\n"
        if self._framing == "close" or self._connection.is_stopping:
            self.is_kept = False
        self.is_begun = True
        return head + (b"\r\n" if self.is_kept else b"connection: close\r\n\r\n")

    def _finish(self) -> None:
        """The response is complete."""
        self.is_complete = True
        self._on_disconnect = None
        self._drop_body()
        self._connection.complete(self)
        self._connection.news.wake()

    def _drop_body(self) -> None:
        self._body.clear()
        self.unread_bytes = 0

    def _give_up(self, status: int, message: str) -> None:
        """Answers in the application's place; one that has begun is cut off: nobody may take it for whole."""
        if self.is_complete or self.is_gone:
            return
        connection = self._connection
        self.is_kept = False
        if self.is_begun:
            self._on_disconnect = None  # it is not the client who leaves
            self.lose()
            connection.abort()
            return
        self.is_begun = True
        head, body = error_response(status, message, connection.default_headers)
        connection.out.write(head if self._is_head_request else head + body)
        self._finish()
