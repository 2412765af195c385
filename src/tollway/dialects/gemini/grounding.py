"""Where an answer's text comes from: `groundingMetadata` and `citationMetadata`, and citations of the middle form.

Google counts positions in bytes of UTF-8, the middle form in characters.
Source: https://ai.google.dev/api/generate-content#GroundingMetadata, checked 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from tollway.core.usage import ToolUse, Usage
from tollway.dialects.generation.request import Citation, Json

_encode = msgspec.json.Encoder().encode


class _WebWire(msgspec.Struct, gc=False):
    uri: str | None = None
    title: str | None = None
    text: str | None = None


class _ChunkWire(msgspec.Struct, gc=False, rename="camel"):
    web: _WebWire | None = None
    retrieved_context: _WebWire | None = None
    maps: _WebWire | None = None


class _SegmentWire(msgspec.Struct, gc=False, rename="camel"):
    start_index: int = 0
    end_index: int = 0


class _SupportWire(msgspec.Struct, gc=False, rename="camel"):
    segment: _SegmentWire | None = None
    grounding_chunk_indices: list[int] = []


class _GroundingWire(msgspec.Struct, gc=False, rename="camel"):
    grounding_chunks: list[_ChunkWire] = []
    grounding_supports: list[_SupportWire] = []


class _QueriesWire(msgspec.Struct, gc=False, rename="camel"):
    web_search_queries: list[str] | None = None


class _SourceWire(msgspec.Struct, gc=False, rename="camel"):
    start_index: int = 0
    end_index: int = 0
    uri: str | None = None
    title: str | None = None


class _CitationsWire(msgspec.Struct, gc=False, rename="camel"):
    citation_sources: list[_SourceWire] = []
    citations: list[_SourceWire] = []
    """What Vertex AI calls them."""


_decode_grounding = msgspec.json.Decoder(_GroundingWire, strict=False).decode
_decode_queries = msgspec.json.Decoder(_QueriesWire).decode
_decode_citations = msgspec.json.Decoder(_CitationsWire, strict=False).decode


def read_citations(text: str, grounding: Json | None, sources: Json | None) -> list[Citation]:
    """The citations of a text. What cannot be read is left out."""
    found: list[Citation] = []
    try:
        if grounding is not None:
            found += _grounded(text.encode(), _decode_grounding(grounding))
        if sources is not None:
            wire = _decode_citations(sources)
            found += [_source(text.encode(), each) for each in (*wire.citation_sources, *wire.citations)]
    except msgspec.DecodeError:
        pass
    return found


def _grounded(text: bytes, wire: _GroundingWire) -> list[Citation]:
    found: list[Citation] = []
    for support in wire.grounding_supports:
        segment = support.segment or _SegmentWire(0, len(text))
        for number in support.grounding_chunk_indices:
            if not 0 <= number < len(wire.grounding_chunks):
                continue
            chunk = wire.grounding_chunks[number]
            page = chunk.web or chunk.retrieved_context or chunk.maps or _WebWire()
            found.append(
                Citation(
                    url=page.uri,
                    title=page.title,
                    cited_text=page.text,
                    start=_characters(text, segment.start_index),
                    end=_characters(text, segment.end_index),
                    origin="gemini",
                    raw=Json(b"{}"),
                )
            )
    return found


def _source(text: bytes, wire: _SourceWire) -> Citation:
    start, end = _characters(text, wire.start_index), _characters(text, wire.end_index)
    return Citation(url=wire.uri, title=wire.title, start=start, end=end, origin="gemini", raw=Json(b"{}"))


def _characters(text: bytes, position: int) -> int:
    return len(text[:position].decode("utf-8", "ignore"))


class Grounding:
    """Collects the citations of one answer, to be written as `groundingMetadata`."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], int] = {}
        self._supports: list[dict[str, Any]] = []

    def add(self, citation: Citation, text: str, part: int) -> None:
        """A citation of the part number `part`, whose text is `text` so far."""
        if citation.url is None:
            return
        page = (citation.url, citation.title or "")
        number = self._pages.setdefault(page, len(self._pages))
        start = 0 if citation.start is None else citation.start
        end = len(text) if citation.end is None else citation.end
        segment: dict[str, Any] = {"partIndex": part} if part else {}
        first = len(text[:start].encode())
        segment |= {"startIndex": first} if first else {}
        segment |= {"endIndex": len(text[:end].encode()), "text": text[start:end]}
        self._supports.append({"segment": segment, "groundingChunkIndices": [number]})

    def metadata(self) -> Json | None:
        """`groundingMetadata`; None if nothing was cited."""
        if not self._supports:
            return None
        chunks = [{"web": {"uri": url, **({"title": title} if title else {})}} for url, title in self._pages]
        return Json(_encode({"groundingChunks": chunks, "groundingSupports": self._supports}))


def search_queries(grounding: msgspec.Raw) -> frozenset[str]:
    """What was searched for in the web, by `groundingMetadata`."""
    try:
        return frozenset(_decode_queries(grounding).web_search_queries or ())
    except msgspec.DecodeError:
        return frozenset()


def with_searches(usage: Usage, queries: Collection[str]) -> Usage:
    """The usage with these searches: each is billed once, however often the stream repeats it."""
    return msgspec.structs.replace(usage, tools=ToolUse(web_searches=len(queries))) if queries else usage
