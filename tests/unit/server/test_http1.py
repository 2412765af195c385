"""What a client cannot see: how often the connection writes, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from tests.support.http_protocol import echo, request
from uvicorn.server import ServerState

from tollway.server.exchange import App, Scope
from tollway.server.head import UnsendableResponse
from tollway.server.http1 import HttpProtocol


class Wire(asyncio.Transport):
    """The far end of a connection: keeps every write apart."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5000), "sockname": ("192.0.2.2", 80)})
        self.writes: list[bytes] = []
        self.is_reading_paused = False
        self.closing = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


Connect = Callable[[App], tuple[HttpProtocol, Wire]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[HttpProtocol] = []

    def connected(app: App) -> tuple[HttpProtocol, Wire]:
        config = uvicorn.Config(app, log_config=None, proxy_headers=False)
        config.load()
        protocol, wire = HttpProtocol(config, ServerState(), {}), Wire()
        protocol.connection_made(wire)
        opened.append(protocol)
        return protocol, wire

    yield connected
    for protocol in opened:
        protocol.connection_lost(None)


async def settled(protocol: HttpProtocol) -> None:
    """Until every application has returned, and everything is written."""
    state: ServerState = protocol._server_state
    while state.tasks:
        await asyncio.wait(state.tasks)
    await asyncio.sleep(0)


async def test_a_response_is_one_write(connect: Connect) -> None:
    protocol, wire = connect(echo)
    protocol.data_received(request("POST", "/", body=b"hello"))
    await settled(protocol)
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"\r\n\r\nhello")


async def test_a_stream_sent_without_a_pause_is_one_write(connect: Connect) -> None:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(54):
            await send({"type": "http.response.body", "body": b"event", "more_body": True})
        await send({"type": "http.response.body"})

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    await settled(protocol)
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"\r\n5\r\nevent\r\n0\r\n\r\n")


async def test_an_event_does_not_wait_for_the_next(connect: Connect) -> None:
    more = asyncio.Event()

    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"event", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"event"})

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [write.endswith(b"\r\n5\r\nevent\r\n") for write in wire.writes] == [True]
    more.set()
    await settled(protocol)
    assert wire.writes[1:] == [b"5\r\nevent\r\n0\r\n\r\n"]


async def test_an_application_that_never_pauses_does_not_fill_the_memory(connect: Connect) -> None:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            assert protocol.out.held_bytes <= 64 * 1024
        await send({"type": "http.response.body"})

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    await settled(protocol)
    assert len(wire.writes) > 10
    assert wire.writes[-1].endswith(b"0\r\n\r\n")


async def test_what_an_application_changes_after_sending_is_sent_as_it_was(connect: Connect) -> None:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        buffer = bytearray(b"event")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": buffer, "more_body": True})
        buffer[:] = b"other"
        await send({"type": "http.response.body", "body": memoryview(buffer)})

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    await settled(protocol)
    assert wire.writes[0].endswith(b"\r\n5\r\nevent\r\n5\r\nother\r\n0\r\n\r\n")


async def test_reading_stops_while_too_many_requests_wait(connect: Connect) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/") * 33)
    assert wire.is_reading_paused
    go.set()
    await settled(protocol)
    assert not wire.is_reading_paused
    assert b"".join(wire.writes).count(b"HTTP/1.1 200 OK") == 33


async def test_reading_stops_while_a_body_is_not_read(connect: Connect) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    protocol, wire = connect(app)
    protocol.data_received(request("POST", "/", "Content-Length: 400000") + b"x" * 200_000)
    assert not wire.is_reading_paused
    protocol.data_received(b"x" * 100_000)
    assert wire.is_reading_paused
    go.set()
    await asyncio.sleep(0.001)
    assert not wire.is_reading_paused
    protocol.data_received(b"x" * 100_000)
    await settled(protocol)
    assert b"".join(wire.writes).endswith(b"x" * 400_000)


async def test_two_may_wait_for_a_request_and_one_may_give_up(connect: Connect) -> None:
    messages: list[dict[str, Any]] = []

    async def app(_scope: Scope, receive: Any, send: Any) -> None:
        watcher = asyncio.create_task(receive())
        await asyncio.sleep(0)
        watcher.cancel()
        messages.append(await receive())
        await echo(_scope, receive, send) if messages[-1]["more_body"] else None
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    protocol, _ = connect(app)
    protocol.data_received(request("POST", "/", "Content-Length: 5"))
    for _ in range(5):
        await asyncio.sleep(0)
    protocol.data_received(b"hello")
    await settled(protocol)
    assert messages == [{"type": "http.request", "body": b"hello", "more_body": False}]


async def test_nothing_of_a_request_is_left_for_the_collector(connect: Connect) -> None:
    left: list[weakref.ref[Any]] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        exchange = receive.__self__
        scope["extensions"]["tollway.exchange"].on_disconnect(lambda: scope)
        left.append(weakref.ref(asyncio.current_task()))
        assert exchange.task is not None
        await echo(scope, receive, send)

    gc.disable()
    try:
        protocol, _ = connect(app)
        protocol.data_received(request("POST", "/", body=b"hello") * 2)
        await settled(protocol)
        await asyncio.sleep(0)
        assert [reference() for reference in left] == [None, None]
    finally:
        gc.enable()


async def test_events_are_written_at_once_until_the_client_does_not_keep_up(connect: Connect) -> None:
    kept_up: list[bool] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        exchange = scope["extensions"]["tollway.exchange"]
        exchange.start(200, [], b"x-one: 1\r\n")
        kept_up.append(exchange.write(b"one"))
        assert len(wire.writes) == 1
        kept_up.append(exchange.write(b"two"))
        assert wire.writes[1] == b"3\r\ntwo\r\n"
        protocol.pause_writing()
        kept_up.append(exchange.write(b"three"))
        asyncio.get_running_loop().call_soon(protocol.resume_writing)
        await exchange.relieved()
        exchange.finish(b"four")

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    await settled(protocol)
    assert kept_up == [True, True, False]
    assert b"x-one: 1\r\n" in wire.writes[0]
    assert b"".join(wire.writes).endswith(b"5\r\nthree\r\n4\r\nfour\r\n0\r\n\r\n")


async def test_nothing_is_written_to_a_client_that_left(connect: Connect) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        exchange = scope["extensions"]["tollway.exchange"]
        protocol.eof_received()
        exchange.start(200, [])
        assert exchange.write(b"one")
        await exchange.relieved()
        exchange.finish(b"two")

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    await settled(protocol)
    assert wire.writes == []


async def test_a_body_without_a_beginning_is_refused(connect: Connect) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        exchange = scope["extensions"]["tollway.exchange"]
        with pytest.raises(UnsendableResponse):
            exchange.write(b"one")
        exchange.start(200, [])
        with pytest.raises(UnsendableResponse):
            exchange.start(200, [])
        exchange.finish(b"one")
        with pytest.raises(UnsendableResponse):
            exchange.finish(b"two")

    protocol, wire = connect(app)
    protocol.data_received(request("GET", "/"))
    await settled(protocol)
    assert b"".join(wire.writes).endswith(b"\r\n\r\none")


async def test_a_connection_sets_no_timer_per_request(connect: Connect) -> None:
    protocol, _ = connect(echo)
    timer = protocol._timer
    for _ in range(5):
        protocol.data_received(request("GET", "/"))
        await settled(protocol)
    assert protocol._timer is timer
