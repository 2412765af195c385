from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.dialects.sse import Event, EventReader

EXPECTED = [(b"", b'{"a":1}'), (b"ping", b"x"), (b"", b"one\ntwo"), (b"", b'{"b":2}'), (b"", b"")]


def written(newlines: list[bytes]) -> bytes:
    """The same events, each with its own kind of newline."""
    lines = [
        [b'data: {"a":1}'],
        [b": comment"],
        [b"event: ping", b"data:x"],
        [b"data: one", b"data: two"],
        [b'data: {"b":2}'],
        [b"id: 1"],
        [b"data:"],
    ]
    return b"".join(newline.join([*event, b""]) + newline for event, newline in zip(lines, newlines, strict=True))


def read(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    assert reader.rest == b""
    return events + reader.end()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_events(newline: bytes) -> None:
    assert read(written([newline] * 7)) == EXPECTED


@given(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=7, max_size=7), st.data())
def test_newlines_may_be_mixed_and_split_anywhere(newlines: list[bytes], data: st.DataObject) -> None:
    body = written(newlines)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=6))
    places = sorted({0, *cuts, len(body)})
    assert read(*(body[start:end] for start, end in pairwise(places))) == EXPECTED


def test_a_last_event_without_its_blank_line() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\r\n\r\ndata: b") == [(b"", b"a")]
    assert reader.rest == b"data: b"
    assert reader.end() == [(b"", b"b")]
