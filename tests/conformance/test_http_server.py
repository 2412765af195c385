"""What the HTTP/1.1 server promises, over real sockets and on both event loops.

Source: RFC 9110, RFC 9112, ASGI 3.0 (HTTP protocol 2.3).
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.http_protocol import (
    GIVE_UP_S,
    Answer,
    Client,
    LoopName,
    ServedProtocol,
    answering,
    echo,
    read_all,
    request,
    serve,
    until,
)

from tollway.server.exchange import Scope

LOOPS: tuple[LoopName, ...] = ("asyncio", "uvloop")
SHORT_S = 0.15
"""A time limit that is meant to pass."""
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[ServedProtocol]:
    with serve(request.param) as running:
        yield running


@pytest.fixture
def client(server: ServedProtocol) -> Iterator[Client]:
    with server.client() as connected:
        yield connected


@pytest.fixture(scope="module", params=LOOPS)
def loop(request: pytest.FixtureRequest) -> LoopName:
    chosen: LoopName = request.param
    return chosen


class Seen:
    """An application that remembers what it was asked."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.bodies.append(await read_all(receive))
        await answering(200, b"seen")(scope, receive, send)

    @property
    def last(self) -> Scope:
        return self.scopes[-1]


class Leaving:
    """An application that begins a response (or not) and notes when its client leaves."""

    def __init__(self, *, begins: bool = True) -> None:
        self.begins = begins
        self.is_started = False
        self.calls = 0
        self.last_message: dict[str, Any] = {}
        self.ends = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        def gone() -> None:
            self.calls += 1

        scope["extensions"]["tollway.exchange"].on_disconnect(gone)
        await read_all(receive)
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        self.is_started = True
        self.last_message = await receive()
        await send({"type": "http.response.body", "body": b"nobody reads this"})
        self.ends += 1


# The scope


def test_the_scope_says_what_was_asked(server: ServedProtocol, client: Client) -> None:
    app = Seen()
    path = server.add(app)
    client.send(request("POST", f"{path}/a%20b%C3%A9?x=1&y=%20", "X-Two: 1", "X-TWO:  2 ", body=b"hello"))
    assert client.read().body == b"seen"
    scope = app.last
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "POST"
    assert scope["scheme"] == "http"
    assert scope["path"] == f"{path}/a bé"
    assert scope["raw_path"] == f"{path}/a%20b%C3%A9".encode()
    assert scope["query_string"] == b"x=1&y=%20"
    assert scope["root_path"] == ""
    assert scope["headers"] == [(b"host", b"test"), (b"x-two", b"1"), (b"x-two", b"2"), (b"content-length", b"5")]
    assert scope["client"] == client.socket.getsockname()
    assert scope["server"] == client.socket.getpeername()
    assert scope["state"] == {"made": "at start"}
    assert app.bodies == [b"hello"]


def test_the_state_is_a_copy_for_each_request(server: ServedProtocol, client: Client) -> None:
    app = Seen()
    path = server.add(app)
    client.get(path)
    client.read()
    app.last["state"]["made"] = "changed"
    client.get(path)
    client.read()
    assert app.last["state"] == {"made": "at start"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_every_method_goes_to_the_application(server: ServedProtocol, client: Client, method: str) -> None:
    app = Seen()
    client.send(request(method, server.add(app)))
    assert client.read().status == 200
    assert app.last["method"] == method


def test_a_target_may_be_a_whole_url(server: ServedProtocol, client: Client) -> None:
    app = Seen()
    path = server.add(app)
    client.get(f"http://elsewhere:81{path}/b?c")
    assert client.read().status == 200
    assert (app.last["path"], app.last["raw_path"], app.last["query_string"]) == (
        f"{path}/b",
        f"{path}/b".encode(),
        b"c",
    )


def test_the_root_path_stands_before_the_path() -> None:
    with serve(root_path="/gate") as server, server.client() as client:
        app = Seen()
        path = server.add(app)
        client.get(path)
        assert client.read().status == 200
        assert app.last["root_path"] == "/gate"
        assert app.last["path"] == f"/gate{path}"
        assert app.last["raw_path"] == f"/gate{path}".encode()


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%X;note=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Trailer: t\r\n\r\n"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), body=st.binary(max_size=60), has_chunks=st.booleans())
def test_bytes_split_anywhere_are_the_same_request(
    server: ServedProtocol, data: st.DataObject, body: bytes, has_chunks: bool
) -> None:
    app = Seen()
    path = server.add(app)
    fields = ("X-Long: " + "v" * 30, "Cookie: a=b", "Cookie: c=d")
    if has_chunks:
        message = request("POST", f"{path}/p?q", CHUNKED, *fields) + chunked(body, 7)
    else:
        message = request("POST", f"{path}/p?q", *fields, body=body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=6)))
    with server.client() as client:
        client.send(message)
        client.read()
        for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True):
            client.send(message[start:end])
            time.sleep(0.001)
        client.read()
    whole, split = app.scopes
    for scope in app.scopes:
        del scope["extensions"]
    assert split == whole
    assert app.bodies == [body, body]


# Bodies of requests


def test_a_long_body_arrives_whole_while_its_sender_is_held_up(server: ServedProtocol, client: Client) -> None:
    reads: list[int] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.02)  # the sender is faster
        message = await receive()
        reads.append(len(message["body"]))
        while message["more_body"]:
            await asyncio.sleep(0)
            message = await receive()
            reads.append(len(message["body"]))
        await answering(200, b"done")(scope, receive, send)

    size = 8 * 1024 * 1024
    client.send(request("POST", server.add(app), body=b"x" * size))
    assert client.read().body == b"done"
    assert sum(reads) == size
    assert max(reads) <= 2 * 256 * 1024 + 256 * 1024  # what may be unread, and one read of the loop on top


def test_leave_to_send_the_body_is_given_when_it_is_asked_for(server: ServedProtocol, client: Client) -> None:
    client.send(request("POST", server.add(echo), "Expect: 100-Continue", "Content-Length: 5"))
    assert client.read().status == 100
    client.send(b"hello")
    assert client.read().body == b"hello"
    client.get(server.add(answering(200, b"next")))
    assert client.read().body == b"next"


def test_no_leave_is_given_for_a_body_that_nobody_wants(server: ServedProtocol, client: Client) -> None:
    client.send(request("POST", server.add(answering(401, b"no")), "Expect: 100-continue", "Content-Length: 5"))
    answer = client.read()
    assert (answer.status, answer.header("connection")) == (401, "close")
    assert client.is_closed()


def test_no_leave_is_given_for_a_body_that_is_there(server: ServedProtocol, client: Client) -> None:
    client.send(request("POST", server.add(echo), "Expect: 100-continue", body=b"hello"))
    assert client.read().body == b"hello"


def test_a_body_that_nobody_reads_does_not_disturb_the_next_request(server: ServedProtocol, client: Client) -> None:
    path = server.add(answering(401, b"no"))
    client.send(request("POST", path, "Content-Length: 900000") + b"x" * 400_000)
    assert client.read().status == 401
    client.send(b"x" * 500_000)
    client.get(server.add(answering(200, b"next")))
    assert client.read().body == b"next"


# Responses


def test_a_response_carries_the_date_and_what_the_application_gave(server: ServedProtocol, client: Client) -> None:
    client.get(server.add(answering(201, b"{}", (b"content-type", b"application/json"))))
    answer = client.read()
    assert answer.status == 201
    assert [name for name, _ in answer.headers] == ["date", "content-length", "content-type"]
    assert str(answer.header("date")).endswith(" GMT")


def test_default_headers_of_the_server_are_in_every_response(loop: LoopName) -> None:
    with serve(loop, headers=[("X-Served-By", "me")]) as server, server.client() as client:
        client.get(server.add(answering(200, b"")))
        assert client.read().header("x-served-by") == "me"
        client.send(b"nonsense\r\n\r\n")
        assert client.read().header("x-served-by") == "me"


def sending(status: int, headers: list[tuple[bytes, bytes]], *pieces: bytes) -> Any:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})

    return app


def test_a_body_of_unknown_length_is_chunked(server: ServedProtocol, client: Client) -> None:
    client.get(server.add(sending(200, [], b"one", b"", b"two" * 100_000, b"three")))
    answer = client.read()
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.is_whole
    assert answer.body == b"one" + b"two" * 100_000 + b"three"
    client.get(server.add(answering(200, b"next")))
    assert client.read().body == b"next"


def test_a_body_given_in_one_piece_has_a_length(server: ServedProtocol, client: Client) -> None:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytearray(b"whole")})

    client.get(server.add(app))
    answer = client.read()
    assert (answer.header("content-length"), answer.header("transfer-encoding")) == ("5", None)
    assert answer.body == b"whole"


def test_http_1_0_gets_a_body_that_ends_with_the_connection(server: ServedProtocol, client: Client) -> None:
    client.send(request("GET", server.add(sending(200, [], b"one", b"two")), "Connection: keep-alive", version="1.0"))
    answer = client.read()
    assert (answer.header("transfer-encoding"), answer.header("connection")) == (None, "close")
    assert answer.body == b"onetwo"
    assert client.is_closed()


def test_the_client_may_ask_to_close(server: ServedProtocol, client: Client) -> None:
    client.get(server.add(answering(200, b"bye")), "Connection: close")
    answer = client.read()
    assert (answer.body, answer.header("connection")) == (b"bye", "close")
    assert client.is_closed()


def test_the_application_may_ask_to_close(server: ServedProtocol, client: Client) -> None:
    client.get(server.add(answering(200, b"bye", (b"Connection", b"Close"))))
    answer = client.read()
    assert (answer.body, answer.header("connection")) == (b"bye", "close")
    assert client.is_closed()


@pytest.mark.parametrize(
    ("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD"), (204, "HEAD"), (404, "HEAD")]
)
def test_some_responses_have_no_body(server: ServedProtocol, client: Client, status: int, method: str) -> None:
    client.send(request(method, server.add(answering(status, b"never sent"))))
    answer = client.read(has_body=False)
    assert answer.status == status
    assert answer.header("content-length") == (None if status == 204 else "10")
    client.send(request(method, server.add(sending(status, [], b"never", b"sent"))))
    answer = client.read(has_body=False)
    assert answer.header("transfer-encoding") is None
    client.get(server.add(answering(200, b"next")))
    assert client.read().body == b"next"


def test_an_application_that_fails_before_its_response_answers_500(server: ServedProtocol, client: Client) -> None:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("a secret of the application")

    client.get(server.add(app))
    answer = client.read()
    assert answer.status == 500
    assert json.loads(answer.body)["error"]["message"] == "Internal server error"
    assert answer.header("connection") == "close"
    assert client.is_closed()


def test_an_application_that_says_nothing_answers_500(server: ServedProtocol, client: Client) -> None:
    async def app(_scope: Scope, _receive: Any, _send: Any) -> None:
        return

    client.send(request("HEAD", server.add(app)))
    assert client.read(has_body=False).status == 500
    assert client.is_closed()


@pytest.mark.parametrize("raises", [True, False])
def test_a_response_that_breaks_off_has_no_proper_end(server: ServedProtocol, client: Client, raises: bool) -> None:
    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(0.02)
        if raises:
            raise ValueError("in the middle")

    client.get(server.add(app))
    assert not client.read().is_whole
    assert client.is_closed()


@pytest.mark.parametrize(("declared", "pieces"), [(b"3", [b"four"]), (b"5", [b"four"]), (b"5", [b"four", b"four"])])
def test_a_body_that_contradicts_its_length_is_never_taken_for_whole(
    server: ServedProtocol, client: Client, declared: bytes, pieces: list[bytes]
) -> None:
    client.get(server.add(sending(200, [(b"content-length", declared)], *pieces)))
    try:
        answer = client.read()
    except ConnectionResetError:
        return
    assert answer.status == 500 or not answer.is_whole


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"b\r\nset-cookie: c"),
        (b"x-a", b"b\nset-cookie: c"),
        (b"x-a", b"b\rset-cookie: c"),
        (b"x-a", b"b\0"),
        (b"x-a\r\nset-cookie: c\r\nx-b", b"d"),
        (b"x a", b"b"),
        (b"x-a:", b"b"),
        (b"", b"b"),
        (b"content-length", b"five"),
    ],
)
def test_a_header_cannot_bring_along_another(
    server: ServedProtocol, client: Client, header: tuple[bytes, bytes]
) -> None:
    client.get(server.add(sending(200, [(b"x-before", b"1"), header, (b"x-after", b"1")], b"body")))
    answer = client.read()
    assert answer.status == 500
    assert answer.header("set-cookie") is None


# Order, keeping connections


def test_a_thousand_requests_on_one_connection(server: ServedProtocol, client: Client) -> None:
    path = server.add(echo)
    before = server.server.server_state.total_requests
    for number in range(1000):
        client.send(request("POST", path, body=b"%d" % number))
        assert client.read().body == b"%d" % number
    until(lambda: server.server.server_state.total_requests == before + 1000)
    until(lambda: not server.server.server_state.tasks)


def test_pipelined_requests_are_answered_in_order(server: ServedProtocol, client: Client) -> None:
    delays = iter([0.02, 0.01, 0.0, 0.0])

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await asyncio.sleep(next(delays, 0))
        await echo(scope, receive, send)

    path = server.add(app)
    client.send(b"".join(request("POST", path, body=b"body %d" % number) for number in range(200)))
    assert [client.read().body for _ in range(200)] == [b"body %d" % number for number in range(200)]


def test_too_many_requests_in_one_go_are_refused(server: ServedProtocol, client: Client) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await answering(200, b"first")(scope, receive, send)

    slow, path = server.add(app), server.add(answering(200, b""))
    client.send(request("GET", slow) + request("GET", path) * 5000)
    assert client.read().body == b"first"
    answers: list[int] = []
    while not answers or answers[-1] == 200:
        answers.append(client.read().status)
    assert answers[-1] == 429
    assert client.is_closed()


def test_an_error_in_a_pipeline_is_answered_after_what_was_asked_before(server: ServedProtocol, client: Client) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.02)
        await answering(200, b"good")(scope, receive, send)

    path = server.add(app)
    client.send(request("GET", path) * 2 + b"nonsense\r\n\r\n")
    assert [client.read().status for _ in range(3)] == [200, 200, 400]
    assert client.is_closed()


def test_what_follows_a_last_request_is_not_answered(server: ServedProtocol, client: Client) -> None:
    path = server.add(answering(200, b"last"))
    client.send(request("GET", path, "Connection: close") + request("GET", path))
    assert client.read().body == b"last"
    assert client.is_closed()


def test_an_idle_connection_is_closed_after_its_time(loop: LoopName) -> None:
    with serve(loop, keep_alive_s=SHORT_S) as server, server.client() as client:
        path = server.add(answering(200, b"ok"))
        for _ in range(3):
            client.get(path)
            assert client.read().body == b"ok"
            time.sleep(SHORT_S / 3)
        assert client.is_closed()
        assert not server.connections()


def test_an_idle_time_does_not_end_a_response_in_progress(loop: LoopName) -> None:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await asyncio.sleep(3 * SHORT_S)
        await answering(200, b"late")(scope, receive, send)

    with serve(loop, keep_alive_s=SHORT_S) as server, server.client() as client:
        client.get(server.add(app))
        assert client.read().body == b"late"


# What is refused


def is_refused(client: Client, status: int) -> None:
    answer = client.read()
    assert answer.status == status
    assert answer.header("content-type") == "application/json"
    assert answer.header("connection") == "close"
    error = json.loads(answer.body)["error"]
    assert error["code"] == str(status)
    assert error["message"]
    assert client.is_closed()


HEAD = b"POST / HTTP/1.1\r\nHost: test\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = {
    "both framings": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both framings, the other way": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "an endless length": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "a folded line": HEAD + b"X-A: b\r\n c\r\n\r\n",
    "a fold at once": b"POST / HTTP/1.1\r\n X-A: b\r\nHost: test\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: test\n\n",
    "one bare line feed": HEAD + b"X-A: b\nX-C: d\r\n\r\n",
    "a bare line feed at the end": HEAD + b"X-A: b\r\n\n",
    "a bare carriage return": HEAD + b"X-A: b\rX-C: d\r\n\r\n",
    "NUL": HEAD + b"X-A: b\0c\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "a name that is none": HEAD + b"X(A: b\r\n\r\n",
    "no name": HEAD + b": b\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "an unknown coding first": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding in disguise": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": IN_CHUNKS + b"xyz\r\nhello\r\n0\r\n\r\n",
    "a chunk size with a prefix": IN_CHUNKS + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": IN_CHUNKS + b"-5\r\nhello\r\n0\r\n\r\n",
    "an endless chunk size": IN_CHUNKS + b"55555555555555555\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": IN_CHUNKS + b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk size ended by a line feed": IN_CHUNKS + b"5\nhello\r\n0\r\n\r\n",
    "a line feed in a chunk extension": IN_CHUNKS + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no method": b"nonsense\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_two_servers_could_read_in_two_ways_is_refused(server: ServedProtocol, client: Client, name: str) -> None:
    async def app(_scope: Scope, receive: Any, _send: Any) -> None:
        await read_all(receive)
        raise AssertionError("the application must not see a whole request")

    server.apps["/"] = app
    client.send(SMUGGLED[name])
    is_refused(client, 400)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: test\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: test\r\n\r\n", 405),
        (request("GET", "/", "X-Long: " + "v" * 70_000), 431),
        (request("GET", "/" + "v" * 70_000), 431),
        (request("GET", "/", *(f"X-{number}: v" for number in range(10_000))), 431),
        (b"GET / HTTP/1.1\r\nHost: test\r\nX-Endless: " + b"v" * 400_000, 431),
        (b"\r\n" * 200_000, 431),
        (IN_CHUNKS + b"0\r\n" + b"X-Trailer: v\r\n" * 40_000, 431),
    ],
)
def test_what_is_not_served_is_said_so(server: ServedProtocol, client: Client, message: bytes, status: int) -> None:
    async def app(_scope: Scope, receive: Any, _send: Any) -> None:
        await receive()
        await receive()

    server.apps["/"] = app
    client.send(message)
    is_refused(client, status)


def test_a_head_below_the_limit_is_served(server: ServedProtocol, client: Client) -> None:
    client.get(server.add(answering(200, b"ok")), "X-Long: " + "v" * 65_000)
    assert client.read().body == b"ok"


def test_a_broken_body_ends_a_response_in_progress(server: ServedProtocol, client: Client) -> None:
    app = Leaving()

    async def begin_early(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        app.last_message = await receive()
        while app.last_message["type"] == "http.request":
            app.last_message = await receive()

    client.send(request("POST", server.add(begin_early), CHUNKED) + b"1\r\na\r\n")
    assert client.read_head().status == 200
    client.send(b"xyz\r\n")
    assert client._reader.read(len("5\r\nearly\r\n")) == b"5\r\nearly\r\n"
    assert client.is_closed()
    until(lambda: app.last_message.get("type") == "http.disconnect")


@pytest.mark.parametrize(
    "begun", [b"GET", b"GET / HTTP/1.1\r\nHost: te", request("POST", "/", "Content-Length: 5") + b"he"]
)
def test_a_request_that_does_not_arrive_in_time_is_given_up(loop: LoopName, begun: bytes) -> None:
    with serve(loop, head_timeout_s=SHORT_S, body_timeout_s=SHORT_S) as server, server.client() as client:
        app = Leaving()
        server.apps["/"] = app
        client.send(begun)
        is_refused(client, 408)
        if begun.startswith(b"POST"):
            until(lambda: not server.server.server_state.tasks)


def test_a_body_that_keeps_coming_may_take_its_time(loop: LoopName) -> None:
    with serve(loop, body_timeout_s=SHORT_S, keep_alive_s=SHORT_S) as server, server.client() as client:
        client.send(request("POST", server.add(echo), "Content-Length: 8"))
        for _ in range(8):
            time.sleep(SHORT_S / 3)
            client.send(b"x")
        assert client.read().body == b"x" * 8


@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"])
def test_a_wish_for_another_protocol_is_passed_over(
    server: ServedProtocol, client: Client, fields: tuple[str, ...], body: bytes
) -> None:
    app = Seen()
    path = server.add(app)
    client.send(request("POST", path, *fields, body=body) + request("GET", path))
    assert client.read().body == b"seen"
    assert client.read().body == b"seen"
    assert app.bodies == [body, b""]
    assert [scope["method"] for scope in app.scopes] == ["POST", "GET"]


# Clients that leave, clients that do not read


@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
@pytest.mark.parametrize("begins", [True, False])
def test_a_client_that_leaves_is_noticed_at_once(server: ServedProtocol, leave: str, begins: bool) -> None:
    app = Leaving(begins=begins)
    with server.client() as client:
        client.get(server.add(app))
        until(lambda: app.is_started)
        assert app.calls == 0
        if leave == "half-close":
            client.socket.shutdown(socket.SHUT_WR)
        elif leave == "reset":
            client.reset()
        else:
            client.close()
        until(lambda: app.ends)
    assert app.calls == 1
    assert app.last_message == {"type": "http.disconnect"}


def test_a_client_that_left_before_anybody_asked_is_reported_on_asking(server: ServedProtocol) -> None:
    calls: list[str] = []

    async def app(scope: Scope, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope["extensions"]["tollway.exchange"].on_disconnect(lambda: calls.append("gone"))
        calls.append("asked")

    with server.client() as client:
        client.get(server.add(app))
        until(lambda: server.server.server_state.tasks)
    until(lambda: len(calls) == 2)
    assert calls == ["gone", "asked"]


def test_nobody_is_told_of_a_client_that_leaves_after_the_response(server: ServedProtocol) -> None:
    calls: list[str] = []
    messages: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        scope["extensions"]["tollway.exchange"].on_disconnect(lambda: calls.append("gone"))
        await echo(scope, receive, send)
        messages.append(await receive())
        await asyncio.sleep(0.05)
        calls.append("done")

    with server.client() as client:
        client.get(server.add(app))
        client.read()
    until(lambda: calls)
    assert calls == ["done"]
    assert messages == [{"type": "http.disconnect"}]


def test_pipelined_requests_of_a_client_that_left_are_not_begun(server: ServedProtocol) -> None:
    first, second = Leaving(), Leaving()
    with server.client() as client:
        client.send(request("GET", server.add(first)) + request("GET", server.add(second)))
        until(lambda: first.is_started)
    until(lambda: first.ends)
    assert not second.is_started


def test_a_request_cut_short_is_never_taken_for_whole(server: ServedProtocol) -> None:
    messages: list[dict[str, Any]] = []

    async def app(_scope: Scope, receive: Any, _send: Any) -> None:
        while not messages or messages[-1]["type"] == "http.request":
            messages.append(await receive())

    with server.client() as client:
        client.send(request("POST", server.add(app), "Content-Length: 10") + b"hello")
        until(lambda: messages)
    until(lambda: messages[-1]["type"] == "http.disconnect")
    assert all(message["more_body"] for message in messages[:-1])


def test_a_client_that_does_not_read_holds_up_the_application(server: ServedProtocol) -> None:
    sent = 0

    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 20_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    with server.client(receives=65536) as client:
        client.get(server.add(app))
        assert client.read_head().status == 200
        until(lambda: any(connection.out.is_choked for connection in server.connections()))
        held = sent
        time.sleep(0.05)
        assert sent == held < 400
        answer = Answer(200, [("transfer-encoding", "chunked")], b"")
        client._read_chunks(answer)
        assert answer.is_whole
        assert len(answer.body) == 8_000_000


def test_a_client_that_never_reads_is_given_up(loop: LoopName) -> None:
    app = Leaving()

    async def endless(scope: Scope, _receive: Any, send: Any) -> None:
        def gone() -> None:
            app.calls += 1

        scope["extensions"]["tollway.exchange"].on_disconnect(gone)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not app.calls:
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    with serve(loop, write_timeout_s=SHORT_S) as server, server.client(receives=4096) as client:
        client.get(server.add(endless))
        until(lambda: app.calls)
        until(lambda: not server.connections())


def test_a_client_that_never_reads_its_last_response_is_given_up(loop: LoopName) -> None:
    with serve(loop, farewell_timeout_s=SHORT_S) as server, server.client(receives=4096) as client:
        client.get(server.add(answering(200, b"x" * 20_000_000)), "Connection: close")
        until(server.connections)
        until(lambda: not server.connections())


# Stopping


def test_a_request_that_was_on_its_way_when_the_server_stopped_is_answered(
    loop: LoopName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.server.http1.LAST_REQUEST_S", SHORT_S * 20)  # this machine may be busy
    with serve(loop) as server, server.client() as idle, server.client() as new:
        path = server.add(answering(200, b"in time"))
        idle.get(path)
        idle.read()
        server.server.should_exit = True
        until(lambda: all(connection.is_stopping for connection in server.connections()))
        for client in (idle, new):  # connected, and told nothing yet
            client.get(path)
            answer = client.read()
            assert (answer.body, answer.header("connection")) == (b"in time", "close")
            assert client.is_closed()


def test_stopping_closes_idle_connections_soon_and_busy_ones_after_their_response(loop: LoopName) -> None:
    go = asyncio.Event()
    begun: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        begun.append(asyncio.get_running_loop())
        await go.wait()
        await answering(200, b"finished")(scope, receive, send)

    with serve(loop) as server, server.client() as idle, server.client() as busy, server.client() as queueing:
        path = server.add(app)
        idle.get(server.add(answering(200, b"")))
        idle.read()
        busy.get(path)
        queueing.send(request("GET", path) * 2)
        until(lambda: len(begun) == 2)
        server.server.should_exit = True
        assert idle.is_closed()
        begun[0].call_soon_threadsafe(go.set)
        for client in (busy, queueing):
            answer = client.read()
            assert (answer.body, answer.header("connection")) == (b"finished", "close")
            assert client.is_closed()


def test_a_call_cut_off_by_the_end_of_the_grace_gets_503(server: ServedProtocol, client: Client) -> None:
    async def app(_scope: Scope, _receive: Any, _send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()  # as uvicorn does
        await asyncio.sleep(GIVE_UP_S)

    client.get(server.add(app))
    is_refused(client, 503)


# TCP and TLS


def test_small_writes_are_not_delayed(server: ServedProtocol, client: Client) -> None:
    client.get(server.add(answering(200, b"")))
    client.read()
    (connection,) = [
        connection
        for connection in server.connections()
        if connection.transport.get_extra_info("peername") == client.socket.getsockname()
    ]
    accepted: socket.socket = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_works_over_tls(loop: LoopName, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with serve(loop, certificate=certificate, tls=context) as server:
        app = Seen()
        path, mirror = server.add(app), server.add(echo)
        with server.client() as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            assert client.socket.selected_alpn_protocol() == "http/1.1"
            client.get(path)
            assert client.read().body == b"seen"
            assert app.last["scheme"] == "https"
            client.send(request("POST", mirror, body=b"x" * 1_000_000))
            assert client.read().body == b"x" * 1_000_000
            client.send(b"nonsense\r\n\r\n")
            assert client.read().status == 400
        leaving = Leaving()
        with server.client() as client:
            client.get(server.add(leaving))
            until(lambda: leaving.is_started)
        until(lambda: leaving.calls)
