"""One answer: filled by its connection, emptied by its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tollway.core.errors import Header, UpstreamError
from tollway.ports.transport import Sink, UpstreamRequest
from tollway.upstream import failure
from tollway.upstream.decoding import Decoder

HIGH_WATER_BYTES = 256 * 1024
"""Unread bytes of a body above which the server is made to wait."""


class Source(Protocol):
    """The connection, as the response on it sees it."""

    server: str
    """How messages call the other side."""

    def fail(self, error: UpstreamError) -> None:
        """Closes the connection at once and ends the response with `error`."""
        ...

    def resume(self) -> None:
        """Lets the server send again."""
        ...


class DirectResponse:
    """Implements `ports.transport.UpstreamResponse`."""

    __slots__ = (
        "_chunks",
        "_decoded",
        "_heard_at",
        "_is_collecting",
        "_is_ended",
        "_loop",
        "_request",
        "_sent_at",
        "_server",
        "_sink",
        "_source",
        "_unread",
        "decoder",
        "error",
        "has_explicit_end",
        "headers",
        "is_paused",
        "received",
        "status",
        "waiter",
    )

    def __init__(self, source: Source, request: UpstreamRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: Sequence[Header] = ()
        self.has_explicit_end = True
        """False where only the closed connection marks the end of the body, so that a cut cannot be seen."""
        self.decoder: Decoder | None = None
        self.error: UpstreamError | None = None
        self.is_paused = False
        self.received = 0
        self._request = request
        self._loop = loop
        self._source: Source | None = source
        self._server = source.server
        self._sent_at = loop.time()
        self._heard_at = 0.0
        self._chunks: list[bytes] = []
        self._unread = 0
        self._decoded = 0
        self._is_ended = False
        self._is_collecting = False
        self._sink: Sink | None = None
        """Takes chunks as they arrive, while the reader waits for it to have had enough, or for the end."""
        self.waiter: asyncio.Future[bool] = loop.create_future()
        """Done when something happens: first when the head is there, or never will be. True: the sink has enough."""

    # For the reader

    async def read(self) -> bytes:
        """The whole body; see `UpstreamResponse`."""
        if not self._is_ended:
            await self._wait_for_end()
        chunks = self._chunks
        self._chunks = []
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self.decoder is None:
            return body
        body = self._decode(self.decoder, body)
        self._check_decoded(self.decoder)
        return body

    async def next_chunk(self) -> bytes:
        """Everything that has arrived since the last call; see `UpstreamResponse`."""
        try:
            while True:
                if self._chunks:
                    chunk = self._take()
                    if chunk:
                        return chunk
                elif self._is_ended:
                    if self.decoder is not None:
                        self._check_decoded(self.decoder)
                    return b""
                elif self.error is not None:
                    raise self.error
                else:
                    await self._news()
        except asyncio.CancelledError:
            self.close()
            raise

    async def forward(self, sink: Sink) -> bool:
        """Hands chunks on as they arrive; see `UpstreamResponse`."""
        try:
            while True:
                if self._chunks:
                    chunk = self._take()
                    if chunk and not sink(chunk):
                        return self._is_ended and self.decoder is None
                elif self._is_ended:
                    if self.decoder is not None:
                        self._check_decoded(self.decoder)
                    return True
                elif self.error is not None:
                    raise self.error
                else:
                    self._sink = sink
                    if await self._news():
                        return False
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._sink = None

    def close(self) -> None:
        """Closes the connection unless the answer has ended; then the pool has it already."""
        if self._source is not None:
            self._source.fail(failure.closed(self._server))

    async def _wait_for_end(self) -> None:
        self._is_collecting = True
        self._resume()
        try:
            while not self._is_ended:
                if self.error is not None:
                    raise self.error
                await self._news()
        except asyncio.CancelledError:
            self.close()
            raise

    def _news(self) -> asyncio.Future[bool]:
        """Done when something more happens. A stall is counted from here: silence while nobody reads does no harm."""
        self._heard_at = self._loop.time()
        waiter = self.waiter = self._loop.create_future()
        return waiter

    def _take(self) -> bytes:
        chunks = self._chunks
        chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._unread = 0
        if self.is_paused:
            self._resume()
        return chunk if self.decoder is None else self._decode(self.decoder, chunk)

    def _decode(self, decoder: Decoder, data: bytes) -> bytes:
        max_bytes = self._request.max_response_bytes
        try:
            decoded = decoder.feed(data, max_bytes - self._decoded)
        except ValueError as error:
            raise self._give_up(failure.malformed(self._server, str(error), self.status)) from None
        self._decoded += len(decoded)
        if self._decoded > max_bytes:
            raise self._give_up(failure.too_large(self._server, max_bytes, self.status))
        return decoded

    def _check_decoded(self, decoder: Decoder) -> None:
        if not decoder.is_finished:
            raise self._give_up(failure.cut(self._server, self.status))

    def _give_up(self, error: UpstreamError) -> UpstreamError:
        """The answer is of no use although it arrived: every further read gets the same error."""
        if self._source is not None:
            self._source.fail(error)
        self.error = error
        self._is_ended = False
        return error

    def _resume(self) -> None:
        if self.is_paused and self._source is not None:
            self.is_paused = False
            self._source.resume()

    # For the connection

    def push(self, chunk: bytes) -> bool:
        """More of the body; False when it is larger than allowed."""
        self._chunks.append(chunk)
        self._unread += len(chunk)
        self.received += len(chunk)
        return self.received <= self._request.max_response_bytes

    def notify(self) -> None:
        """There is news: wakes the reader, unless it wants nothing but the end."""
        if self._is_collecting:
            self._heard_at = self._loop.time()
        elif self._sink is not None and self._chunks:
            self._pour(self._sink)
        elif not self.waiter.done():
            self.waiter.set_result(False)

    def end(self, error: UpstreamError | None = None) -> None:
        """Nothing more will come: properly, or because of `error`."""
        self._source = None
        self.error = error
        self._is_ended = error is None
        if not self.waiter.done():
            self.waiter.set_result(False)

    def _pour(self, sink: Sink) -> None:
        """Hands on what has arrived; wakes the reader when that is enough, or goes wrong: it is the reader's error."""
        try:
            chunk = self._take()
            if not chunk or sink(chunk):
                self._heard_at = self._loop.time()
                return
        except Exception as error:  # noqa: BLE001 - raised again where the reader waits
            if not self.waiter.done():
                self.waiter.set_exception(error)
        else:
            if not self.waiter.done():
                self.waiter.set_result(True)
        self._sink = None

    @property
    def max_bytes(self) -> int:
        """Most bytes of body that the call allows."""
        return self._request.max_response_bytes

    def should_pause(self) -> bool:
        """Whether the reader does not keep up."""
        return self._unread > HIGH_WATER_BYTES and not self._is_collecting

    def overdue(self, now: float) -> UpstreamError | None:
        """The timeout that has passed, if any."""
        timeouts = self._request.timeouts
        if now - self._sent_at > timeouts.total:
            return failure.timed_out(self._server, "the whole answer", timeouts.total, status=self.status)
        if not self.status:
            if now - self._sent_at > timeouts.first_byte:
                return failure.timed_out(self._server, "the first byte of the answer", timeouts.first_byte)
        elif not self.waiter.done() and now - self._heard_at > timeouts.between_chunks:
            return failure.timed_out(
                self._server, "the next bytes of the answer", timeouts.between_chunks, status=self.status
            )
        return None
