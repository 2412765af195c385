"""`UpstreamResponse.forward` for answers that are only read chunk by chunk."""

from __future__ import annotations

from typing import Protocol

from tollway.ports.transport import Sink


class Chunked(Protocol):
    """An answer read chunk by chunk."""

    async def next_chunk(self) -> bytes:
        """See `UpstreamResponse.next_chunk`."""
        ...


async def forward(response: Chunked, sink: Sink) -> bool:
    """Hands each chunk to `sink` when it has been read; see `UpstreamResponse.forward`."""
    while chunk := await response.next_chunk():
        if not sink(chunk):
            return False
    return True
