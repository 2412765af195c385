"""Carries requests to a model that is right here; see the package for what it can do."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal
from uuid import uuid4
from weakref import WeakSet

from tollway.core.snapshot import Timeouts
from tollway.ports.transport import Sink, UpstreamRequest
from tollway.upstream import failure, forwarding
from tollway.upstream.demo.answer import Answer, ChatShape, CompletionShape, Shape, chunks, count_usage, encode
from tollway.upstream.demo.model import CountTokens, DemoModel
from tollway.upstream.demo.request import Behaviour, Chat, Completion, Embedding, Generation, Refusal, parse

NAME = "the demo model"


class DemoTransport:
    """Implements `ports.transport.Transport` without a network."""

    def __init__(self, count_tokens: CountTokens, *, now: Callable[[], float] = time.time) -> None:
        """`count_tokens` counts a text; `now` is epoch seconds, for `created`."""
        self._model = DemoModel(count_tokens)
        self._now = now
        self._open: WeakSet[DemoResponse] = WeakSet()

    async def send(self, request: UpstreamRequest) -> DemoResponse:
        """See `Transport.send`."""
        try:
            response = self._respond(request)
        except Refusal as no:
            frames = [(0.0, no.body)]
            response = DemoResponse(request, no.status, frames, latency_s=no.latency_s, headers=no.headers)
        self._open.add(response)
        await response.wait_for_head()
        return response

    async def close(self) -> None:
        """Ends every answer that is still on its way."""
        for response in list(self._open):
            response.close()

    def _respond(self, request: UpstreamRequest) -> DemoResponse:
        path = request.endpoint.target.partition("?")[0]
        if path.endswith("/chat/completions"):
            chat = parse(request.body, Chat)
            return self._generate(request, chat, ChatShape(chat.model, int(self._now())), *self._model.chat(chat))
        if path.endswith("/completions"):
            completion = parse(request.body, Completion)
            shape = CompletionShape(completion.model, int(self._now()))
            return self._generate(request, completion, shape, *self._model.complete(completion))
        if path.endswith("/embeddings"):
            embedding = parse(request.body, Embedding)
            return _whole(request, embedding.demo, encode(self._model.embed(embedding)))
        raise Refusal(404, f"Unknown request URL: POST {path}.")

    def _generate(
        self,
        request: UpstreamRequest,
        body: Generation,
        shape: Shape,
        answers: list[Answer],
        prompt_tokens: int,
    ) -> DemoResponse:
        usage = count_usage(prompt_tokens, sum(answer.tokens for answer in answers))
        if not body.stream:
            return _whole(request, body.demo, encode(shape.whole(answers, usage)))
        wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        return _streamed(request, body.demo, chunks(shape, answers, usage if wants_usage else None))


class DemoResponse:
    """Implements `ports.transport.UpstreamResponse`: frames that become due one after the other."""

    def __init__(
        self,
        request: UpstreamRequest,
        status: int,
        frames: Iterable[tuple[float, bytes]],
        *,
        latency_s: float = 0.0,
        content_type: bytes = b"application/json",
        headers: Sequence[tuple[bytes, bytes]] = (),
        ending: Literal["complete", "cut", "stall"] = "complete",
    ) -> None:
        """`frames` are (seconds after the one before, bytes)."""
        self.status = status
        request_id = f"req_demo_{uuid4().hex}".encode()
        self.headers = ((b"content-type", content_type), (b"x-request-id", request_id), *headers)
        self._frames: Iterator[tuple[float, bytes]] = iter(frames)
        self._latency_s = latency_s
        self._ending = ending
        self._timeouts: Timeouts = request.timeouts
        self._max_bytes = request.max_response_bytes
        self._closed = asyncio.Event()
        self._started = self._due = asyncio.get_running_loop().time()

    async def wait_for_head(self) -> None:
        """The time a server takes to begin."""
        await self._advance(self._latency_s, self._timeouts.first_byte, "waiting for the first byte")

    async def read(self) -> bytes:
        """See `UpstreamResponse.read`."""
        whole = bytearray()
        while chunk := await self.next_chunk():
            whole += chunk
            if len(whole) > self._max_bytes:
                self.close()
                raise failure.too_large(NAME, self._max_bytes, self.status)
        return bytes(whole)

    async def next_chunk(self) -> bytes:
        """See `UpstreamResponse.next_chunk`."""
        delay, chunk = next(self._frames, (0.0, b""))
        if not chunk and self._ending == "stall":
            delay = math.inf
        await self._advance(delay, self._timeouts.between_chunks, "waiting for the next chunk")
        if not chunk and self._ending == "cut":
            raise failure.cut(NAME, self.status)
        return chunk

    async def forward(self, sink: Sink) -> bool:
        """See `UpstreamResponse.forward`."""
        return await forwarding.forward(self, sink)

    def close(self) -> None:
        """See `UpstreamResponse.close`."""
        self._closed.set()

    async def _advance(self, seconds: float, limit: float, what: str) -> None:
        """Waits until `seconds` after the last due time, so that a slow reader does not slow the model down."""
        self._due += seconds
        now = asyncio.get_running_loop().time()
        limit, what = min((limit, what), (self._started + self._timeouts.total - now, "the whole answer"))
        wait = self._due - now
        if wait <= 0 and not self._closed.is_set():
            await asyncio.sleep(0)  # even without a pause a reader can be cancelled here
            return
        try:
            async with asyncio.timeout(min(wait, max(limit, 0.0))):
                await self._closed.wait()
        except TimeoutError:
            if wait > limit:
                self.close()
                raise failure.timed_out(NAME, what, limit, status=self.status) from None
            return
        raise failure.closed(NAME)


def _whole(request: UpstreamRequest, demo: Behaviour, body: bytes) -> DemoResponse:
    _refuse(demo)
    if demo.fault:  # what remains of them spoils the body: half of it, and then an end, silence, or nothing amiss
        body = body[: len(body) // 2]
    return DemoResponse(request, 200, [(0.0, body)], latency_s=demo.latency_ms / 1000, ending=_ending(demo))


def _streamed(request: UpstreamRequest, demo: Behaviour, events: Iterator[bytes]) -> DemoResponse:
    _refuse(demo)
    pause_s = demo.chunk_ms / 1000
    frames = ((pause_s if index else 0.0, event) for index, event in enumerate(_spoil(events, demo)))
    content_type = b"text/event-stream; charset=utf-8"
    latency_s = demo.latency_ms / 1000
    return DemoResponse(request, 200, frames, latency_s=latency_s, content_type=content_type, ending=_ending(demo))


def _refuse(demo: Behaviour) -> None:
    """Raises for the faults that come instead of an answer."""
    latency_s = demo.latency_ms / 1000
    if demo.fault == "refuse":
        raise failure.unreachable(NAME, ConnectionRefusedError())
    if demo.fault == "error_500":
        raise Refusal(500, "The demo model was told to fail.", type="server_error", latency_s=latency_s)
    if demo.fault == "rate_limit":
        raise Refusal(
            429,
            "The demo model was told to be busy.",
            type="requests",
            code="rate_limit_exceeded",
            headers=((b"retry-after", b"%d" % demo.retry_after_s),),
            latency_s=latency_s,
        )


def _spoil(events: Iterator[bytes], demo: Behaviour) -> Iterator[bytes]:
    for index, event in enumerate(events):
        if not demo.fault or index != demo.after_chunks:
            yield event
        elif demo.fault == "malformed":
            yield event[: len(event) // 2] + b"\n\n"
        else:
            return


def _ending(demo: Behaviour) -> Literal["complete", "cut", "stall"]:
    return demo.fault if demo.fault == "cut" or demo.fault == "stall" else "complete"
