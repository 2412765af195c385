"""The server protocol behind a real socket, in a thread and loop of its own, and a client that sends any bytes."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import uvicorn

from tollway.server.exchange import App, Scope
from tollway.server.http1 import HttpProtocol

LoopName = Literal["asyncio", "uvloop"]
GIVE_UP_S = 10.0
"""A test that waits longer has failed."""


@dataclass
class Answer:
    """A response as it was on the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_whole: bool = True
    """It had a proper end."""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} is there more than once"
        return values[0] if values else None


class Client:
    """One connection."""

    def __init__(self, address: tuple[str, int], *, tls: ssl.SSLContext | None = None, receives: int = 0) -> None:
        self.socket = socket.socket()
        if receives:  # bytes of the system's buffer; must be said before connecting
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self.socket.settimeout(GIVE_UP_S)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._reader = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, path: str, *fields: str) -> None:
        self.send(request("GET", path, *fields))

    def read_head(self) -> Answer:
        """A status line and fields; raises if the connection ends before."""
        line = self._reader.readline()
        if not line:
            raise EOFError("the server closed the connection")
        version, status, _ = line.decode().split(" ", 2)
        assert version == "HTTP/1.1"
        headers = []
        while (line := self._reader.readline()) != b"\r\n":
            assert line.endswith(b"\r\n"), "cut off in the head"
            name, colon, value = line.decode("latin-1").removesuffix("\r\n").partition(": ")
            assert colon, f"not a header: {line!r}"
            headers.append((name, value))
        return Answer(int(status), headers, b"")

    def read(self, *, has_body: bool = True) -> Answer:
        """A whole response."""
        answer = self.read_head()
        if not has_body or answer.status in (100, 204, 304):
            return answer
        if answer.header("transfer-encoding") == "chunked":
            self._read_chunks(answer)
        elif (length := answer.header("content-length")) is not None:
            answer.body = self._reader.read(int(length))
            answer.is_whole = len(answer.body) == int(length)
        else:
            answer.body = self._reader.read()
        return answer

    def _read_chunks(self, answer: Answer) -> None:
        try:
            while (line := self._reader.readline()) and (size := int(line, 16)):
                chunk = self._reader.read(size + 2)
                answer.body += chunk.removesuffix(b"\r\n")
            answer.is_whole = bool(line) and self._reader.readline() == b"\r\n"
        except ConnectionResetError:
            answer.is_whole = False

    def is_closed(self) -> bool:
        """Waits for the end of the connection, or anything else."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def reset(self) -> None:
        """Leaves without a farewell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(method: str, path: str, *fields: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A request's bytes; `fields` like `Name: value`."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    lines = (f"{method} {path} HTTP/{version}", "Host: test", *fields, *length)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass
class ServedProtocol:
    """A running server. Applications are found by the first part of the path."""

    server: uvicorn.Server
    apps: dict[str, App] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.server.servers[0].sockets[0].getsockname()[:2]
        return host, port

    def add(self, app: App) -> str:
        """The path under which this application answers from now on."""
        path = f"/{len(self.apps)}"
        self.apps[path] = app
        return path

    def client(self, *, receives: int = 0) -> Client:
        return Client(self.address, tls=self.tls, receives=receives)

    def connections(self) -> list[HttpProtocol]:
        return cast("list[HttpProtocol]", list(self.server.server_state.connections))


@contextmanager
def serve(
    loop: LoopName = "uvloop",
    *,
    keep_alive_s: float = 30,
    certificate: Path | None = None,
    tls: ssl.SSLContext | None = None,
    root_path: str = "",
    headers: list[tuple[str, str]] | None = None,
    **timeouts: float,
) -> Iterator[ServedProtocol]:
    """Serves until the block ends, and stops as on SIGTERM. `timeouts` are those of the protocol."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["made"] = "at start"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        path = scope["path"].removeprefix(root_path)
        await running.apps["/" + path.split("/")[1]](scope, receive, send)

    protocol = functools.partial(cast("Any", HttpProtocol), **timeouts)
    cast("Any", protocol).alpn_protocols = HttpProtocol.alpn_protocols
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        loop=loop,
        http=cast("Any", protocol),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=cast("int", keep_alive_s),
        timeout_graceful_shutdown=int(GIVE_UP_S),
        ssl_certfile=certificate,
        root_path=root_path,
        headers=headers,
    )
    server = uvicorn.Server(config)
    running = ServedProtocol(server, tls=tls)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield running
    finally:
        server.should_exit = True
        thread.join(GIVE_UP_S)
        assert not thread.is_alive(), "the server did not stop"


def until(condition: Any) -> None:
    """Waits for what happens in the server's thread."""
    deadline = time.monotonic() + GIVE_UP_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


async def read_all(receive: Any) -> bytes:
    """The body of a request."""
    body = b""
    while True:
        message: dict[str, Any] = await receive()
        assert message["type"] == "http.request"
        piece: bytes = message["body"]
        body += piece
        if not message["more_body"]:
            return body


def answering(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> App:
    """An application that gives one answer."""

    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
        await send({"type": "http.response.body", "body": body})

    return app


async def echo(_scope: Scope, receive: Any, send: Any) -> None:
    """Answers with what it was sent."""
    body = await read_all(receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
