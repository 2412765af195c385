"""The little ASGI that is needed, and nothing of a framework. Source: ASGI 3.0, HTTP and lifespan protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

from tollway.core.errors import Header, InvalidRequest, TollwayError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON: Header = (b"content-type", b"application/json")

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"Origin"),
)


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Exchange(Protocol):
    """What our server offers beyond ASGI, as `scope["extensions"]["tollway.exchange"]`: no message per event."""

    task: asyncio.Task[None]
    """In which the application is called."""

    def on_disconnect(self, callback: Callable[[], object] | None) -> None:
        """Has `callback` called at once when the client leaves before the response is complete."""
        ...

    @property
    def is_choked(self) -> bool:
        """Whether the client does not keep up."""
        ...

    def whole_body(self) -> bytes | None:
        """The request's body, if all of it is here; else None, and it is to be received."""
        ...

    def start(self, status: int, headers: Iterable[Header], fields: bytes = b"") -> None:
        """Begins the response. `fields` are header lines that are encoded already."""
        ...

    def write(self, body: bytes) -> bool:
        """Writes a part of the body at once; False if the client does not keep up."""
        ...

    async def relieved(self) -> None:
        """Returns as soon as the client keeps up again, or has left."""
        ...

    def finish(self, body: bytes) -> None:
        """Writes the rest of the body, which completes the response."""
        ...


async def read_body(receive: Receive, headers: dict[bytes, bytes], max_bytes: int) -> bytes:
    """The whole body of a request. Raises `InvalidRequest` past `max_bytes`, before or while reading."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large(int(declared), max_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and message["type"] == "http.request":
        if len(body) > max_bytes:
            raise too_large(len(body), max_bytes)
        return body
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise too_large(size, max_bytes)
        chunks.append(chunk)
    if message["type"] == "http.disconnect":
        raise ClientGone
    return b"".join(chunks)


def too_large(size: int, max_bytes: int) -> TollwayError:
    """The contract's error for a body above the limit."""
    mega = 1024 * 1024
    return InvalidRequest(
        f"Request size is too large. Request size is {size / mega:.2f} MB. Max size is {max_bytes / mega:.2f} MB. "
        "Raise general_settings.max_request_size_mb to allow it.",
        param="content-length",
    )


async def answer(exchange: Exchange, status: int, headers: Iterable[Header], fields: bytes, body: bytes) -> None:
    """Sends a whole response through our server. `fields` are headers that are encoded already."""
    if exchange.is_choked:
        await exchange.relieved()
    exchange.start(status, headers, fields)
    exchange.finish(body)


async def respond(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """Sends a whole response."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
