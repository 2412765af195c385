"""What every `Transport` promises, held against a real server over TCP and TLS."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.faulty_upstream import (
    CONTINUE,
    CUT,
    HALF_CLOSE,
    HANG,
    LAST_CHUNK,
    RESET,
    FaultyUpstream,
    Step,
    chunk,
    chunked_head,
    client_certificate,
    endless,
    error,
    head,
    refused_url,
    response,
    sse,
    stream,
)

from tollway.core.errors import InvalidRequest, Misconfigured, UpstreamError
from tollway.core.snapshot import Endpoint, Origin, Timeouts
from tollway.ports.transport import Sink, Transport, UpstreamRequest, UpstreamResponse
from tollway.upstream.direct import DirectTransport
from tollway.upstream.proxied import ProxiedTransport

SHORT = 0.1
"""A timeout that is meant to pass; everything else has far more time than it needs."""


@pytest.fixture(params=["direct", "proxied"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    chosen: Transport = (
        DirectTransport(sweep_interval_s=0.01) if request.param == "direct" else ProxiedTransport(proxies={})
    )
    yield chosen
    await chosen.close()


@pytest.fixture(params=["plain", "tls"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(tls=request.param == "tls") as server:
        yield server


def post(
    upstream: FaultyUpstream,
    *,
    body: bytes = b'{"model":"m"}',
    endpoint: Endpoint | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    max_response_bytes: int = 2**20,
    connect: float = 5.0,
    first_byte: float = 5.0,
    between_chunks: float = 5.0,
    total: float = 10.0,
) -> UpstreamRequest:
    timeouts = Timeouts(connect=connect, first_byte=first_byte, between_chunks=between_chunks, total=total)
    return UpstreamRequest(
        endpoint=endpoint or upstream.endpoint(),
        body=body,
        headers=headers,
        timeouts=timeouts,
        max_response_bytes=max_response_bytes,
    )


async def read_all(response: UpstreamResponse) -> bytes:
    """Through `next_chunk`."""
    parts = []
    while part := await response.next_chunk():
        parts.append(part)
    return b"".join(parts)


def keeping(seen: list[bytes]) -> Sink:
    """A sink that takes everything."""

    def sink(data: bytes) -> bool:
        seen.append(data)
        return True

    return sink


async def call(transport: Transport, request: UpstreamRequest) -> bytes:
    response = await transport.send(request)
    try:
        return await response.read()
    finally:
        response.close()


async def failure_of(transport: Transport, request: UpstreamRequest) -> UpstreamError:
    """The error of a call that must not succeed, whether it fails before the head or after it."""
    with pytest.raises(UpstreamError) as caught:
        await call(transport, request)
    return caught.value


# What is sent


async def test_a_request_arrives_as_it_was_meant(transport: Transport, upstream: FaultyUpstream) -> None:
    endpoint = upstream.endpoint("/v1/chat/completions?api-version=2%2B", (("Authorization", "Bearer sk-1"),))
    await call(transport, post(upstream, endpoint=endpoint, body=b'{"model":"m","n":1}', headers=(("X-Trace", "t1"),)))
    [seen] = upstream.requests
    assert (seen.method, seen.target, seen.body) == (
        "POST",
        "/v1/chat/completions?api-version=2%2B",
        b'{"model":"m","n":1}',
    )
    assert seen.headers["host"] == upstream.url.partition("://")[2]
    assert seen.headers["authorization"] == "Bearer sk-1"
    assert seen.headers["x-trace"] == "t1"
    assert seen.headers["content-length"] == "19"
    assert seen.headers["accept-encoding"] == "identity"
    assert "content-type" not in seen.headers
    assert "cookie" not in seen.headers


async def test_cookies_and_redirects_of_a_server_are_not_followed(
    transport: Transport, upstream: FaultyUpstream
) -> None:
    upstream.reply(head(302, location="/v1/elsewhere", set_cookie="session=1; Path=/", content_length="0"))
    first = await transport.send(post(upstream))
    assert (first.status, await first.read()) == (302, b"")
    await call(transport, post(upstream))
    assert len(upstream.requests) == 2
    assert "cookie" not in upstream.requests[1].headers


async def test_a_large_request_arrives_whole(transport: Transport, upstream: FaultyUpstream) -> None:
    body = b'{"model":"m","x":"%b"}' % (b"y" * 3_000_000)
    await call(transport, post(upstream, body=body))
    assert upstream.requests[0].body == body


@pytest.mark.parametrize("header", [("x-a", "1\r\nx-b: 2"), ("x\r\na", "1"), ("x-a", "1\x00"), ("x a", "1")])
async def test_a_header_that_would_smuggle_another_is_refused(transport: Transport, header: tuple[str, str]) -> None:
    async with FaultyUpstream() as upstream:
        with pytest.raises(InvalidRequest):
            await transport.send(post(upstream, headers=(header,)))
        with pytest.raises(InvalidRequest):
            await transport.send(post(upstream, endpoint=upstream.endpoint(headers=(header,))))
        assert not upstream.requests


async def test_a_path_that_would_smuggle_a_request_is_refused(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:
        with pytest.raises(Misconfigured) as caught:
            await transport.send(post(upstream, endpoint=upstream.endpoint("/v1 HTTP/1.1\r\nx: y?key=sk-secret")))
        assert "sk-secret" not in caught.value.message


# Whole answers


async def test_an_answer_is_read_whole(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(response(b'{"ok":true}', 201, x_request_id="r1", keep_alive="timeout=30"))
    answer = await transport.send(post(upstream))
    assert answer.status == 201
    assert dict(answer.headers)[b"x-request-id"] == b"r1"
    assert b"keep-alive" not in dict(answer.headers)
    assert await answer.read() == b'{"ok":true}'


async def test_every_status_is_an_answer(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(error(429, retry_after="7"))
    answer = await transport.send(post(upstream))
    assert answer.status == 429
    assert dict(answer.headers)[b"retry-after"] == b"7"
    assert b"The upstream says no." in await answer.read()


async def test_headers_named_by_connection_stay_behind(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(response(b"{}", connection="keep-alive, X-Private", x_private="1", X_Public="2"))
    answer = await transport.send(post(upstream))
    assert {name for name, _ in answer.headers} == {b"content-type", b"content-length", b"x-public"}
    await answer.read()


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(transport: Transport, upstream: FaultyUpstream, status: int) -> None:
    upstream.reply(head(status, x_a="1"), always=True)
    for _ in range(2):
        answer = await transport.send(post(upstream))
        assert (answer.status, await answer.read()) == (status, b"")
    assert upstream.accepted == 1


async def test_interim_answers_are_skipped(transport: Transport, upstream: FaultyUpstream) -> None:
    early_hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    upstream.reply(CONTINUE, 0.01, early_hints + CONTINUE + response(b"final"), always=True)
    for _ in range(2):
        answer = await transport.send(post(upstream))
        assert (answer.status, await answer.read()) == (200, b"final")
        assert b"link" not in dict(answer.headers)
    assert upstream.accepted == 1


async def test_a_body_of_many_pieces_is_joined(transport: Transport, upstream: FaultyUpstream) -> None:
    pieces = [bytes([65 + index]) * 70_000 for index in range(12)]
    upstream.reply(*stream(*pieces))
    assert await call(transport, post(upstream)) == b"".join(pieces)


async def test_a_body_that_ends_with_the_announced_close_is_whole(
    transport: Transport, upstream: FaultyUpstream
) -> None:
    upstream.reply(head(200, connection="close") + b"all ", 0.01, b"of it", CUT)
    answer = await transport.send(post(upstream))
    assert await answer.read() == b"all of it"
    assert getattr(answer, "has_explicit_end") is False  # noqa: B009 - not part of the port


async def test_http_1_0_ends_with_the_close(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(b"HTTP/1.0 200 OK\r\n\r\nold", CUT)
    assert await call(transport, post(upstream)) == b"old"


# Streams


async def test_chunks_arrive_as_they_are_sent(transport: Transport, upstream: FaultyUpstream) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    steps: list[Step] = [chunked_head()]
    for index, gate in enumerate(gates):
        steps += (gate, chunk(b"event %d\n\n" % index))
    upstream.reply(*steps, LAST_CHUNK)
    answer = await transport.send(post(upstream))
    for index, gate in enumerate(gates):
        gate.set()
        assert await answer.next_chunk() == b"event %d\n\n" % index
    assert await answer.next_chunk() == b""
    assert await answer.next_chunk() == b""


async def test_a_burst_is_one_chunk(transport: Transport, upstream: FaultyUpstream) -> None:
    events = sse(*({"n": n} for n in range(54)))
    upstream.reply(*stream(*events))
    answer = await transport.send(post(upstream))
    assert await answer.next_chunk() == b"".join(events)
    assert await answer.next_chunk() == b""


async def test_chunks_are_handed_on_as_they_arrive(transport: Transport, upstream: FaultyUpstream) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    steps: list[Step] = [chunked_head()]
    for index, gate in enumerate(gates):
        steps += (gate, chunk(b"event %d\n\n" % index))
    upstream.reply(*steps, LAST_CHUNK)
    answer = await transport.send(post(upstream))
    seen: list[bytes] = []

    def sink(data: bytes) -> bool:
        seen.append(data)
        if len(seen) < len(gates):
            gates[len(seen)].set()
        return True

    gates[0].set()
    assert await answer.forward(sink)
    assert seen == [b"event %d\n\n" % index for index in range(3)]


async def test_who_wants_no_more_gets_the_rest_later(transport: Transport, upstream: FaultyUpstream) -> None:
    go_on = asyncio.Event()
    upstream.reply(chunked_head() + chunk(b"first"), 0.02, chunk(b"second"), go_on, chunk(b"third"), LAST_CHUNK)
    answer = await transport.send(post(upstream))
    seen: list[bytes] = []

    def is_enough(data: bytes) -> bool:
        seen.append(data)
        return False

    assert not await answer.forward(is_enough)
    assert not await answer.forward(is_enough)
    assert seen == [b"first", b"second"]
    go_on.set()
    while not await answer.forward(is_enough):
        pass
    assert seen == [b"first", b"second", b"third"]


@pytest.mark.parametrize("is_first", [True, False])
async def test_what_a_sink_raises_comes_out_where_one_waits(
    transport: Transport, upstream: FaultyUpstream, is_first: bool
) -> None:
    upstream.reply(chunked_head() + chunk(b"first"), 0.02, chunk(b"second"), 0.02, chunk(b"third"), LAST_CHUNK)
    answer = await transport.send(post(upstream))

    def sink(data: bytes) -> bool:
        if is_first or data != b"first":
            raise ZeroDivisionError
        return True

    with pytest.raises(ZeroDivisionError):
        await answer.forward(sink)
    answer.close()


async def test_a_cut_is_raised_behind_what_was_handed_on(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(*CUTS["between chunks"])
    answer = await transport.send(post(upstream))
    seen: list[bytes] = []
    with pytest.raises(UpstreamError, match="was cut"):
        await answer.forward(keeping(seen))
    assert seen == [b"data: 1\n\n"]


async def test_a_coded_body_is_handed_on_decoded(transport: Transport, upstream: FaultyUpstream) -> None:
    coded = gzip.compress(b"text" * 9)
    upstream.reply(head(200, content_encoding="gzip", content_length=str(len(coded))) + coded[:20], 0.02, coded[20:])
    answer = await transport.send(post(upstream))
    seen: list[bytes] = []
    assert await answer.forward(keeping(seen))
    assert b"".join(seen) == b"text" * 9


async def test_cancelling_who_hands_on_closes_the_connection(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(*stream(*[b"x"] * 500, delay_s=0.01))
    answer = await transport.send(post(upstream))
    task = asyncio.ensure_future(answer.forward(lambda _: True))
    await asyncio.sleep(0.05)
    cancelled_at = time.monotonic()
    task.cancel()
    assert await upstream.wait_for_close() - cancelled_at < 0.25
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_slow_reader_makes_the_server_wait(transport: Transport, upstream: FaultyUpstream) -> None:
    written: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(400):
            written.append(number)
            yield chunk(b"x" * 65_536)

    upstream.reply(chunked_head(), pieces(), LAST_CHUNK)
    answer = await transport.send(post(upstream, max_response_bytes=2**26))
    first = await answer.next_chunk()
    while written[-1] != (await asyncio.sleep(0.05, written[-1])):  # until the server stands still
        pass
    assert len(written) < 300  # the rest waits there, not in our memory
    rest = await read_all(answer)
    assert len(first + rest) == 400 * 65_536
    await call(transport, post(upstream))
    assert upstream.accepted == 1


async def test_what_piled_up_for_a_slow_reader_can_be_read_at_once(
    transport: Transport, upstream: FaultyUpstream
) -> None:
    upstream.reply(*stream(*[b"x" * 65_536] * 100))
    answer = await transport.send(post(upstream, max_response_bytes=2**26))
    await asyncio.sleep(0.05)
    assert len(await answer.read()) == 100 * 65_536


# Compression nobody asked for


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "two gzip members"])
@pytest.mark.parametrize("is_stream", [False, True])
async def test_compressed_answers_are_decompressed(
    transport: Transport, upstream: FaultyUpstream, coding: str, is_stream: bool
) -> None:
    text = b"".join(b"data: %d\n\n" % n for n in range(2_000))
    raw = zlib.compressobj(wbits=-15)
    coded = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "raw deflate": raw.compress(text) + raw.flush(),
        "two gzip members": gzip.compress(text[:100]) + gzip.compress(text[100:]),
    }[coding]
    name = "deflate" if "deflate" in coding else "gzip"
    if is_stream:
        pieces = [chunk(coded[at : at + 7]) for at in range(0, len(coded), 7)]
        upstream.reply(chunked_head(content_encoding=name), *pieces, LAST_CHUNK)
    else:
        upstream.reply(response(coded, content_encoding=name))
    answer = await transport.send(post(upstream))
    assert (await read_all(answer) if is_stream else await answer.read()) == text
    assert not {b"content-encoding", b"content-length"} & {name for name, _ in answer.headers}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_compressed_answer_that_stops_early_is_cut(transport: Transport, is_stream: bool) -> None:
    async with FaultyUpstream() as upstream:
        upstream.reply(response(gzip.compress(b"text" * 99)[:-9], content_encoding="gzip"))
        answer = await transport.send(post(upstream))
        with pytest.raises(UpstreamError, match="cut"):
            await (read_all(answer) if is_stream else answer.read())


async def test_broken_and_unknown_compression_is_refused(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:
        upstream.reply(response(b"\x1f\x8bnonsense", content_encoding="gzip"))
        assert "malformed" in (await failure_of(transport, post(upstream))).message
        upstream.reply(response(b"...", content_encoding="br"))
        assert "'br'" in (await failure_of(transport, post(upstream))).message


async def test_a_small_answer_cannot_blow_up_in_memory(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:
        upstream.reply(response(gzip.compress(bytes(2**24)), content_encoding="gzip"))
        assert (
            "larger than 1,000,000 bytes"
            in (await failure_of(transport, post(upstream, max_response_bytes=1_000_000))).message
        )


# Size


async def test_an_answer_may_be_as_large_as_allowed_and_no_larger(
    transport: Transport, upstream: FaultyUpstream
) -> None:
    upstream.reply(response(b"x" * 100_000))
    assert len(await call(transport, post(upstream, max_response_bytes=100_000))) == 100_000
    upstream.reply(response(b"x" * 100_001))
    failed = await failure_of(transport, post(upstream, max_response_bytes=100_000))
    assert failed.message == f"The answer of {upstream.url.partition('://')[2]} is larger than 100,000 bytes."
    assert (failed.status, failed.is_retryable) == (500, False)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_endless_answer_is_stopped(transport: Transport, upstream: FaultyUpstream, is_stream: bool) -> None:
    upstream.reply(chunked_head(), endless(b"x" * 10_000))
    answer = await transport.send(post(upstream, max_response_bytes=1_000_000))
    with pytest.raises(UpstreamError, match="larger than"):
        await (read_all(answer) if is_stream else answer.read())
    await upstream.wait_for_close()


# Answers that are cut


CUTS: dict[str, list[Step]] = {
    "in a chunk": [chunked_head() + b"ff\r\ndata: 1\n\n", CUT],
    "in a chunk size": [chunked_head() + chunk(b"data: 1\n\n") + b"f", CUT],
    "between chunks": [chunked_head() + chunk(b"data: 1\n\n"), CUT],
    "before the last line": [chunked_head() + chunk(b"data: 1\n\n") + b"0\r\n", CUT],
    "by a reset": [chunked_head() + chunk(b"data: 1\n\n"), 0.05, RESET],
    "short of its length": [response(b"data: 1\n\n+")[:-1], CUT],
    "by a half-closed connection": [chunked_head() + chunk(b"data: 1\n\n"), HALF_CLOSE],
}


@pytest.mark.parametrize("how", [name for name in CUTS if name != "by a half-closed connection"])
async def test_a_cut_answer_never_ends_cleanly(transport: Transport, upstream: FaultyUpstream, how: str) -> None:
    upstream.reply(*CUTS[how])
    failed = await failure_of(transport, post(upstream))
    assert "was cut before its end" in failed.message
    assert (failed.status, failed.type, failed.upstream_status) == (500, "internal_server_error", 200)
    assert failed.is_retryable


async def test_a_half_closed_connection_is_a_cut(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:  # TLS has no half-closed connections
        upstream.reply(*CUTS["by a half-closed connection"])
        assert "was cut before its end" in (await failure_of(transport, post(upstream))).message


@pytest.mark.parametrize("how", ["in a chunk", "between chunks", "short of its length"])
async def test_what_came_before_a_cut_is_delivered_first(
    transport: Transport, upstream: FaultyUpstream, how: str
) -> None:
    upstream.reply(*CUTS[how])
    answer = await transport.send(post(upstream))
    assert await answer.next_chunk() == b"data: 1\n\n"
    for _ in range(2):
        with pytest.raises(UpstreamError, match="was cut"):
            await answer.next_chunk()


# Answers that are not HTTP, or could be read in two ways


MALFORMED = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a broken status": b"HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 0\r\n\r\n",
    "a null byte in a header": b"HTTP/1.1 200 OK\r\nx: \x00\r\ncontent-length: 0\r\n\r\n",
    "two lengths": head(200, content_length="2")[:-2] + b"content-length: 3\r\n\r\nabc",
    "a length that is no number": head(200, content_length="-1") + b"abc",
    "length and chunks": head(200, transfer_encoding="chunked", content_length="3") + b"3\r\nabc\r\n0\r\n\r\n",
    "another transfer coding": head(200, transfer_encoding="gzip") + b"abc",
    "no end that could be seen": b"HTTP/1.1 200 OK\r\n\r\nabc",
    "a switch of protocols": head(101, upgrade="websocket", connection="upgrade"),
    "a long head": head(200, content_length="9", **{f"x-{n}": "y" * 1_000 for n in range(100)}),
    "one long header": head(200, content_length="9", x="y" * 100_000),
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_malformed_heads_are_refused(transport: Transport, what: str) -> None:
    async with FaultyUpstream() as upstream:
        upstream.reply(MALFORMED[what], HANG)
        failed = await failure_of(transport, post(upstream))
        assert "malformed" in failed.message
        assert (failed.status, failed.type) == (500, "internal_server_error")
        await upstream.wait_for_close()


async def test_a_malformed_chunk_is_refused(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(chunked_head() + chunk(b"data: 1\n\n"), 0.02, b"zz\r\n", HANG)
    answer = await transport.send(post(upstream))
    assert await answer.next_chunk() == b"data: 1\n\n"
    with pytest.raises(UpstreamError) as caught:
        await answer.next_chunk()
    assert (caught.value.status, caught.value.upstream_status) == (500, 200)
    await upstream.wait_for_close()


async def test_bytes_after_an_answer_are_no_answer(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(response(b"mine") + response(b"nobody's"), always=True)
    assert [await call(transport, post(upstream)) for _ in range(3)] == [b"mine"] * 3
    assert upstream.accepted == 3


async def test_bytes_between_two_calls_are_no_answer(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(response(b"mine"), 0.01, response(b"nobody's"), HANG)
    assert await call(transport, post(upstream)) == b"mine"
    await asyncio.sleep(0.05)
    upstream.reply(response(b"mine, too"))
    assert await call(transport, post(upstream)) == b"mine, too"
    await upstream.wait_for_close()


# No answer at all


async def test_a_refused_connection_says_so(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:
        port = int(refused_url().rpartition(":")[2])
        nobody = Endpoint(origin=Origin("http", "127.0.0.1", port), target="/x?key=sk-secret", headers=())
        failed = await failure_of(transport, post(upstream, endpoint=nobody))
    assert failed.message == f"No connection to 127.0.0.1:{port}: connection refused."
    assert (failed.status, failed.type, failed.error_class) == (500, "internal_server_error", "APIConnectionError")
    assert failed.is_retryable
    assert failed.upstream_status == 0


async def test_an_unknown_host_says_so(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:
        nowhere = Endpoint(origin=Origin("http", "no-such-host.invalid", 80), target="/", headers=())
        failed = await failure_of(transport, post(upstream, endpoint=nowhere))
    assert failed.message == "No connection to no-such-host.invalid: its name cannot be resolved."


@pytest.mark.parametrize("ending", [CUT, RESET])
async def test_a_server_that_hangs_up_gave_no_answer(
    transport: Transport, upstream: FaultyUpstream, ending: Step
) -> None:
    upstream.reply(ending)
    failed = await failure_of(transport, post(upstream))
    assert "closed the connection without an answer" in failed.message
    assert (failed.status, failed.error_class, failed.is_retryable) == (500, "APIConnectionError", True)
    assert len(upstream.requests) == 1  # a fresh connection: never asked twice


async def test_half_a_head_is_no_answer(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(b"HTTP/1.1 200 OK\r\nx: ", 0.02, CUT)
    failed = await failure_of(transport, post(upstream))
    assert (failed.status, failed.is_retryable) == (500, True)


# Certificates


async def test_an_unknown_certificate_authority_is_not_trusted(transport: Transport) -> None:
    async with FaultyUpstream(tls=True) as upstream:
        origin = upstream.origin
        stranger = Endpoint(origin=Origin("https", origin.host, origin.port), target="/", headers=())
        failed = await failure_of(transport, post(upstream, endpoint=stranger))
    assert "its certificate was not accepted" in failed.message


async def test_a_certificate_for_another_host_is_not_trusted(transport: Transport) -> None:
    async with FaultyUpstream(tls=True) as upstream:
        origin = upstream.origin
        other = Endpoint(origin=Origin("https", "127.0.0.1", origin.port, upstream.ca_bundle), target="/", headers=())
        failed = await failure_of(transport, post(upstream, endpoint=other))
    assert "its certificate was not accepted" in failed.message


async def test_certificates_are_not_checked_where_that_was_asked_for(transport: Transport) -> None:
    async with FaultyUpstream(tls=True) as upstream:
        upstream.reply(response(b"fine"))
        origin = Origin("https", "127.0.0.1", upstream.origin.port, verify=False)
        trusting = Endpoint(origin=origin, target="/", headers=())
        assert await call(transport, post(upstream, endpoint=trusting)) == b"fine"


async def test_a_missing_bundle_is_named(transport: Transport) -> None:
    async with FaultyUpstream(tls=True) as upstream:
        origin = Origin("https", "localhost", upstream.origin.port, "/nowhere/ca.pem")
        with pytest.raises(Misconfigured, match=r"/nowhere/ca\.pem"):
            await call(transport, post(upstream, endpoint=Endpoint(origin=origin, target="/", headers=())))


async def test_a_server_that_asks_who_calls_is_shown_a_certificate(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(client_certificate())
    async with FaultyUpstream(tls=True, asks_for_certificates=True) as upstream:
        for kind in (DirectTransport, ProxiedTransport):
            shown, unknown = kind(certificate=str(own)), kind()
            try:
                upstream.reply(response(b"welcome"))
                assert await call(shown, post(upstream)) == b"welcome"
                with pytest.raises(UpstreamError):
                    await call(unknown, post(upstream))
            finally:
                await shown.close()
                await unknown.close()


async def test_a_certificate_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    async with FaultyUpstream(tls=True) as upstream:
        transport = DirectTransport(certificate=str(empty))
        with pytest.raises(Misconfigured, match=r"empty\.pem"):
            await call(transport, post(upstream))
        await transport.close()


# Time


async def test_a_first_byte_that_does_not_come_in_time(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(HANG)
    failed = await failure_of(transport, post(upstream, first_byte=SHORT))
    host = upstream.url.partition("://")[2]
    assert failed.message == f"Request timed out: the first byte of the answer took longer than 0.1 s ({host})."
    assert (failed.status, failed.type, failed.error_class) == (408, "invalid_request_error", "Timeout")
    assert failed.is_retryable
    await upstream.wait_for_close()


async def test_a_head_that_trickles_in_does_not_count_as_an_answer(
    transport: Transport, upstream: FaultyUpstream
) -> None:
    trickle: list[Step] = [CONTINUE, 0.02]
    upstream.reply(*trickle * 500)
    assert (await failure_of(transport, post(upstream, first_byte=SHORT))).status == 408


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_stream_that_stalls(transport: Transport, upstream: FaultyUpstream, is_stream: bool) -> None:
    upstream.reply(chunked_head() + chunk(b"data: 1\n\n"), HANG)
    answer = await transport.send(post(upstream, between_chunks=SHORT))
    with pytest.raises(UpstreamError) as caught:
        await (read_all(answer) if is_stream else answer.read())
    assert "the next bytes of the answer took longer than 0.1 s" in caught.value.message
    assert (caught.value.status, caught.value.error_class, caught.value.upstream_status) == (408, "Timeout", 200)
    await upstream.wait_for_close()


@pytest.mark.parametrize("is_stream", [False, True])
async def test_steady_progress_is_no_stall(transport: Transport, upstream: FaultyUpstream, is_stream: bool) -> None:
    upstream.reply(*stream(*[b"x"] * 20, delay_s=0.02))
    answer = await transport.send(post(upstream, between_chunks=0.2))
    assert await (read_all(answer) if is_stream else answer.read()) == b"x" * 20


async def test_a_reader_who_takes_time_is_no_stall(transport: Transport, upstream: FaultyUpstream) -> None:
    gate = asyncio.Event()
    upstream.reply(chunked_head() + chunk(b"1"), gate, chunk(b"2") + LAST_CHUNK)
    answer = await transport.send(post(upstream, between_chunks=SHORT))
    assert await answer.next_chunk() == b"1"
    await asyncio.sleep(3 * SHORT)
    gate.set()
    assert await answer.next_chunk() == b"2"
    assert await answer.next_chunk() == b""


async def test_the_whole_answer_has_a_limit(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(*stream(*[b"x"] * 500, delay_s=0.01))
    failed = await failure_of(transport, post(upstream, total=2 * SHORT))
    assert "the whole answer took longer than 0.2 s" in failed.message
    assert (failed.status, failed.upstream_status) == (408, 200)
    await upstream.wait_for_close()


async def test_the_whole_answer_has_a_limit_before_it_begins(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(HANG)
    failed = await failure_of(transport, post(upstream, total=SHORT))
    assert "the whole answer took longer than 0.1 s" in failed.message


async def test_a_handshake_that_never_ends(transport: Transport) -> None:
    async with FaultyUpstream() as upstream:  # waits for a request line that TLS does not send
        silent = Endpoint(origin=Origin("https", "127.0.0.1", upstream.origin.port), target="/", headers=())
        failed = await failure_of(transport, post(upstream, endpoint=silent, connect=SHORT))
        assert "connecting took longer than 0.1 s" in failed.message
        assert (failed.status, failed.error_class) == (408, "Timeout")


# Connections


async def test_calls_in_turn_share_a_connection(transport: Transport, upstream: FaultyUpstream) -> None:
    for _ in range(5):
        await call(transport, post(upstream))
    assert upstream.accepted == 1


async def test_streams_give_their_connection_back(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(*stream(b"a", b"b"), always=True)
    for _ in range(3):
        assert await read_all(await transport.send(post(upstream))) == b"ab"
    assert upstream.accepted == 1


async def test_many_calls_at_once_reuse_connections(transport: Transport, upstream: FaultyUpstream) -> None:
    # 200 TLS handshakes at once, for both sides, take a busy machine longer than any other connection here takes.
    request = post(upstream, connect=60.0, first_byte=60.0, total=60.0)

    async def calls() -> None:
        for _ in range(5):
            assert b"Hello" in await call(transport, request)

    await asyncio.gather(*(calls() for _ in range(200)))
    assert len(upstream.requests) == 1_000
    assert upstream.accepted <= 200
    assert upstream.open_connections <= 200


async def test_answers_never_reach_another_call(transport: Transport, upstream: FaultyUpstream) -> None:
    async def embed(count: int) -> None:
        body = b'{"model":"m","input":[%b]}' % b",".join([b'"x"'] * count)
        endpoint = upstream.endpoint("/v1/embeddings")
        assert (await call(transport, post(upstream, endpoint=endpoint, body=body))).count(b'"embedding"') == count * 2

    await asyncio.gather(*(embed(1 + n % 17) for n in range(300)))


@pytest.mark.parametrize("ending", [CUT, RESET])
async def test_a_kept_connection_that_proves_dead_is_replaced_silently(
    transport: Transport, upstream: FaultyUpstream, ending: Step
) -> None:
    upstream.reply(response(b"one"))
    upstream.reply(ending)
    upstream.reply(response(b"three"))
    assert await call(transport, post(upstream)) == b"one"
    assert await call(transport, post(upstream)) == b"three"
    assert [seen.connection for seen in upstream.requests] == [0, 0, 1]


async def test_a_call_is_moved_to_a_fresh_connection_only_once(transport: Transport, upstream: FaultyUpstream) -> None:
    await call(transport, post(upstream))
    upstream.reply(CUT, always=True)
    assert (await failure_of(transport, post(upstream))).error_class == "APIConnectionError"
    assert len(upstream.requests) == 3


async def test_a_server_may_close_idle_connections(transport: Transport, upstream: FaultyUpstream) -> None:
    await asyncio.gather(*(call(transport, post(upstream)) for _ in range(10)))
    upstream.drop_idle()
    await asyncio.gather(*(call(transport, post(upstream)) for _ in range(10)))


async def test_a_server_may_close_after_each_answer_without_a_word(
    transport: Transport, upstream: FaultyUpstream
) -> None:
    upstream.reply(response(b"ok"), CUT, always=True)
    for _ in range(5):
        assert await call(transport, post(upstream)) == b"ok"


async def test_an_announced_close_is_respected(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(response(b"ok", connection="close"), HANG, always=True)
    for _ in range(2):
        assert await call(transport, post(upstream)) == b"ok"
    assert upstream.accepted == 2
    await upstream.wait_for_close(0)


async def test_an_early_answer_does_not_poison_its_connection(transport: Transport, upstream: FaultyUpstream) -> None:
    """A server may refuse a large body before it has read it; the rest of that body must not become a request."""
    upstream.reads_bodies = False
    upstream.reply(response(b"too large", 413), HANG, always=True)
    for _ in range(2):
        answer = await transport.send(post(upstream, body=b"x" * 20_000_000))
        assert (answer.status, await answer.read()) == (413, b"too large")
    assert [seen.connection for seen in upstream.requests] == [0, 1]


# Going away


async def test_cancelling_a_call_closes_its_connection_at_once(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(HANG)
    task = asyncio.ensure_future(transport.send(post(upstream)))
    await upstream.wait_for_requests(1)
    cancelled_at = time.monotonic()
    task.cancel()
    closed_at = await upstream.wait_for_close()
    assert closed_at - cancelled_at < 0.25
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("is_stream", [False, True])
async def test_cancelling_a_read_closes_its_connection_at_once(
    transport: Transport, upstream: FaultyUpstream, is_stream: bool
) -> None:
    upstream.reply(chunked_head() + chunk(b"data: 1\n\n"), HANG)
    answer = await transport.send(post(upstream))
    task = asyncio.ensure_future(read_all(answer) if is_stream else answer.read())
    await asyncio.sleep(0.02)
    cancelled_at = time.monotonic()
    task.cancel()
    assert await upstream.wait_for_close() - cancelled_at < 0.25
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_early_closes_the_connection_at_once(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(*stream(*[b"x"] * 500, delay_s=0.01))
    answer = await transport.send(post(upstream))
    await answer.next_chunk()
    closed_at = time.monotonic()
    answer.close()
    answer.close()
    assert await upstream.wait_for_close() - closed_at < 0.25
    await call(transport, post(upstream))
    assert upstream.accepted == 2


async def test_closing_after_the_end_keeps_the_connection(transport: Transport, upstream: FaultyUpstream) -> None:
    first = await transport.send(post(upstream))
    await first.read()
    first.close()
    upstream.reply(*stream(b"a", b"b", delay_s=0.01))
    second = await transport.send(post(upstream))
    first.close()  # idempotent, even while another call is on the connection
    assert await read_all(second) == b"ab"
    assert upstream.accepted == 1


async def test_closing_the_transport_closes_every_connection(transport: Transport, upstream: FaultyUpstream) -> None:
    upstream.reply(HANG, path="/hang")
    task = asyncio.ensure_future(transport.send(post(upstream, endpoint=upstream.endpoint("/hang"))))
    await upstream.wait_for_requests(1)
    await call(transport, post(upstream))
    await transport.close()
    await upstream.wait_for_close(0)
    await upstream.wait_for_close(1)
    with pytest.raises(UpstreamError):
        await task
