"""Content blocks, read into parts of the middle form and written from them: the same in requests and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.generation.request import (
    CacheHint,
    Citation,
    Json,
    Media,
    MediaKind,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollway.dialects.generation.seals import read_seal, write_seal
from tollway.dialects.messages.wire import NULL, Block

OWN = "anthropic"
"""Whose seals these are."""

_encode = msgspec.json.Encoder().encode


def read_blocks(raw: msgspec.Raw, path: str) -> list[Part]:
    """Content: a text, or blocks. Raises `InvalidRequest` naming the block that is wrong."""
    if memoryview(raw)[0] == 0x22:
        text = msgspec.json.decode(raw, type=str)
        return [Text(text=text)] if text else []
    try:
        blocks = msgspec.json.decode(raw, type=list[Block])
    except msgspec.DecodeError:
        raise InvalidRequest(f"{path}: must be a string or a list of content blocks.", param="messages") from None
    return [read_block(block, f"{path}.{number}") for number, block in enumerate(blocks)]


def read_block(block: Block, path: str = "content") -> Part:
    """One block; one of a type that the middle form has no part for stays as it is."""
    kind = text_of(block.get("type"))
    reader = _READERS.get(kind)
    if reader is None:
        return Opaque(origin="messages", kind=kind or "unknown", raw=msgspec.Raw(_encode(block)))
    try:
        return reader(block, path)
    except KeyError as missing:
        raise InvalidRequest(f"{path}.{missing.args[0]}: Field required", param="messages") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{path}: {error}", param="messages") from None


def _text(block: Block, path: str) -> Part:
    citations = block.get("citations", NULL)
    found = msgspec.json.decode(citations, type=list[msgspec.Raw] | None)
    return Text(
        text=msgspec.json.decode(block["text"], type=str),
        cache=cache_hint(block.get("cache_control")),
        citations=tuple(read_citation(each) for each in found or ()),
    )


class _Source(msgspec.Struct, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = NULL


class _Citations(msgspec.Struct, gc=False):
    enabled: bool = False


def _media(block: Block, path: str) -> Part:
    kind: MediaKind = "image" if text_of(block["type"]) == "image" else "file"
    source = msgspec.json.decode(block["source"], type=_Source)
    if source.type == "content":  # a document that is itself made of blocks
        return Opaque(origin="messages", kind="document", raw=msgspec.Raw(_encode(block)))
    citations = msgspec.json.decode(block.get("citations", NULL), type=_Citations | None)
    is_text = source.type == "text"
    return Media(
        kind=kind,
        media_type=source.media_type,
        data=None if is_text else source.data,
        text=source.data if is_text else None,
        url=source.url,
        file_id=source.file_id,
        title=text_of(block.get("title")) or None,
        context=text_of(block.get("context")) or None,
        wants_citations=citations is not None and citations.enabled,
        cache=cache_hint(block.get("cache_control")),
    )


def _tool_use(block: Block, path: str) -> Part:
    return ToolCall(
        id=msgspec.json.decode(block["id"], type=str),
        name=msgspec.json.decode(block["name"], type=str),
        arguments=bytes(block.get("input", b"{}")).decode(),
        cache=cache_hint(block.get("cache_control")),
    )


def _tool_result(block: Block, path: str) -> Part:
    content = block.get("content", NULL)
    return ToolResult(
        call_id=msgspec.json.decode(block["tool_use_id"], type=str),
        parts=[] if content == NULL else read_blocks(content, f"{path}.content"),
        is_error=bool(msgspec.json.decode(block.get("is_error", NULL), type=bool | None)),
        cache=cache_hint(block.get("cache_control")),
    )


def _thinking(block: Block, path: str) -> Part:
    signature = text_of(block.get("signature"))
    return Thinking(
        text=text_of(block.get("thinking")),
        seal=read_seal(signature, OWN) if signature else None,
    )


def _redacted(block: Block, path: str) -> Part:
    return Thinking(seal=read_seal(msgspec.json.decode(block["data"], type=str), OWN), is_redacted=True)


_READERS: dict[str, Callable[[Block, str], Part]] = {
    "text": _text,
    "image": _media,
    "document": _media,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


class _CitationWire(msgspec.Struct, gc=False):
    type: str = ""
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


def read_citation(raw: msgspec.Raw) -> Citation:
    """A citation of any of the kinds; search results and pages of the web have an address."""
    wire = msgspec.json.decode(raw, type=_CitationWire)
    return Citation(
        url=wire.url or wire.source,
        title=wire.title or wire.document_title,
        cited_text=wire.cited_text,
        origin="messages",
        raw=raw,
    )


def write_citation(citation: Citation) -> Json | dict[str, Any] | None:
    """A citation; those of other formats as pages of the web, None where they have no address."""
    if citation.origin == "messages":
        return citation.raw
    if citation.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or "",
        "cited_text": citation.cited_text or "",
        "encrypted_index": "",
    }


def write_thinking(part: Thinking) -> dict[str, Any]:
    """Thoughts in Anthropic's blocks, another vendor's seal in the place of the signature."""
    signature = write_seal(part.seal, OWN) if part.seal is not None else ""
    if part.is_redacted or (not part.text and signature):
        return {"type": "redacted_thinking", "data": signature}
    return {"type": "thinking", "thinking": part.text, "signature": signature}


class _CacheControl(msgspec.Struct, gc=False):
    ttl: str | None = None


def cache_hint(raw: msgspec.Raw | None) -> CacheHint | None:
    """`cache_control`."""
    if raw is None or raw == NULL:
        return None
    ttl = msgspec.json.decode(raw, type=_CacheControl).ttl
    return CacheHint("1h" if ttl == "1h" else "5m" if ttl == "5m" else None)


def write_cache(hint: CacheHint | None) -> dict[str, Any]:
    """`cache_control` as fields to add; none where there is no hint."""
    if hint is None:
        return {}
    ttl = {"ttl": hint.ttl} if hint.ttl is not None else {}
    return {"cache_control": {"type": "ephemeral", **ttl}}


def text_of(raw: msgspec.Raw | None) -> str:
    """A text; empty for anything else."""
    if raw is None:
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""
