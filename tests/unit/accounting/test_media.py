from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.accounting.media import (
    IMAGE_RULES,
    Size,
    audio_tokens,
    file_tokens,
    image_rule,
    image_size,
    image_tokens,
    media_maximum,
)


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def jpeg(width: int, height: int) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", 10) + bytes(8)
    huffman = b"\xff\xc4" + struct.pack(">H", 4) + bytes(2)
    return b"\xff\xd8" + exif + huffman + b"\xff\xc2" + struct.pack(">HBHH", 11, 8, height, width) + bytes(6)


def webp(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + rest


def picture(data: bytes, **fields: Any) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": url, **fields}}


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(640, 480), (640, 480)),
        (b"GIF89a" + struct.pack("<HH", 10, 20), (10, 20)),
        (jpeg(1920, 1080), (1920, 1080)),
        (webp(b"VP8 ", bytes(6) + struct.pack("<HH", 300, 200)), (300, 200)),
        (webp(b"VP8L", b"\x2f" + struct.pack("<I", 299 | 199 << 14)), (300, 200)),
        (webp(b"VP8X", bytes(4) + (299).to_bytes(3, "little") + (199).to_bytes(3, "little")), (300, 200)),
        (webp(b"ALPH", bytes(20)), None),
        (jpeg(1920, 1080)[:12], None),
        (b"\xff\xd8\x00\x00", None),
        (png(1, 1)[:18], None),
        (b"<svg/>", None),
        (b"", None),
    ],
)
def test_a_pictures_size_is_read_from_its_head(data: bytes, size: Size | None) -> None:
    assert image_size(data) == size


@pytest.mark.parametrize(
    ("model", "size", "detail", "expected"),
    [
        # OpenAI's own examples, "Calculating costs".
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4.1-mini", (1024, 1024), "high", 1659),
        # The rules, by hand.
        ("gpt-4o-mini", (1024, 1024), "auto", 2833 + 4 * 5667),
        ("gpt-4o", (100, 100), "high", 85 + 170),
        ("gpt-5-2025-08-07", (512, 512), "high", 70 + 140),
        ("gpt-5-mini", (32, 32), "high", 2),
        ("gpt-5-nano", (4000, 4000), "high", 3779),
        ("o3", (512, 512), "high", 75 + 150),
        ("o4-mini", (2000, 4000), "low", 221),
        ("claude-sonnet-4-5", (1000, 1000), "auto", 1334),
        ("claude-opus-5", (8000, 8000), "auto", 4784),
        ("gemini-2.5-pro", (200, 200), "auto", 258),
        ("nobody-knows", (320, 320), "auto", 100),
    ],
)
def test_pictures_cost_what_the_vendors_rules_say(model: str, size: Size, detail: str, expected: int) -> None:
    assert image_rule(model).tokens(size, detail) == expected


@given(
    st.sampled_from([rule for _, rule in IMAGE_RULES] + [image_rule("nobody-knows")]),
    st.tuples(st.integers(1, 100_000), st.integers(1, 100_000)),
    st.sampled_from(["low", "high", "auto", "original"]),
)
def test_no_picture_costs_more_than_its_rules_maximum(rule: Any, size: Size, detail: str) -> None:
    assert 0 < rule.tokens(size, detail) <= rule.maximum


def test_a_picture_is_measured_where_it_is_at_hand_and_assumed_typical_elsewhere() -> None:
    assert image_tokens(picture(png(512, 512)), "gpt-4o") == 85 + 170
    assert image_tokens(picture(png(4096, 8192), detail="low"), "gpt-4o") == 85
    assert image_tokens({"image_url": {"url": "https://example.com/cat.png"}}, "gpt-4o") == 765
    assert image_tokens(picture(b"no picture"), "gpt-4o") == 765
    assert image_tokens(picture(png(0, 7)), "gpt-4o") == 765
    assert (
        image_tokens(
            {"image_url": {"url": "data:image/png;base64,\N{SNOWMAN}\N{SNOWMAN}\N{SNOWMAN}\N{SNOWMAN}"}}, "gpt-4o"
        )
        == 765
    )
    assert image_tokens({"image_url": None}, "gpt-4o") == 765


def test_sound_counts_by_its_seconds() -> None:
    header = b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<IHHII", 16, 1, 1, 24_000, 48_000)
    wave = base64.b64encode(header + bytes(480_000)).decode()

    assert audio_tokens({"input_audio": {"data": wave, "format": "wav"}}) == 101
    assert audio_tokens({"input_audio": {"data": base64.b64encode(bytes(80_000)).decode()}}) == 101
    assert audio_tokens({"input_audio": {}}) == 0


def test_sound_with_an_absurd_header_stays_within_its_maximum() -> None:
    header = b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<IHHII", 16, 1, 1, 1, 1)
    part = {"input_audio": {"data": base64.b64encode(header + bytes(100_000)).decode()}}
    maximum = media_maximum(part, "gpt-audio")
    assert maximum is not None

    assert audio_tokens(part) <= maximum[0]


def test_a_file_counts_by_its_size_and_one_page_elsewhere() -> None:
    assert file_tokens({"file": {"file_id": "file-1"}}) == 2_000
    assert file_tokens({"file": {"file_data": base64.b64encode(bytes(120_000)).decode()}}) == 6_000
    assert file_tokens({"file": {"file_data": "A" * 100_000_000}}) == 200_000


def test_text_and_strangers_have_no_maximum_of_their_own() -> None:
    assert media_maximum({"type": "text", "text": "hello"}, "gpt-4o") is None
    assert media_maximum({}, "gpt-4o") is None
