"""A provider that can be told to misbehave: a raw TCP or TLS server, scripted one reply at a time.

    async with FaultyUpstream() as upstream:
        upstream.reply(response(b'{"ok":true}'))                        # the next request
        upstream.reply(*stream(b"data: 1\\n\\n", delay_s=0.02), path="/v1/chat/completions")
        upstream.reply(chunked_head(), chunk(b"data: 1\\n\\n"), CUT)      # ends in the middle
        upstream.reply(HANG, always=True)                               # every request from here on
        ...
        assert upstream.requests[0].json["model"] == "m"

A reply is a list of steps, run in turn: bytes are written, a number is waited (seconds), an `asyncio.Event` is waited
for, an iterator is written piece by piece at the client's pace; `CUT`, `RESET`, `HALF_CLOSE` and `HANG` are endings.
Without a script it answers like OpenAI: chat, completions and embeddings, as JSON or as a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import itertools
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self, cast

import trustme

from tollway.core.snapshot import Endpoint, Origin


class Ending(enum.Enum):
    """Steps that end a reply in an unusual way."""

    CUT = enum.auto()
    """Close the connection, as a server that stops."""
    RESET = enum.auto()
    """Close it with a TCP reset, as a server that crashes."""
    HALF_CLOSE = enum.auto()
    """Send no more, but go on reading until the client closes."""
    HANG = enum.auto()
    """Do nothing until the client closes."""


CUT, RESET, HALF_CLOSE, HANG = Ending
Step = bytes | float | asyncio.Event | Iterator[bytes] | Ending

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def head(status: int = 200, **headers: str) -> bytes:
    """A response head: `head(200, content_length="2", retry_after="7")`."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def response(body: bytes, status: int = 200, *, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole answer with its length."""
    return head(status, content_type=content_type, content_length=str(len(body)), **headers) + body


def chunked_head(status: int = 200, *, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """The head of an answer of unknown length."""
    return head(status, content_type=content_type, transfer_encoding="chunked", **headers)


def chunk(data: bytes) -> bytes:
    """One chunk of such an answer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*events: bytes, delay_s: float = 0.0) -> list[Step]:
    """A whole stream, one chunk per event, `delay_s` before each; in one burst if that is 0."""
    if not delay_s:
        return [chunked_head() + b"".join(map(chunk, events)) + LAST_CHUNK]
    steps: list[Step] = [chunked_head()]
    for event in events:
        steps += (delay_s, chunk(event))
    return [*steps, LAST_CHUNK]


def sse(*payloads: Any) -> list[bytes]:
    """Server-sent events with JSON payloads, and the `[DONE]` that OpenAI ends with."""
    return [*(b"data: %b\n\n" % json.dumps(payload).encode() for payload in payloads), b"data: [DONE]\n\n"]


def error(status: int, message: str = "The upstream says no.", *, retry_after: str | None = None) -> bytes:
    """An OpenAI error envelope: `error(429, retry_after="7")`."""
    body = json.dumps({"error": {"message": message, "type": "upstream_error", "param": None, "code": None}}).encode()
    return response(body, status) if retry_after is None else response(body, status, retry_after=retry_after)


def endless(piece: bytes) -> Iterator[bytes]:
    """Chunks without end."""
    return itertools.repeat(chunk(piece))


def refused_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"


@dataclass(frozen=True)
class SeenRequest:
    """What a client sent."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """Which connection it came on, from 0."""
    at: float
    """`time.monotonic()` when it was complete."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class _Script:
    steps: Sequence[Step]
    path: str | None
    always: bool


@dataclass
class FaultyUpstream:
    """See the module. Settings of the OpenAI-like answers are plain attributes."""

    tls: bool = False
    asks_for_certificates: bool = False
    """With TLS: only clients are served that show one of `client_certificate`."""
    text: str = "Hello from a model that is not one."
    embed: Callable[[str], Sequence[float]] = lambda _: (0.5, -0.5)
    """Makes the vectors of its embeddings."""
    event_delay_s: float = 0.0
    reads_bodies: bool = True
    """False: answers as soon as it has seen a head, and leaves the body unread until the script ends."""
    requests: list[SeenRequest] = field(default_factory=list)
    closes: dict[int, float] = field(default_factory=dict)
    """When (`time.monotonic()`) the client closed which connection; those closed by a script are not here."""
    accepted: int = 0
    """Connections so far."""

    _scripts: list[_Script] = field(default_factory=list)
    _clients: set[_Client] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _port: int = 0
    _ca_bundle: str | bool = True

    async def __aenter__(self) -> Self:
        context = None
        if self.tls:
            context = _server_context(asks=self.asks_for_certificates)
            self._ca_bundle = self._stack.enter_context(_authority().cert_pem.tempfile())
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0, ssl=context)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop_idle()
        await self._until(lambda: not self._clients, 5)
        await asyncio.gather(*self._tasks)
        await self._stack.aclose()

    def reply(self, *steps: Step, path: str | None = None, always: bool = False) -> None:
        """Scripts the next reply (to `path`, if given); with `always`, every reply after the ones before it."""
        self._scripts.append(_Script(steps, path, always))

    def forget_scripts(self) -> None:
        """Answers like OpenAI again."""
        self._scripts.clear()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self._port}"

    @property
    def host(self) -> str:
        return "localhost" if self.tls else "127.0.0.1"

    @property
    def origin(self) -> Origin:
        """As configured for a client that trusts our certificate."""
        return Origin("https" if self.tls else "http", self.host, self._port, self._ca_bundle)

    @property
    def ca_bundle(self) -> str:
        """File with the certificate authority, with TLS."""
        return str(self._ca_bundle)

    def endpoint(
        self, target: str = "/v1/chat/completions", headers: tuple[tuple[str, str], ...] = (("x-key", "sk-upstream"),)
    ) -> Endpoint:
        return Endpoint(origin=self.origin, target=target, headers=headers)

    @property
    def open_connections(self) -> int:
        return len(self._clients)

    async def wait_for_requests(self, count: int, timeout_s: float = 5.0) -> None:
        """Until so many requests have come in."""
        await self._until(lambda: len(self.requests) >= count, timeout_s)

    async def wait_for_close(self, connection: int = 0, timeout_s: float = 5.0) -> float:
        """When the client closed that connection."""
        await self._until(lambda: connection in self.closes, timeout_s)
        return self.closes[connection]

    def drop_idle(self) -> None:
        """Closes every connection, as a server does whose keep-alive time is over."""
        for client in tuple(self._clients):
            client.kill()

    async def _until(self, is_true: Any, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    # For the connections

    def _script_for(self, request: SeenRequest) -> Sequence[Step]:
        for index, script in enumerate(self._scripts):
            if script.path in (None, request.path):
                if not script.always:
                    del self._scripts[index]
                return script.steps
        return self._answer_like_openai(request)

    def _answer_like_openai(self, request: SeenRequest) -> Sequence[Step]:
        if request.path.endswith("/embeddings"):
            return [response(json.dumps(_embeddings(request.json, self.embed)).encode())]
        is_chat = request.path.endswith("/chat/completions")
        if not is_chat and not request.path.endswith("/completions"):
            return [error(404, "No such path.")]
        if not request.json.get("stream"):
            return [response(json.dumps(_completion(request.json, self.text, is_chat=is_chat)).encode())]
        events = sse(*_completion_events(request.json, self.text, is_chat=is_chat))
        return stream(*events, delay_s=self.event_delay_s)


class _Client(asyncio.StreamReaderProtocol):
    """One connection: reads requests, runs their scripts."""

    def __init__(self, upstream: FaultyUpstream) -> None:
        self._upstream = upstream
        self._reader = asyncio.StreamReader(limit=2**24)
        self._gone = asyncio.Event()
        self._is_killed = False
        super().__init__(self._reader, self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._number = self._upstream.accepted
        self._upstream.accepted += 1
        self._upstream._clients.add(self)
        self._writer = writer
        task = asyncio.get_running_loop().create_task(self._serve())
        self._upstream._tasks.add(task)
        task.add_done_callback(self._upstream._tasks.discard)

    def kill(self) -> None:
        self._is_killed = True
        with contextlib.suppress(AttributeError):  # Python 3.11.2 on a TLS transport that is closed already
            self._writer.transport.abort()
        self._gone.set()

    def eof_received(self) -> bool:
        self._note_close()
        super().eof_received()
        return not self._upstream.tls  # TLS knows no half-closed connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._note_close()
        super().connection_lost(exc)
        self._upstream._clients.discard(self)
        self._upstream._changed.set()

    def _note_close(self) -> None:
        if not self._is_killed:
            self._upstream.closes.setdefault(self._number, time.monotonic())
        self._gone.set()
        self._upstream._changed.set()

    async def _serve(self) -> None:
        try:
            while not self._gone.is_set():
                await self._run(self._upstream._script_for(await self._read_request()))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._is_killed = self._is_killed or not self._gone.is_set()
            self._writer.close()

    async def _read_request(self) -> SeenRequest:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await self._read_body(headers)
        request = SeenRequest(method, target, headers, body, self._number, time.monotonic())
        self._upstream.requests.append(request)
        self._upstream._changed.set()
        return request

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        if not self._upstream.reads_bodies:
            cast("asyncio.ReadTransport", self._writer.transport).pause_reading()
            return b""
        if headers.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", 0)))
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readuntil(b"\r\n")
        return b"".join(parts)

    async def _run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case bytes():
                    await self._write(step)
                case int() | float():
                    await self._wait(step)
                case asyncio.Event():
                    await self._wait_for(step)
                case Ending():
                    await self._end(step)
                case _:
                    await self._write_all(step)

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _write_all(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if self._gone.is_set():
                break
            await self._write(piece)
            await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except TimeoutError:
            return
        raise ConnectionError("the client has gone")

    async def _wait_for(self, event: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(gate.wait()) for gate in (event, self._gone)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not event.is_set():
            raise ConnectionError("the client has gone")

    async def _end(self, ending: Ending) -> None:
        if not self._upstream.reads_bodies:
            cast("asyncio.ReadTransport", self._writer.transport).resume_reading()
        match ending:
            case Ending.RESET:
                linger = struct.pack("ii", 1, 0)
                self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.kill()
            case Ending.CUT:
                self._is_killed = True
            case Ending.HALF_CLOSE:
                self._writer.write_eof()
                await self._gone.wait()
            case Ending.HANG:
                await self._gone.wait()
        raise ConnectionError("the script is over")


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


def client_certificate() -> bytes:
    """Chain and key (PEM) of a client that servers of these tests know."""
    return bytes(_authority().issue_cert("a-gateway.test").private_key_and_cert_chain_pem.bytes())


@functools.cache
def _server_context(*, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        _authority().configure_trust(context)
    _authority().issue_cert("localhost").configure_cert(context)
    return context


def _usage(text: str) -> dict[str, int]:
    completion_tokens = len(text.split())
    return {"prompt_tokens": 7, "completion_tokens": completion_tokens, "total_tokens": 7 + completion_tokens}


def _envelope(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "upstream-1", "object": kind, "created": 1_700_000_000, "model": asked["model"]}


def _completion(asked: dict[str, Any], text: str, *, is_chat: bool) -> dict[str, Any]:
    content = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    return {
        **_envelope(asked, "chat.completion" if is_chat else "text_completion"),
        "choices": [{"index": 0, **content, "finish_reason": "stop"}],
        "usage": _usage(text),
    }


def _completion_events(asked: dict[str, Any], text: str, *, is_chat: bool) -> Iterator[dict[str, Any]]:
    envelope = _envelope(asked, "chat.completion.chunk" if is_chat else "text_completion")
    has_usage = (asked.get("stream_options") or {}).get("include_usage")
    usage = {"usage": None} if has_usage else {}
    words = [word if index == 0 else f" {word}" for index, word in enumerate(text.split())]
    for index, word in enumerate(words):
        delta = {"role": "assistant", "content": word} if index == 0 else {"content": word}
        content = {"delta": delta} if is_chat else {"text": word}
        yield {**envelope, "choices": [{"index": 0, **content, "finish_reason": None}], **usage}
    nothing: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
    yield {**envelope, "choices": [{"index": 0, **nothing, "finish_reason": "stop"}], **usage}
    if has_usage:
        yield {**envelope, "choices": [], "usage": _usage(text)}


def _embeddings(asked: dict[str, Any], embed: Callable[[str], Sequence[float]]) -> dict[str, Any]:
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    return {
        "object": "list",
        "model": asked["model"],
        "data": [
            {"object": "embedding", "index": index, "embedding": list(embed(text))} for index, text in enumerate(inputs)
        ],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
