"""Amazon's binary event stream: its bytes, its checksums, split anywhere; botocore's reader is the oracle."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.eventstream import event, frame, text_header

from tollway.dialects.eventstream import Frame, FrameReader

# The two messages by which the format's description is usually checked.
EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
JSON = bytes.fromhex(
    "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1"
)


def read(data: bytes, size: int | None = None) -> tuple[list[Frame], str | None]:
    reader = FrameReader()
    step = size or len(data) or 1
    frames = [each for start in range(0, len(data), step) for each in reader.feed(data[start : start + step])]
    return frames, reader.fault


def test_published_messages_are_read() -> None:
    assert read(EMPTY + JSON) == (
        [Frame({}, b""), Frame({"content-type": "application/json"}, b"{'foo':'bar'}")],
        None,
    )


names = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8)
messages = st.lists(
    st.tuples(st.dictionaries(names, st.text(max_size=12), max_size=3), st.binary(max_size=40)), min_size=1, max_size=5
)


@given(messages, st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_frames_are_the_same_however_they_are_split_and_whoever_reads_them(
    sent: list[tuple[dict[str, str], bytes]], size: int
) -> None:
    data = b"".join(frame(b"".join(text_header(*pair) for pair in headers.items()), body) for headers, body in sent)
    frames, fault = read(data, size)
    assert fault is None
    assert [(each.headers, each.payload) for each in frames] == sent
    oracle = EventStreamBuffer()
    oracle.add_data(data)
    assert [(each.headers, each.payload) for each in oracle] == sent


@given(st.integers(0, len(JSON) - 1), st.integers(1, 255), st.integers(1, len(JSON)))
@settings(max_examples=100, deadline=None)
def test_a_damaged_byte_is_never_read_as_something_else(at: int, change: int, size: int) -> None:
    damaged = bytearray(EMPTY + JSON)
    damaged[len(EMPTY) + at] ^= change
    frames, fault = read(bytes(damaged) + EMPTY, size)
    assert frames == [Frame({}, b"")]
    assert fault is not None


def test_after_damage_nothing_more_is_read() -> None:
    reader = FrameReader()
    assert reader.feed(b"\0" * 16) == []
    assert "prelude" in (reader.fault or "")
    assert reader.feed(EMPTY) == []


def test_a_wrong_checksum_is_told_from_a_wrong_prelude() -> None:
    assert "checksum" in (read(JSON[:-1] + b"\0")[1] or "")


def test_headers_of_every_type_are_passed_over_and_texts_are_kept() -> None:
    def header(name: bytes, kind: int, value: bytes) -> bytes:
        return bytes([len(name)]) + name + bytes([kind]) + value

    block = b"".join(
        [
            header(b"a", 0, b""),
            header(b"b", 1, b""),
            header(b"c", 2, b"\1"),
            header(b"d", 3, b"\0\1"),
            header(b"e", 4, b"\0\0\0\1"),
            header(b"f", 5, b"\0" * 8),
            header(b"g", 6, b"\0\2ab"),
            text_header("h", "text"),
            header(b"i", 8, b"\0" * 8),
            header(b"j", 9, b"\0" * 16),
            text_header("k", "last"),
        ]
    )
    assert read(frame(block, b"x")) == ([Frame({"h": "text", "k": "last"}, b"x")], None)


@pytest.mark.parametrize(
    "block", [b"\x05ab", b"\x01a\x07\x00\x09x", b"\x01a\x07\x00", b"\x01a\x07\x00\x01\xff", b"\x01a"]
)
def test_headers_that_cannot_be_read_are_damage(block: bytes) -> None:
    frames, fault = read(frame(block, b""))
    assert frames == []
    assert "headers" in (fault or "")


def test_a_length_beyond_all_bounds_is_damage_and_not_waited_for() -> None:
    prelude = struct.pack(">II", 1 << 31, 0)
    assert "prelude" in (read(prelude + struct.pack(">I", crc32(prelude)) + b"\0" * 4)[1] or "")


def test_a_part_of_a_frame_is_known_to_be_waiting() -> None:
    reader = FrameReader()
    assert reader.is_empty
    reader.feed(JSON[:20])
    assert not reader.is_empty
    assert len(reader.feed(JSON[20:])) == 1
    assert reader.is_empty


def test_headers_of_many_kinds_are_read_though_not_all_are_remembered() -> None:
    data = b"".join(event(f"kind{number}") for number in range(100))
    frames, _ = read(data * 2)
    assert [each.headers[":event-type"] for each in frames] == [f"kind{number}" for number in range(100)] * 2
