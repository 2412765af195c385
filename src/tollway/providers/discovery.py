"""Finding a model server on this machine, so that the first start has something real to offer."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import msgspec

MAX_ANSWER_BYTES = 1 << 20


class _Tag(msgspec.Struct):
    name: str


class _Tags(msgspec.Struct):
    """https://docs.ollama.com/api/tags"""

    models: list[_Tag]


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    """https://platform.openai.com/docs/api-reference/models/list"""

    data: list[_Model]


async def discover(base_url: str = "http://127.0.0.1:11434", timeout: float = 0.2) -> list[str]:
    """Names of the models that a server at `base_url` has; empty if none runs there, or none that answers in time.

    Never raises. `timeout` is in seconds and covers everything.
    """
    try:
        async with asyncio.timeout(timeout):
            if (body := await _get(base_url, "/api/tags")) is not None:
                return [tag.name for tag in msgspec.json.decode(body, type=_Tags).models]
            if (body := await _get(base_url, "/v1/models")) is not None:
                return [model.id for model in msgspec.json.decode(body, type=_Models).data]
    except (OSError, EOFError, LookupError, ValueError, asyncio.LimitOverrunError, msgspec.MsgspecError):
        pass  # nobody there, or somebody else: both are the usual case
    return []


async def _get(base_url: str, path: str) -> bytes | None:
    """The body of a 200, None for any other status. HTTP/1.0, so that the answer ends where the connection does."""
    parts = urlsplit(base_url)
    if not parts.hostname:
        return None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=MAX_ANSWER_BYTES)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if head.split(b" ", 2)[1] != b"200":
            return None
        return await _read_body(reader, head)
    finally:
        writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line)
    length = fields.get(b"content-length")
    if length is not None:
        return await reader.readexactly(min(int(length), MAX_ANSWER_BYTES))
    whole = bytearray()
    while len(whole) < MAX_ANSWER_BYTES and (piece := await reader.read(65536)):
        whole += piece
    return bytes(whole)
