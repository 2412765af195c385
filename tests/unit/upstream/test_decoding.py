from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.upstream.decoding import ZlibDecoder, decoder_for


def deflate_raw(text: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(text) + deflater.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zlib": zlib.compress, "raw": deflate_raw}


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=500), st.lists(st.integers(0, 600), max_size=6))
def test_text_comes_back_however_it_is_split(coding: str, text: bytes, cuts: list[int]) -> None:
    coded = CODINGS[coding](text)
    decoder = ZlibDecoder()
    bounds = [0, *sorted(min(cut, len(coded)) for cut in cuts), len(coded)]
    pieces = [coded[start:end] for start, end in itertools.pairwise(bounds)]
    assert b"".join(decoder.feed(piece, 10_000) for piece in pieces) == text
    assert decoder.is_finished


@given(st.sampled_from(sorted(CODINGS)), st.binary(min_size=1, max_size=500), st.data())
def test_a_part_is_never_taken_for_the_whole(coding: str, text: bytes, data: st.DataObject) -> None:
    coded = CODINGS[coding](text)
    part = coded[: data.draw(st.integers(1, len(coded) - 1))]
    decoder = ZlibDecoder()
    decoder.feed(part, 10_000)
    assert not decoder.is_finished


def test_output_stops_one_byte_above_its_limit() -> None:
    assert len(ZlibDecoder().feed(gzip.compress(bytes(10_000_000)), 1_000)) == 1_001


def test_an_empty_body_is_finished() -> None:
    assert ZlibDecoder().is_finished


def test_broken_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="incorrect"):
        ZlibDecoder().feed(gzip.compress(b"text")[:-8] + bytes(8), 100)


@pytest.mark.parametrize("coding", [b"", b"identity", b" Identity "])
def test_identity_needs_no_decoder(coding: bytes) -> None:
    assert decoder_for(coding) is None


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip"])
def test_codings_that_cannot_be_undone_are_named(coding: bytes) -> None:
    with pytest.raises(ValueError, match=coding.decode()):
        decoder_for(coding)
