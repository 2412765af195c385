"""Frames of Amazon's binary event stream, as Bedrock sends them."""

from __future__ import annotations

import json
import struct
from typing import Any
from zlib import crc32


def text_header(name: str, value: str) -> bytes:
    raw = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(raw)) + raw


def frame(headers: bytes, payload: bytes) -> bytes:
    """One message around ready-made headers."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def event(name: str, **fields: Any) -> bytes:
    """An event of that name."""
    headers = text_header(":event-type", name) + text_header(":content-type", "application/json")
    return frame(headers + text_header(":message-type", "event"), json.dumps(fields).encode())


def exception(name: str, **fields: Any) -> bytes:
    """An exception of that name."""
    headers = text_header(":exception-type", name) + text_header(":content-type", "application/json")
    return frame(headers + text_header(":message-type", "exception"), json.dumps(fields).encode())
