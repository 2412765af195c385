"""Content codings of answers. We ask for none, but some servers compress all the same."""

from __future__ import annotations

import zlib
from typing import Protocol


class Decoder(Protocol):
    """Turns the bytes of a body into what was meant."""

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        """Decodes, at most one byte more than `max_bytes`. Raises `ValueError` for broken data."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the coded data is complete."""
        ...


class ZlibDecoder:
    """gzip (RFC 1952, several members allowed), and deflate with or without its zlib wrapper (RFC 1950, 1951)."""

    _GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
    _RAW = -zlib.MAX_WBITS

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(self._GZIP_OR_ZLIB)
        self._start: bytes | None = b""
        """The first bytes, until there are enough to tell the format; then None."""

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        """The decoded bytes of the next piece."""
        if self._start is not None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return b""
            self._start = None
            self._inflater = zlib.decompressobj(self._format_of(data))
        parts = []
        while data and max_bytes >= 0:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(self._GZIP_OR_ZLIB)
            try:
                part = self._inflater.decompress(data, max_bytes + 1)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            parts.append(part)
            max_bytes -= len(part)
            data = self._inflater.unused_data
        return b"".join(parts)

    @property
    def is_finished(self) -> bool:
        """True before the first byte: an empty body needs no decoding."""
        return self._inflater.eof or self._start == b""

    def _format_of(self, start: bytes) -> int:
        """Some servers say `deflate` and leave out its wrapper, whose first bytes are a multiple of 31 (RFC 1950)."""
        is_gzip = start[:2] == b"\x1f\x8b"
        is_zlib = start[0] & 0x0F == zlib.DEFLATED and int.from_bytes(start[:2], "big") % 31 == 0
        return self._GZIP_OR_ZLIB if is_gzip or is_zlib else self._RAW


def decoder_for(coding: bytes) -> Decoder | None:
    """The decoder of a `Content-Encoding`; None where nothing is to be done. Raises `ValueError` for unknown ones."""
    match coding.strip().lower():
        case b"" | b"identity":
            return None
        case b"gzip" | b"x-gzip" | b"deflate":
            return ZlibDecoder()
        case other:
            raise ValueError(f"content encoding {other.decode('latin-1')!r} was not asked for")
