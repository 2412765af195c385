"""Amazon's binary event stream (application/vnd.amazon.eventstream), read from bytes that may be split anywhere.

A frame is: total length and length of the headers (32 bits each, big-endian), CRC-32 of these eight bytes, headers,
payload, CRC-32 of all before it. https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

import msgspec

_LONGEST_FRAME = 24 * 1024 * 1024
"""Longest payload that Amazon's own clients read."""
_MOST_KNOWN_HEADERS = 64

_PRELUDE = struct.Struct(">III")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")
_AROUND = _PRELUDE.size + _U32.size
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by type, where that is fixed; 6 and 7, bytes and text, begin with their length."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message."""

    headers: Mapping[str, str]
    """Those whose values are texts."""
    payload: bytes


class FrameReader:
    """Cuts a stream into frames."""

    __slots__ = ("_known", "_rest", "_wanted", "fault")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0
        self._known: dict[bytes, dict[str, str]] = {}
        """Headers that were read already: those of one kind of event are always the same bytes."""
        self.fault: str | None = None
        """Why the stream cannot be read any further."""

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame is waiting for its rest."""
        return not self._rest

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete. After a `fault` there are no more."""
        if self.fault is not None:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
        frames: list[Frame] = []
        start, size = 0, len(data)
        self._wanted = _AROUND
        while size - start >= _AROUND:
            total, headers_size, checksum = _PRELUDE.unpack_from(data, start)
            if crc32(data[start : start + 8]) != checksum or not headers_size + _AROUND <= total <= _LONGEST_FRAME:
                self.fault = "a frame of the event stream has a damaged prelude"
                break
            end = start + total
            if end > size:
                self._wanted = total
                break
            if crc32(data[start : end - 4]) != _U32.unpack_from(data, end - 4)[0]:
                self.fault = "a frame of the event stream has a wrong checksum"
                break
            payload_at = start + 12 + headers_size
            headers = self._headers(data[start + 12 : payload_at])
            if headers is None:
                break
            frames.append(Frame(headers, data[payload_at : end - 4]))
            start = end
        self._rest = bytearray(data[start:])
        return frames

    def _headers(self, block: bytes) -> dict[str, str] | None:
        headers = self._known.get(block)
        if headers is None:
            try:
                headers = _read_headers(block)
            except (LookupError, ValueError, struct.error):
                self.fault = "a frame of the event stream has headers that cannot be read"
                return None
            if len(self._known) < _MOST_KNOWN_HEADERS:
                self._known[block] = headers
        return headers


def _read_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        name = block[at + 1 : name_end]
        kind = block[name_end]
        at = name_end + 1
        length = _SIZES.get(kind)
        if length is None:
            (length,) = _U16.unpack_from(block, at)
            at += 2
        if at + length > len(block):
            raise ValueError("a header is longer than all of them")
        if kind == _STRING:
            headers[name.decode()] = block[at : at + length].decode()
        at += length
    return headers
