"""Content blocks, read into parts of the middle form and written from them: the same in requests and answers."""

from __future__ import annotations

import re
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
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    split_data_url,
)
from tollway.dialects.generation.seals import read_seal, write_seal
from tollway.dialects.messages.wire import NULL, UNREADABLE, Block

OWN = "anthropic"
"""Whose seals these are."""

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")

_encode = msgspec.json.Encoder().encode


def read_blocks(raw: msgspec.Raw, path: str) -> list[Part]:
    """Content: a text, or blocks. Raises `InvalidRequest` naming the block that is wrong."""
    try:
        content: str | list[Block] = msgspec.json.decode(raw, type=str | list[Block])
    except UNREADABLE:
        raise InvalidRequest(f"{path}: must be a string or a list of content blocks.", param="messages") from None
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    return return_seals([_read_valid(block, f"{path}.{number}") for number, block in enumerate(content)])


def _read_valid(block: Block, path: str) -> Part:
    try:
        return _READERS.get(msgspec.json.decode(block["type"], type=str), _opaque)(block, path)
    except KeyError as missing:
        raise InvalidRequest(f"{path}.{missing.args[0]}: Field required", param="messages") from None
    except UNREADABLE as error:
        raise InvalidRequest(f"{path}: {error}", param="messages") from None


def read_block(block: Block) -> Part:
    """One block of an answer. What the middle form has no part for, or cannot be read, stays as it is."""
    try:
        return _READERS.get(text_of(block.get("type")), _opaque)(block, "content")
    except (KeyError, InvalidRequest, msgspec.DecodeError, UnicodeDecodeError):
        return _opaque(block, "content")


def _opaque(block: Block, path: str) -> Part:
    return Opaque(origin="messages", kind=text_of(block.get("type")) or "unknown", raw=msgspec.Raw(_encode(block)))


def return_seals(parts: list[Part]) -> list[Part]:
    """Gives the seals that another vendor put on calls and texts back to them: see `write_seal_of`."""
    if not any(isinstance(part, Thinking) and part.seal is not None and "@" in part.seal.origin for part in parts):
        return parts
    calls = {clean_id(part.id): part for part in parts if isinstance(part, ToolCall)}
    kept: list[Part] = []
    for part in parts:
        if not isinstance(part, Thinking) or part.seal is None or "@" not in part.seal.origin:
            kept.append(part)
            continue
        origin, _, call_id = part.seal.origin.partition("@")
        seal = Seal(origin, part.seal.data)
        last = kept[-1] if kept else None
        if call_id in calls:
            calls[call_id].seal = seal
        elif isinstance(last, Text) and last.seal is None:
            last.seal = seal
        elif not call_id:
            kept.append(Text(text="", seal=seal))
    return kept


def write_seal_of(part: Text | ToolCall, seal: Seal) -> dict[str, Any]:
    """The seal of a call or a text as a block that follows it: Gemini signs those, and there is no slot for it here.

    Its origin is extended by the call's id (`gemini@call_1`), so that it finds back whatever a client does between.
    """
    owner = clean_id(part.id) if isinstance(part, ToolCall) else ""
    return {"type": "redacted_thinking", "data": write_seal(Seal(f"{seal.origin}@{owner}", seal.data), OWN)}


def clean_id(id_: str) -> str:
    """An id in the characters that Anthropic takes; the same for a call and its result."""
    return _NOT_IN_IDS.sub("_", id_) or "_"


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


_SOURCE_FIELDS = {"base64": "data", "url": "url", "file": "file_id", "text": "data"}
"""What the sources of images and documents must have. A document of the kind `content` is itself made of blocks."""
_IN_MEDIA = frozenset({"type", "source", "cache_control", "citations", "title", "context"})


def _media(block: Block, path: str) -> Part:
    kind: MediaKind = "image" if text_of(block["type"]) == "image" else "file"
    source = msgspec.json.decode(block["source"], type=_Source)
    field = _SOURCE_FIELDS.get(source.type)
    if field is None:
        return _opaque(block, path)
    if getattr(source, field) is None:
        raise InvalidRequest(f"{path}.source.{field}: Field required", param="messages")
    citations = msgspec.json.decode(block.get("citations", NULL), type=_Citations | None)
    media = Media(
        kind=kind,
        media_type=source.media_type,
        data=source.data,
        url=source.url,
        file_id=source.file_id,
        title=text_of(block.get("title")) or None,
        context=text_of(block.get("context")) or None,
        wants_citations=citations is not None and citations.enabled,
        cache=cache_hint(block.get("cache_control")),
        extra=rest_of(block, _IN_MEDIA),
    )
    if source.type == "text":
        media.data, media.text = None, source.data
    inline = split_data_url(source.url) if source.url is not None else None
    if inline is not None:
        media.url, media.media_type, media.data = None, *inline
    return media


_IN_CALLS = frozenset({"type", "id", "name", "input", "cache_control"})


def _tool_use(block: Block, path: str) -> Part:
    return ToolCall(
        id=msgspec.json.decode(block["id"], type=str),
        name=msgspec.json.decode(block["name"], type=str),
        arguments=bytes(block.get("input", b"{}")).decode(),
        cache=cache_hint(block.get("cache_control")),
        extra=rest_of(block, _IN_CALLS),
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
    """Thoughts in Anthropic's blocks, another vendor's seal in the place of the signature.

    Anthropic's own may have a signature and no text (`display: omitted`), and must come back like that.
    """
    seal = part.seal
    signature = write_seal(seal, OWN) if seal is not None else ""
    if part.is_redacted or (seal is not None and not part.text and seal.origin != OWN):
        return {"type": "redacted_thinking", "data": signature}
    return {"type": "thinking", "thinking": part.text, "signature": signature}


class _CacheControl(msgspec.Struct, gc=False):
    ttl: str | None = None


def cache_hint(raw: msgspec.Raw | None) -> CacheHint | None:
    """`cache_control`. Raises `msgspec.DecodeError` if it is no object."""
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
    except UNREADABLE:
        return ""


def rest_of(fields: dict[str, msgspec.Raw], read: frozenset[str]) -> dict[str, Json]:
    """The fields that were not read."""
    return {name: raw for name, raw in fields.items() if name not in read}
