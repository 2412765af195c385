"""Carrying one HTTP request to a provider and its answer back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tollway.core.snapshot import Endpoint, Timeouts

Sink = Callable[[bytes], bool]
"""Takes bytes as they come; False: no more for now."""


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a provider."""

    endpoint: Endpoint
    method: str = "POST"
    """Another one only with a `target`."""
    target: str = ""
    """Path and query; empty: the endpoint's."""
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Added to the endpoint's own, for this call only."""
    timeouts: Timeouts
    max_response_bytes: int


class UpstreamResponse(Protocol):
    """An answer whose head has arrived. Must be read to the end or closed."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Names in lower case; hop-by-hop headers left out."""
        ...

    async def read(self) -> bytes:
        """The whole body, decompressed.

        Raises `UpstreamError` when it is cut, stalls or grows past the maximum.
        """
        ...

    async def next_chunk(self) -> bytes:
        """The next bytes of the body as soon as there are any; `b""` at its proper end.

        Raises `UpstreamError` when the body is cut before its proper end, or stalls.
        """
        ...

    async def forward(self, sink: Sink) -> bool:
        """Hands the body to `sink`, piece by piece, until it ends or `sink` wants no more; True if it has surely ended.

        `sink` may be called from where the bytes arrive, without a turn of the event loop in between: it must be quick.
        Raises what `sink` raises, and `UpstreamError` as `next_chunk` does.
        """
        ...

    def close(self) -> None:
        """Gives the connection back if the body was read to its end; otherwise closes it at once. Idempotent."""
        ...


class Transport(Protocol):
    """A client that keeps connections."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Sends the request and awaits the head of the answer, whatever its status.

        Raises `UpstreamError` when there is none: refused, reset, timed out, not HTTP. If the task is cancelled the
        connection is closed at once.
        """
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...
