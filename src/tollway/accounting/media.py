"""Tokens of what is not text: images, audio, files. Published rules where there are any, documented maxima for all.

Estimates serve calls whose provider reports no usage; maxima serve admission, which may reserve too much, not too
little. Rules checked 2026-11: OpenAI `platform.openai.com/docs/guides/images-vision` ("Calculating costs"), Anthropic
`platform.claude.com/docs/en/build-with-claude/vision`, Gemini `ai.google.dev/gemini-api/docs/tokens` and
`…/media-resolution`.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from math import ceil
from typing import Any, Protocol

import msgspec

Size = tuple[int, int]
"""Width and height in pixels."""

TYPICAL_SIZE: Size = (1024, 1024)
"""Assumed of an image that cannot be looked at, because it is somewhere else."""


class ImageRule(Protocol):
    """How a family of models turns pixels into tokens."""

    @property
    def maximum(self) -> int:
        """Tokens of the dearest image there can be."""
        ...

    def tokens(self, size: Size, detail: str) -> int:
        """Tokens of an image; `detail` is `low`, `high`, `original` or `auto`."""
        ...


class Tiles(msgspec.Struct, frozen=True):
    """OpenAI: fitted into 2,048 px squared, the shorter side to 768 px, cut into tiles of 512 px."""

    base: int
    per_tile: int

    @property
    def maximum(self) -> int:
        """A strip of 2,048 by 768 px has eight tiles."""
        return self.base + 8 * self.per_tile

    def tokens(self, size: Size, detail: str) -> int:
        """Base plus tiles; the base alone where the caller asks for low detail."""
        if detail == "low":
            return self.base
        width, height = size
        scale = min(1, 2048 / max(width, height))
        scale *= min(1, 768 / (min(width, height) * scale))
        tiles = ceil(round(width * scale, 3) / 512) * ceil(round(height * scale, 3) / 512)
        return self.base + min(tiles, 8) * self.per_tile


class Patches(msgspec.Struct, frozen=True):
    """OpenAI: patches of 32 px, scaled down to a budget of patches, times a factor of the model."""

    factor: float
    budget: int = 1536
    maximum_factor: float = 0.0
    """For the maximum, where the family's factors are not published one by one."""

    @property
    def maximum(self) -> int:
        """The whole budget."""
        return ceil(self.budget * max(self.factor, self.maximum_factor))

    def tokens(self, size: Size, detail: str) -> int:
        """Patches within the budget, times the factor; 512 px squared at low detail."""
        width, height = size
        if detail == "low":
            scale = min(1.0, 512 / max(width, height))
            width, height = ceil(width * scale), ceil(height * scale)
        return ceil(min(ceil(width / 32) * ceil(height / 32), self.budget) * self.factor)


class Area(msgspec.Struct, frozen=True):
    """Anthropic and Gemini: tokens in proportion to the area, within limits."""

    pixels_per_token: int
    minimum: int
    maximum: int

    def tokens(self, size: Size, detail: str) -> int:
        """The area's tokens; `detail` has no meaning here."""
        return min(max(ceil(size[0] * size[1] / self.pixels_per_token), self.minimum), self.maximum)


_LARGEST_FACTOR = 2.46
_UNPUBLISHED = Patches(1.0, budget=10_000, maximum_factor=_LARGEST_FACTOR)
"""OpenAI's newest take up to 10,000 patches (`detail: original`). Nobody else's images are dearer: Qwen-VL's limit is
16,384 tokens."""

IMAGE_RULES: tuple[tuple[re.Pattern[str], ImageRule], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"gpt-4o-mini", Tiles(2833, 5667)),
        (r"gpt-(4\.1|5)-mini", Patches(1.62)),
        (r"gpt-(4\.1|5)-nano", Patches(2.46)),
        (r"o4-mini", Patches(1.72)),
        (r"gpt-5(?!\.)", Tiles(70, 140)),
        (r"(gpt-|chatgpt-)4(o|\.1|\.5|-turbo|-vision)", Tiles(85, 170)),
        (r"(^|/)o[13]($|-)", Tiles(75, 150)),
        (r"computer-use", Tiles(65, 129)),
        (r"claude", Area(750, 1, 4784)),
        (r"gemini", Area(768 * 768 // 258, 258, ceil(10_000 * _LARGEST_FACTOR))),
    )
)
"""By model name, the first that fits; `_UNPUBLISHED` for all others."""

DEAREST_IMAGE = max(rule.maximum for _, rule in IMAGE_RULES)
"""Where the model is not known."""

AUDIO_TOKENS_PER_SECOND = 10
"""OpenAI: one token for 100 ms. Estimates."""
AUDIO_MAX_TOKENS_PER_SECOND = 32
"""Gemini's rate, the highest published. Maxima."""
AUDIO_MIN_BASE64_PER_SECOND = 1000
"""6 kbit/s, the lowest rate of the codecs that vendors accept (Opus; MP3 starts at 8), in base64 characters."""
AUDIO_REFERENCE_MAXIMUM = 16_384
"""An earlier answer referred to by id: the longest that OpenAI's audio models give."""
FILE_MAX_PAGES = 100
"""OpenAI and Anthropic refuse longer PDF files."""
PAGE_MAX_TOKENS = 3_000 + 4_784
"""Anthropic: up to 3,000 tokens of text a page, and its picture."""
PAGE_TOKENS = 2_000
PAGE_BYTES = 50_000
"""A typical page, for estimates."""
VIDEO_MAXIMUM = 3600 * 300
"""Gemini: an hour, its longest, at about 300 tokens a second."""


def image_rule(model: str) -> ImageRule:
    """The rule for a model's images."""
    name = model.lower()
    return next((rule for pattern, rule in IMAGE_RULES if pattern.search(name)), _UNPUBLISHED)


def media_maximum(part: Mapping[str, Any], model: str) -> tuple[int, int] | None:
    """The most tokens a content part can cost, and how many bytes of it are payload that is not read as text.

    None for a part that is text, or that is not known to be anything else.
    """
    if "image_url" in part:
        dearest = image_rule(model).maximum if model else DEAREST_IMAGE
        return dearest, len(_payload(part["image_url"], "url"))
    if "input_audio" in part:
        size = len(_payload(part["input_audio"], "data"))
        seconds = size // AUDIO_MIN_BASE64_PER_SECOND + 1
        return seconds * AUDIO_MAX_TOKENS_PER_SECOND, size
    if "file" in part:
        size = len(_payload(part["file"], "file_data"))
        return max(FILE_MAX_PAGES * PAGE_MAX_TOKENS, size), size
    if "video_url" in part:
        return VIDEO_MAXIMUM, len(_payload(part["video_url"], "url"))
    return _other_maximum(part, model)


def _other_maximum(part: Mapping[str, Any], model: str) -> tuple[int, int] | None:
    """The same for the parts of other formats: Anthropic's sources, the Responses API's inputs, Gemini's blobs."""
    kind = part.get("type")
    if kind in ("image", "document") and isinstance(part.get("source"), dict):
        source = part["source"]
        if source.get("type") in ("text", "content"):
            return None
        size = len(_payload(source, "data"))
        return _maximum_of("image/" if kind == "image" else "application/", size, model), size
    if kind == "input_image":
        return _maximum_of("image/", 0, model), 0
    if kind == "input_file":
        size = len(_payload(part, "file_data"))
        return _maximum_of("application/", size, model), size
    for name in ("inlineData", "inline_data", "fileData", "file_data"):
        blob = part.get(name)
        if isinstance(blob, dict):
            size = len(_payload(blob, "data"))
            media_type = blob.get("mimeType") or blob.get("mime_type") or ""
            return _maximum_of(str(media_type), size, model), size
    return None


def _maximum_of(media_type: str, size: int, model: str) -> int:
    """Most tokens of a payload of `size` base64 characters; 0: it is elsewhere."""
    match media_type.partition("/")[0]:
        case "image":
            return image_rule(model).maximum if model else DEAREST_IMAGE
        case "audio" if size:
            return (size // AUDIO_MIN_BASE64_PER_SECOND + 1) * AUDIO_MAX_TOKENS_PER_SECOND
        case "audio" | "video":
            return VIDEO_MAXIMUM
    return max(FILE_MAX_PAGES * PAGE_MAX_TOKENS, size)


def image_tokens(part: Mapping[str, Any], model: str) -> int:
    """An estimate for an `image_url` part: by the model's rule, and the picture's size where the part holds it."""
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, dict) else None
    data = _decoded(_payload(image, "url"))
    size = image_size(data) if data else None
    if size is None or 0 in size:
        size = TYPICAL_SIZE
    return image_rule(model).tokens(size, detail if isinstance(detail, str) else "auto")


def audio_tokens(part: Mapping[str, Any]) -> int:
    """An estimate for an `input_audio` part: its seconds, from the header of a WAV file, else at 64 kbit/s."""
    payload = _payload(part.get("input_audio"), "data")
    header = _decoded(payload[:64]) or b""
    is_wave = header[:4] == b"RIFF" and header[8:12] == b"WAVE"
    bytes_per_second = struct.unpack_from("<I", header, 28)[0] if is_wave and len(header) >= 32 else 8000
    seconds = len(payload) * 3 / 4 / max(bytes_per_second, AUDIO_MIN_BASE64_PER_SECOND * 3 / 4)
    return ceil(seconds * AUDIO_TOKENS_PER_SECOND)


def file_tokens(part: Mapping[str, Any]) -> int:
    """An estimate for a `file` part: typical pages by its size; one page where it is elsewhere."""
    size = len(_payload(part.get("file"), "file_data")) * 3 // 4
    return min(ceil(size / PAGE_BYTES) or 1, FILE_MAX_PAGES) * PAGE_TOKENS


def image_size(data: bytes) -> Size | None:
    """Width and height from the head of a PNG, GIF, WebP or JPEG file; None if that cannot be read."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return struct.unpack_from(">II", data, 16)
        if data[:4] == b"GIF8":
            return struct.unpack_from("<HH", data, 6)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg_size(data)
    except (struct.error, IndexError):
        return None
    return None


def _webp_size(data: bytes) -> Size | None:
    """RFC 9649, sections 2.5 to 2.7."""
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = struct.unpack_from("<I", data, 21)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _jpeg_size(data: bytes) -> Size | None:
    """Walks the segments to the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _payload(container: Any, key: str) -> str:
    """The base64 (or `data:` URL) in a media part; empty where the part only refers to something."""
    value = container.get(key) if isinstance(container, dict) else container
    if not isinstance(value, str):
        return ""
    return "" if key == "url" and not value.startswith("data:") else value


def _decoded(payload: str) -> bytes | None:
    """The start of what base64 holds, enough for any header."""
    encoded = payload.partition(",")[2] if payload.startswith("data:") else payload
    encoded = encoded[:262_144]
    try:
        return b64decode(encoded[: len(encoded) // 4 * 4])
    except (Base64Error, ValueError):
        return None
