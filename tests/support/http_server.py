"""A real HTTP server in the test's own loop that gives the answers it is told to give.

async with http_server(lambda request: Reply(200, b"{}")) as server:
    ... server.url, server.requests
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What it gets."""

    status: int
    body: bytes
    headers: tuple[str, ...] = ()
    has_length: bool = True


Answer = Callable[[Request], Reply | Awaitable[Reply]]


@dataclass
class HttpServer:
    """A running server."""

    port: int
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@asynccontextmanager
async def http_server(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    """Serves one request per connection until the block ends; `tls` has the certificate, if there is one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            running.requests.append(request)
            given = answer(request)
            reply = given if isinstance(given, Reply) else await given
            length = (f"Content-Length: {len(reply.body)}",) if reply.has_length else ()
            head = "\r\n".join((f"HTTP/1.1 {reply.status} Told", "Connection: close", *length, *reply.headers))
            writer.write(head.encode() + b"\r\n\r\n" + reply.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as some tests want it to
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    running = HttpServer(server.sockets[0].getsockname()[1], "https" if tls else "http")
    try:
        yield running
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Request(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))
