"""The Responses API over a WebSocket: one connection, many responses, each of them a call like any other.

A `response.create` is served as if it had come as `POST /v1/responses` with `stream: true`: the caller is
authenticated, admitted, routed and billed anew each time. What would have been events of the stream are messages.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from tollway.core.errors import Header, TollwayError
from tollway.dataplane.asgi import JSON, Message, Receive, Scope, Send
from tollway.dialects.registry import find_identity
from tollway.dialects.responses.response import response_id
from tollway.dialects.responses.socket import Memory, Turn, body_of, error_message, going_on_from, in_lane, read_turn
from tollway.dialects.sse import EventReader

Generate = Callable[[Scope, Receive], Awaitable[None]]
"""Serves one call, which is received and answered through `scope["extensions"]["tollway.exchange"]`."""

_MOST_WAITING = 32
"""Turns of a connection that wait or are served."""
_OF_THE_HANDSHAKE = (b"sec-websocket-", b"connection", b"upgrade", b"content-", b"x-litellm-call-id")
"""Beginnings of header names that say nothing of a single call."""
_RESTARTING, _POLICY = 1012, 1008
"""Why a connection is closed (RFC 6455 and its registry)."""
_OK = 200
_UNAUTHENTICATED = 401


async def reject(send: Send, error: TollwayError) -> None:
    """Refuses a connection. The status is always 403, as the contract has it."""
    body = msgspec.json.encode({"detail": error.message})
    headers = [JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class ResponsesSocket:
    """One connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, generate: Generate, *, max_bytes: int) -> None:
        """`max_bytes`: of one request, and of what is remembered for those that follow."""
        headers = [field for field in scope["headers"] if not field[0].startswith(_OF_THE_HANDSHAKE)]
        self._scope = {**scope, "type": "http", "method": "POST", "headers": headers}
        self._protocol = scope["extensions"].get("tollway.socket")
        self._receive = receive
        self._send = send
        self._generate = generate
        self._memory = Memory(max_bytes)
        self._lanes: dict[str, deque[Turn]] = {}
        """Turns that wait or are served, the first of each lane being served."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._active: dict[str, _TurnExchange] = {}
        self._is_closed = False
        """By us."""
        self._is_gone = False
        """Nobody is there any more."""

    async def run(self) -> None:
        """Serves the connection until it is closed."""
        try:
            while (message := await self._receive())["type"] != "websocket.disconnect":
                if message["type"] == "websocket.receive":
                    await self._take(message)
        finally:
            await self._end()

    async def _take(self, message: Message) -> None:
        """A message of the client."""
        if self._is_closed:
            return
        text = message.get("text")
        try:
            turn = read_turn(text.encode() if text is not None else message["bytes"])
        except TollwayError as error:
            await self._say(_event_of(error))
            return
        if isinstance(turn, bytes):
            await self._say(turn)
            return
        if sum(map(len, self._lanes.values())) >= _MOST_WAITING:
            await self._close(_POLICY, f"more than {_MOST_WAITING} responses are waiting: await their ends")
            return
        waiting = self._lanes.setdefault(turn.lane, deque())
        waiting.append(turn)
        if turn.lane not in self._tasks:
            self._set_busy()
            self._tasks[turn.lane] = asyncio.create_task(self._serve_lane(turn.lane, waiting))

    async def _serve_lane(self, lane: str, waiting: deque[Turn]) -> None:
        """Serves turns one after another, as long as there are any."""
        try:
            while waiting and not self._is_gone:
                await self._serve(waiting[0])
                waiting.popleft()
        finally:
            del self._lanes[lane], self._tasks[lane]
            self._set_busy()
        if self._protocol is not None and self._protocol.is_stopping and not self._tasks:
            await self._close(_RESTARTING, "the gateway is restarting")

    async def _serve(self, turn: Turn) -> None:
        try:
            fields, chain = self._memory.extend(turn.fields)
            if not turn.is_generated:
                name = response_id(f"{time.time_ns():x}")
                for event in self._memory.prepare(turn.fields, chain, id=name, now=int(time.time())):
                    await self._say(in_lane(event, turn.lane))
                return
        except TollwayError as error:
            await self._say(in_lane(_event_of(error), turn.lane))
            return
        exchange = self._active[turn.lane] = _TurnExchange(
            body_of(fields), turn.lane, chain[-1].id if chain else "", self._say
        )
        try:
            await self._generate({**self._scope, "extensions": {"tollway.exchange": exchange}}, _nothing_more)
            await exchange.relieved()
        finally:
            del self._active[turn.lane]
        self._memory.add(turn.fields, chain, exchange.last)
        if exchange.status == _UNAUTHENTICATED:
            await self._close(_POLICY, "the key is not valid any more")

    async def _say(self, text: bytes) -> None:
        if self._is_closed:
            return
        with suppress(OSError):  # the client has left, which `run` gets to know
            await self._send({"type": "websocket.send", "text": text.decode()})

    async def _close(self, code: int, reason: str) -> None:
        if not self._is_closed:
            self._is_closed = True
            with suppress(OSError):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _set_busy(self) -> None:
        if self._protocol is not None:
            self._protocol.is_busy = bool(self._lanes)

    async def _end(self) -> None:
        """What is being served is given up."""
        self._is_gone = True
        for exchange in list(self._active.values()):
            exchange.leave()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


class _TurnExchange:
    """What the data plane sees of a turn: a request and its response, as our server offers them."""

    def __init__(self, body: bytes, lane: str, previous: str, say: Callable[[bytes], Awaitable[None]]) -> None:
        """`previous`: the response that the body goes on from without saying so; empty: none."""
        task = asyncio.current_task()
        assert task is not None, "turns are served in tasks"
        self.task: asyncio.Task[None] = task
        self._body: bytes | None = body
        self._lane = lane
        self._previous = previous
        self._say = say
        self._reader = EventReader()
        self._waiting: deque[bytes] = deque()
        self._on_disconnect: Callable[[], object] | None = None
        self._is_gone = False
        self.status = _OK
        self.last = b""
        """The last event."""

    def on_disconnect(self, callback: Callable[[], object] | None) -> None:
        """Has `callback` called at once when the client leaves."""
        self._on_disconnect = callback

    def leave(self) -> None:
        """The client has left."""
        self._is_gone = True
        callback, self._on_disconnect = self._on_disconnect, None
        if callback is not None:
            callback()

    @property
    def is_choked(self) -> bool:
        """Whether there is something to be sent."""
        return bool(self._waiting)

    def whole_body(self) -> bytes | None:
        """The request."""
        body, self._body = self._body, None
        return body

    def start(self, status: int, headers: Iterable[Header], fields: bytes = b"") -> None:
        """Begins the response; nobody sees its headers."""
        self.status = status

    def write(self, body: bytes) -> bool:
        """Takes a part of the stream; False where it completes events, which `relieved` sends."""
        self._take(self._reader.feed(body))
        return not self._waiting

    async def relieved(self) -> None:
        """Sends what there is."""
        while self._waiting and not self._is_gone:
            await self._say(self._waiting.popleft())

    def finish(self, body: bytes) -> None:
        """Takes the rest of the stream, or the error that came instead of one."""
        self._on_disconnect = None
        if self.status == _OK:
            self._take([*self._reader.feed(body), *self._reader.end()])
        else:
            self._waiting.append(in_lane(error_message(self.status, body), self._lane))

    def _take(self, events: list[tuple[bytes, bytes]]) -> None:
        for _, document in events:
            if document.startswith(b"{"):
                if self._previous:
                    document = going_on_from(document, self._previous)
                self.last = document
                self._waiting.append(in_lane(document, self._lane))


def _event_of(error: TollwayError) -> bytes:
    return error_message(error.status, find_identity("responses").render_error(error))


async def _nothing_more() -> dict[str, Any]:
    """What is received after the whole request."""
    return {"type": "http.disconnect"}
