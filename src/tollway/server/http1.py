"""One client connection: parses requests, has the application answer them in order, closes when it is time.

Plugged into uvicorn's server through its setting `http`, so sockets, TLS, signals and lifespan are uvicorn's. Of its
settings `ws`, and the ones about access logs and `limit_concurrency`, have no effect here. A connection that is to
become a WebSocket is handed over to `websocket`.

A client that shuts down its sending side has left, as far as this server is concerned: what was asked is not answered.

Source: RFC 9112; limits and time limits are ours. The syntax is held by llhttp in its strict mode.
"""

from __future__ import annotations

import asyncio
import math
import select
from collections import deque
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from tollway.server.exchange import MAX_UNREAD_BYTES, App, Exchange, Scope
from tollway.server.head import Header, error_response
from tollway.server.outbox import Outbox, Signal
from tollway.server.request import MAX_HEAD_BYTES, Refused, check, origin_form, reason, size, too_long

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

MAX_WAITING = 32
"""Requests that wait for their turn before the connection is not read any more."""
MAX_PIPELINED = 1024
"""Requests that may come in one go before the client is taken for an attacker."""

HEAD_TIMEOUT_S = 60.0
"""From the first to the last byte of a request's head."""
BODY_TIMEOUT_S = 60.0
"""Between two parts of a request's body."""
WRITE_TIMEOUT_S = 120.0
"""Without room for more of a response."""
FAREWELL_TIMEOUT_S = 30.0
"""From deciding to close to the client having read the rest."""
LAST_REQUEST_S = 0.08
"""For a request that was sent before its client could know that the server stops. uvicorn waits 0.1 s at that point."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_METHODS = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")}


class HttpProtocol(asyncio.Protocol):
    """The protocol class for `uvicorn.Config(http=...)`. Speaks ASGI 3.0 to `config.loaded_app`."""

    alpn_protocols = ("http/1.1",)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        head_timeout_s: float = HEAD_TIMEOUT_S,
        body_timeout_s: float = BODY_TIMEOUT_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        farewell_timeout_s: float = FAREWELL_TIMEOUT_S,
    ) -> None:
        """As uvicorn makes it, once per connection; time limits in seconds."""
        self._loop = _loop or asyncio.get_running_loop()
        self._config = config
        self._app = cast("App", config.loaded_app)
        self._app_state = app_state
        self._root_path = config.root_path
        self._raw_root_path = config.root_path.encode()
        self._server_state = server_state
        self._keep_alive_s = float(config.timeout_keep_alive)
        self._head_timeout_s = head_timeout_s
        self._body_timeout_s = body_timeout_s
        self._write_timeout_s = write_timeout_s
        self._farewell_timeout_s = farewell_timeout_s
        self._shortest_s = min(self._keep_alive_s, head_timeout_s, body_timeout_s, write_timeout_s, farewell_timeout_s)

        self.transport: asyncio.Transport
        self.out: Outbox
        self.is_stopping = False
        self.news = Signal()
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int | None] | None = None
        self._scheme = "http"

        self._active: Exchange | None = None
        """Whose response is next on the wire."""
        self._waiting: deque[tuple[Exchange, Scope]] = deque()
        """Pipelined: their turn will come."""
        self._reading: Exchange | None = None
        """Whose body is arriving."""
        self._refusal: Refused | None = None
        """Ends the connection when its turn comes; nothing more is parsed."""
        self._is_leaving = False
        """All is written; what still arrives is thrown away until the client closes, too."""
        self._is_reading_paused = False

        self._url = b""
        self._headers: list[Header] = []
        self._framing_bytes = 0
        """Received since there last was a whole head, a piece of body or the end of a request."""
        self._asks_upgrade = False
        self._pieces: list[bytes] = []
        # Called by the parser for each piece of body: no Python in between.
        self.on_body = self._pieces.append
        self._parser = HttpRequestParser(self)

        self._since = self._loop.time()
        """Since when we have been waiting for the client, whenever we are."""
        self._timer: asyncio.TimerHandle

    # asyncio.Protocol (`typing.override` needs Python 3.12)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]
        """A client has connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.out = Outbox(self.transport, self._loop)
        self._server_state.connections.add(cast("Any", self))
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        if transport.get_extra_info("sslcontext") is not None:
            self._scheme = "https"
        self._timer = self._loop.call_later(self._shortest_s, self._look_at_the_clock)

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]
        """Bytes of requests, split anywhere."""
        if self._refusal is not None or self._is_leaving:
            return
        is_first = not self._framing_bytes
        self._framing_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._start_over(data[upgrade.args[0] :])
            return
        except HttpParserError as error:
            self._deliver()
            self._refuse(reason(error))
            return
        if self._reading is not None:
            self._deliver()
            self._since = self._loop.time()
        elif self._framing_bytes and is_first:
            self._since = self._loop.time()
        if self._framing_bytes > MAX_HEAD_BYTES:
            self._refuse(too_long())

    def eof_received(self) -> None:  # type: ignore[explicit-override]
        """The client will send no more: it has left. Returning None has the event loop close the connection."""
        self._lose_all()

    def pause_writing(self) -> None:  # type: ignore[explicit-override]
        """The client does not keep up."""
        self.out.is_choked = True
        self._since = self._loop.time()

    def resume_writing(self) -> None:  # type: ignore[explicit-override]
        """It has caught up."""
        self.out.is_choked = False
        self._since = self._loop.time()
        self.out.relief.wake()

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]
        """The connection is gone, whoever closed it."""
        self._server_state.connections.discard(cast("Any", self))
        self._timer.cancel()
        del self._parser  # it knows us, and would keep us alive
        self._lose_all()

    # uvicorn

    def shutdown(self) -> None:
        """Closes the connection after the response in progress; an idle one after a moment, so that a request on its
        way is answered: a proxy in front may not send it to another server.
        """
        self.is_stopping = True
        if self._active is None:
            self._loop.call_later(LAST_REQUEST_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._active is None and not self._is_unread():
            self._close()

    def _is_unread(self) -> bool:
        """Whether something has arrived that the event loop has not brought yet: timers come before sockets."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self.transport.is_closing() and bool(poll.poll(0))

    # The parser's callbacks

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head, or of a trailer."""
        self._headers.append((name.lower(), value.rstrip()))  # llhttp leaves spaces behind it

    def on_headers_complete(self) -> None:
        """The head is complete: the application can begin."""
        parser = self._parser
        url, headers = self._url, self._headers
        if self._framing_bytes > MAX_HEAD_BYTES and size(url, headers) > MAX_HEAD_BYTES:
            raise too_long()
        method = parser.get_method()
        version = parser.get_http_version()
        fields = dict(headers)
        check(method, version, headers, fields)
        if parser.should_upgrade():
            self._asks_upgrade = True  # refused politely: see _start_over
            return
        raw_path, _, query = (url if url.startswith(b"/") else origin_form(url)).partition(b"?")
        path = raw_path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        self._url, self._headers = b"", []
        self._framing_bytes = 0
        exchange = self._reading = Exchange(
            self,
            is_head_request=method == b"HEAD",
            is_http10=version == "1.0",
            is_kept=version != "1.0" and parser.should_keep_alive(),
            expects_continue=b"expect" in fields and fields[b"expect"].lower() == b"100-continue" and version != "1.0",
        )
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": _METHODS.get(method) or method.decode("ascii"),
            "scheme": self._scheme,
            "path": self._root_path + path,
            "raw_path": self._raw_root_path + raw_path,
            "query_string": query,
            "root_path": self._root_path,
            "headers": headers,
            "client": self._client,
            "server": self._server,
            "state": self._app_state.copy(),
            "extensions": {"tollway.exchange": exchange},
        }
        if self._active is None:
            self._begin(exchange, scope)
        else:
            self._queue(exchange, scope)

    def on_message_complete(self) -> None:
        """The body, if any, is complete."""
        if self._asks_upgrade:
            return
        self._framing_bytes = 0
        exchange, self._reading = self._reading, None
        assert exchange is not None, "a head came before"
        if self._pieces:
            exchange.push(self._pieces)
            self._pieces.clear()
        if self._headers:
            self._headers = []  # a trailer, which nobody needs
        exchange.end()

    # The exchange's side

    @property
    def default_headers(self) -> list[Header]:
        """Fields of every response; uvicorn renews the date in it."""
        return self._server_state.default_headers

    def abort(self) -> None:
        """Closes at once: a response in progress has no proper end."""
        self.out.drop()
        self._is_leaving = True
        self.transport.abort()

    def forget(self, task: asyncio.Task[None]) -> None:
        """The application is done."""
        self._server_state.tasks.discard(task)

    def complete(self, exchange: Exchange) -> None:
        """The response is written: on to the next request, or to the end."""
        self._server_state.total_requests += 1
        self._active = None
        self._since = self._loop.time()
        if not exchange.is_kept or self.is_stopping:
            self._leave()
        elif self._waiting:
            self._begin(*self._waiting.popleft())
            self.resume_reading()
        elif self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._is_reading_paused:
            self.resume_reading()

    def resume_reading(self) -> None:
        """Something was read or answered: goes on receiving, if that was what stood in the way."""
        if not self._is_reading_paused or len(self._waiting) >= MAX_WAITING or self.transport.is_closing():
            return
        reading = self._reading
        if reading is None or reading.unread_bytes <= MAX_UNREAD_BYTES or reading.is_complete:
            self._is_reading_paused = False
            self._since = self._loop.time()
            self.transport.resume_reading()

    # What follows

    def _begin(self, exchange: Exchange, scope: Scope) -> None:
        self._active = exchange
        exchange.task = self._loop.create_task(exchange.run(self._app, scope))
        self._server_state.tasks.add(exchange.task)

    def _queue(self, exchange: Exchange, scope: Scope) -> None:
        self._waiting.append((exchange, scope))
        if len(self._waiting) > MAX_PIPELINED:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests in one go: await answers in between.")
        if len(self._waiting) >= MAX_WAITING:
            self._pause_reading()

    def _deliver(self) -> None:
        """Gives the pieces of a body that is still arriving to whom they belong."""
        pieces, reading = self._pieces, self._reading
        if not pieces or reading is None:
            return
        self._framing_bytes = 0
        reading.push(pieces)
        pieces.clear()
        if reading.unread_bytes > MAX_UNREAD_BYTES:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pause_reading()

    def _start_over(self, rest: bytes) -> None:
        """Serves a request that asks for another protocol than WebSocket as if it had not.

        The parser has skipped its body, if there is one, so it gets the head again without the wish.
        """
        is_websocket = self._asks_for_websocket()
        kept = (field for field in self._headers if is_websocket or field[0] != b"upgrade")
        fields = b"".join(b"%b: %b\r\n" % field for field in kept)
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self._url, version, fields)
        if is_websocket:
            self._timer.cancel()
            self._pause_reading()
            task = self._loop.create_task(self._hand_over(head + rest))
            self._server_state.tasks.add(task)
            task.add_done_callback(self._server_state.tasks.discard)
            return
        self._asks_upgrade = False
        self._url, self._headers = b"", []
        self._framing_bytes = 0
        self._parser = HttpRequestParser(self)
        self.data_received(head + rest)

    def _asks_for_websocket(self) -> bool:
        """Whether that is what it asks for, and nothing before it is still to be answered."""
        fields = dict(self._headers)
        is_asked = fields[b"upgrade"].lower() == b"websocket" and b"sec-websocket-version" in fields
        return is_asked and self._parser.get_method() == b"GET" and self._active is None

    async def _hand_over(self, data: bytes) -> None:
        """The connection is a WebSocket's from now on. `data`: what was received of it."""
        # Importing what speaks it takes tens of milliseconds, the first time.
        module = await asyncio.to_thread(import_module, "tollway.server.websocket")
        if self.transport.is_closing():
            return
        self._server_state.connections.discard(cast("Any", self))
        protocol = module.WebSocketProtocol(self._config, self._server_state, self._app_state, self._loop)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        del self._parser  # it knows us, and would keep us alive
        self.transport.resume_reading()
        protocol.data_received(data)

    def _refuse(self, refusal: Refused) -> None:
        """Serves no more on this connection. What was asked properly before is still answered."""
        self._refusal = refusal
        reading, self._reading = self._reading, None
        if reading is not None:
            self._abandon(reading)
        if self._active is None and not self._is_leaving:
            self._write_refusal(refusal)

    def _abandon(self, exchange: Exchange) -> None:
        """Gives up a request that will never be complete."""
        if exchange is not self._active:
            if not exchange.is_complete:
                self._waiting.pop()
            return
        exchange.lose()
        self._active = None
        if exchange.is_begun:
            self.abort()

    def _write_refusal(self, refusal: Refused) -> None:
        self.out.write(b"".join(error_response(refusal.status, str(refusal), self.default_headers)))
        self._leave()

    def _leave(self) -> None:
        """Says goodbye after the last response.

        If the client is still sending, closing would have the system reset the connection, and the client might lose
        the response: so only our side is closed, and the rest read and thrown away. Source: RFC 9112 section 9.6.
        """
        transport = self.transport
        is_heard_out = self._reading is None and not self._waiting and self._refusal is None
        if is_heard_out or self.is_stopping:
            self._close()
            return
        self._is_leaving = True
        self._since = self._loop.time()
        self._waiting.clear()
        if transport.can_write_eof():
            transport.write_eof()
        if self._is_reading_paused:
            self._is_reading_paused = False
            transport.resume_reading()

    def _close(self) -> None:
        """Closes the connection once what was written is through."""
        self._is_leaving = True
        self._since = self._loop.time()
        self.transport.close()

    def _lose_all(self) -> None:
        """The client has left."""
        active, self._active = self._active, None
        self.out.drop()
        self._waiting.clear()
        self._reading = None
        if active is not None:
            active.lose()

    # Time limits: one timer per connection, set again only when it has gone off

    def _look_at_the_clock(self) -> None:
        now = self._loop.time()
        due = self._since + self._patience_s()
        if now >= due:
            self._lose_patience()
            due = math.inf
        self._timer = self._loop.call_at(min(due, now + self._shortest_s), self._look_at_the_clock)

    def _patience_s(self) -> float:
        """How long to wait for the client; infinite while it waits for us."""
        if self._is_leaving:
            return self._farewell_timeout_s
        if self.out.is_choked:
            return self._write_timeout_s
        if self._reading is not None:
            waits = self._is_reading_paused or self._reading.expects_continue
            return math.inf if waits else self._body_timeout_s
        if self._active is not None:
            return math.inf
        return self._head_timeout_s if self._framing_bytes else self._keep_alive_s

    def _lose_patience(self) -> None:
        if self._is_leaving or self.out.is_choked:
            self.abort()
        elif self._reading is not None or self._framing_bytes:
            self._refuse(Refused(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time."))
        else:
            self._close()


def _address(name: Any) -> tuple[str, int] | None:
    """Host and port; None where there are none (Unix sockets)."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
