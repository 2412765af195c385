"""The bytes of an answer, split in every way, without a network."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.errors import Header, UpstreamError
from tollway.core.snapshot import Endpoint, Origin, Timeouts
from tollway.ports.transport import UpstreamRequest
from tollway.upstream.connection import Connection
from tollway.upstream.response import HIGH_WATER_BYTES, DirectResponse

REQUEST = UpstreamRequest(
    endpoint=Endpoint(origin=Origin("http", "vendor.test", 80), target="/", headers=()),
    body=b"{}",
    timeouts=Timeouts(),
    max_response_bytes=1_000_000,
)


class Wire(asyncio.Transport):
    """The far end of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False
        self.reads = True

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class Keeper:
    """Takes back connections that can be used again."""

    server = "vendor.test"

    def __init__(self) -> None:
        self.kept: list[Connection] = []

    def release(self, connection: Connection) -> None:
        self.kept.append(connection)

    def forget(self, connection: Connection) -> None:
        pass


class Exchange:
    """One request on a new connection."""

    def __init__(self, request: UpstreamRequest = REQUEST) -> None:
        self.wire = Wire()
        self.keeper = Keeper()
        self.connection = Connection(self.keeper, asyncio.get_running_loop())
        self.connection.connection_made(self.wire)
        self.response: DirectResponse = self.connection.send(b"POST ...", request)

    def feed(self, data: bytes) -> None:
        """As the event loop does: nothing more arrives once the connection is closed."""
        if not self.wire.is_closed:
            self.connection.data_received(data)

    def end(self) -> None:
        if not self.wire.is_closed:
            self.connection.eof_received()
        self.connection.connection_lost(None)

    async def outcome(self) -> tuple[int, list[Header], bytes, str | None, bool]:
        """Status, headers, body, error and whether the connection was kept."""
        parts = []
        error = None
        try:
            while part := await self.response.next_chunk():
                parts.append(part)
        except UpstreamError as failed:
            error = failed.message
        return self.response.status, list(self.response.headers), b"".join(parts), error, bool(self.keeper.kept)


async def _outcome(answer: bytes, cuts: tuple[int, ...]) -> tuple[int, list[Header], bytes, str | None, bool]:
    exchange = Exchange()
    for start, end in zip((0, *cuts), (*cuts, len(answer)), strict=True):
        exchange.feed(answer[start:end])
    exchange.end()
    return await exchange.outcome()


def outcome(answer: bytes, *cuts: int) -> tuple[int, list[Header], bytes, str | None, bool]:
    return asyncio.run(_outcome(answer, cuts))


OK = b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(b"text" * 9) + RAW.flush()
ANSWERS = {
    "length": OK + b"Content-Length: 4\r\n\r\nbody",
    "nothing": b"HTTP/1.1 204 No Content\r\nx: 1\r\n\r\n",
    "chunks": CHUNKED + b"4;ext=1\r\nbody\r\n2\r\n!!\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
    + OK
    + b"content-length: 1\r\n\r\n.",
    "until close": OK + b"Connection: close\r\n\r\nbody",
    "closing": OK + b"Connection: close\r\nContent-Length: 4\r\n\r\nbody",
    "gzip": OK + b"content-encoding: gzip\r\ncontent-length: 24\r\n\r\n" + gzip.compress(b"text", mtime=0),
    "raw deflate": CHUNKED[:-2] + b"content-encoding: deflate\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(DEFLATED), DEFLATED),
    "cut length": OK + b"Content-Length: 5\r\n\r\nbody",
    "cut chunks": CHUNKED + b"4\r\nbody\r\n",
    "cut gzip": OK + b"content-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + gzip.compress(b"text", mtime=0)[:20],
    "no answer": b"",
    "half a head": OK,
    "bad chunk": CHUNKED + b"4\r\nbody\r\nzz\r\n",
    "leftovers": OK + b"Content-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
    "garbage after": OK + b"Content-Length: 4\r\n\r\nbodyX",
    "unannounced end": OK + b"\r\nbody",
    "two framings": OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
}
KEPT = {"length", "nothing", "chunks", "interim", "gzip", "raw deflate", "cut gzip"}
BODIES = {"gzip": b"text", "raw deflate": b"text" * 9, "chunks": b"body!!", "interim": b".", "nothing": b""}
FAILING = {
    "cut length": "cut before its end",
    "cut chunks": "cut before its end",
    "cut gzip": "cut before its end",
    "no answer": "without an answer",
    "half a head": "without an answer",
    "bad chunk": "malformed",
    "unannounced end": "neither a length nor a closing connection",
    "two framings": "malformed",
}


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in FAILING])
def test_proper_answers_are_understood(name: str) -> None:
    status, headers, body, error, _ = outcome(ANSWERS[name])
    assert error is None
    assert body == BODIES.get(name, b"body")
    assert status == (204 if name == "nothing" else 200)
    assert (b"x-request-id", b"r1") in headers or name == "nothing"


@pytest.mark.parametrize(("name", "message"), FAILING.items())
def test_improper_answers_are_refused(name: str, message: str) -> None:
    assert message in (outcome(ANSWERS[name])[3] or "")


@pytest.mark.parametrize("name", ANSWERS)
def test_splitting_an_answer_anywhere_changes_nothing(name: str) -> None:
    answer = ANSWERS[name]
    whole = outcome(answer)
    assert whole[4] is (name in KEPT)
    for at in range(len(answer) + 1):
        split = outcome(answer, at)
        # What follows an answer may arrive once the connection is idle again; it is closed then.
        assert split[:4] == whole[:4]
    assert outcome(answer, *range(len(answer)))[:4] == whole[:4]


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_splitting_an_answer_into_any_pieces_changes_nothing(name: str, data: st.DataObject) -> None:
    answer = ANSWERS[name]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    assert outcome(answer, *cuts)[:4] == outcome(answer)[:4]


@given(st.binary(max_size=300))
def test_no_bytes_are_taken_for_a_clean_end(noise: bytes) -> None:
    """Whatever a server sends, an answer without a proper end raises, and nothing else than our own error."""
    assert outcome(CHUNKED + b"4\r\nbody\r\nzz" + noise)[3] is not None


async def test_a_burst_of_chunks_is_one_chunk() -> None:
    exchange = Exchange()
    exchange.feed(CHUNKED + b"2\r\nab\r\n2\r\ncd\r\n")
    exchange.feed(b"2\r\nef\r\n")
    assert await exchange.response.next_chunk() == b"abcdef"


async def test_an_event_is_handed_on_without_a_turn_of_the_loop() -> None:
    exchange = Exchange()
    exchange.feed(CHUNKED)
    seen: list[bytes] = []

    def sink(data: bytes) -> bool:
        seen.append(data)
        return True

    forwarding = asyncio.ensure_future(exchange.response.forward(sink))
    await asyncio.sleep(0)
    for event in (b"one", b"two"):
        exchange.feed(b"3\r\n%b\r\n" % event)
        assert seen[-1] == event
    exchange.feed(b"0\r\n\r\n")
    assert await forwarding
    assert exchange.keeper.kept


async def test_an_answer_that_is_handed_on_is_late_only_when_it_is_silent() -> None:
    exchange = Exchange()
    exchange.feed(CHUNKED)
    forwarding = asyncio.ensure_future(exchange.response.forward(lambda _: True))
    await asyncio.sleep(0)
    quiet_since = asyncio.get_running_loop().time()
    await asyncio.sleep(0.01)
    exchange.feed(b"3\r\none\r\n")
    limit = REQUEST.timeouts.between_chunks
    exchange.connection.sweep(quiet_since + limit + 0.005)
    assert not forwarding.done()
    exchange.connection.sweep(quiet_since + limit + 1.0)
    with pytest.raises(UpstreamError, match="the next bytes"):
        await forwarding


async def test_reading_pauses_above_the_high_water_mark_and_goes_on_below_it() -> None:
    exchange = Exchange()
    exchange.feed(OK + b"Content-Length: 900000\r\n\r\n")
    exchange.feed(b"x" * HIGH_WATER_BYTES)
    assert exchange.wire.reads
    exchange.feed(b"x")
    assert not exchange.wire.reads
    assert len(await exchange.response.next_chunk()) == HIGH_WATER_BYTES + 1
    assert exchange.wire.reads


async def test_a_paused_connection_reads_again_before_it_is_kept() -> None:
    exchange = Exchange()
    exchange.feed(OK + b"Content-Length: 300001\r\n\r\n" + b"x" * 300_000)
    assert not exchange.wire.reads
    exchange.feed(b"x")  # was on its way in the event loop
    assert exchange.wire.reads
    assert exchange.keeper.kept == [exchange.connection]
    assert len(await exchange.response.read()) == 300_001


async def test_a_reset_is_a_cut_although_the_end_was_to_be_a_close() -> None:
    exchange = Exchange()
    exchange.feed(ANSWERS["until close"])
    exchange.connection.connection_lost(ConnectionResetError())
    assert "cut before its end" in (await exchange.outcome())[3]  # type: ignore[operator]


async def test_trailers_without_end_are_refused() -> None:
    exchange = Exchange()
    exchange.feed(CHUNKED + b"4\r\nbody\r\n0\r\n")
    for number in range(1_000):
        exchange.feed(b"x-%d: %b\r\n" % (number, b"y" * 100))
    assert exchange.wire.is_closed
    assert "malformed" in ((await exchange.outcome())[3] or "")


async def test_an_unfinished_header_does_not_fill_the_memory() -> None:
    exchange = Exchange()
    exchange.feed(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(1_000):
        exchange.feed(b"y" * 100)
    assert exchange.wire.is_closed


@pytest.mark.parametrize(("hint", "is_kept"), [(b"timeout=5, max=100", True), (b"timeout=1", False), (b"max=9", True)])
async def test_a_server_says_how_long_it_keeps_connections(hint: bytes, is_kept: bool) -> None:
    exchange = Exchange()
    exchange.feed(OK + b"Keep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % hint)
    assert bool(exchange.keeper.kept) is is_kept
    exchange.connection.sweep(1_000.0)
    exchange.connection.sweep(1_003.9)
    assert exchange.wire.is_closed is not is_kept
    exchange.connection.sweep(1_004.1 if b"timeout" in hint else 1_055.1)
    assert exchange.wire.is_closed


async def test_an_error_before_a_long_request_was_read_ends_the_connection() -> None:
    exchange = Exchange()
    exchange.feed(OK + b"Content-Length: 0\r\n\r\n")
    exchange.connection.send(b"x" * 100_000, REQUEST)
    exchange.feed(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert exchange.wire.is_closed
    assert len(exchange.keeper.kept) == 1
