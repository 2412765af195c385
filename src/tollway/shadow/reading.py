"""What an answer of a gateway says that can be compared: whole bodies and streams, in every format. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tollway.dialects.sse import EventReader

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_NAME = re.compile(r"[A-Za-z0-9_.$-]{1,40}")
_FREE = frozenset({"arguments", "args", "metadata", "schema", "parameters", "properties", "logprobs", "token_count"})
"""What is in these is said by callers and models, not by a gateway."""
_USAGE = ("usage", "usageMetadata")
_REASONS = ("finish_reason", "finishReason", "stop_reason", "status")
_DEEPEST = 12
_LONGEST = 32 << 20
"""Bytes of an unpacked answer."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway answered."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    seconds: float
    """Until its end."""
    first_byte_s: float = 0.0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What can be compared of it."""

    is_stream: bool
    kinds: tuple[str, ...]
    """Of a stream's events, in order; those alike that follow each other once."""
    shape: Mapping[str, str]
    """Types by JSON path, elements of lists under one; several types are joined."""
    model: str
    reasons: tuple[str, ...]
    """Why the answer ended."""
    usage: Mapping[str, float]
    """Numbers by their path."""
    text: str
    error: str
    """Type and code of an error."""


def read(reply: Reply) -> Reading | None:
    """None for what is no JSON and no stream of it."""
    body = _decoded(reply)
    if body is None:
        return None
    is_stream = reply.headers.get("content-type", "").startswith("text/event-stream")
    try:
        events = list(_events(body)) if is_stream else [("", msgspec.json.decode(body))]
    except (msgspec.DecodeError, RecursionError):
        return None
    documents = [document for _, document in events if document is not None]
    shape: dict[str, set[str]] = {}
    for document in documents:
        _describe(document, "", shape, 0)
    return Reading(
        is_stream=is_stream,
        kinds=tuple(_once(_kind(name, document) for name, document in events)) if is_stream else (),
        shape={path: "|".join(sorted(types)) for path, types in shape.items()},
        model=_first(documents, "model", "modelVersion"),
        reasons=tuple(dict.fromkeys(reason for document in documents for reason in _reasons(document))),
        usage=_usage(documents),
        text="".join(text for document in documents for text in _texts(document)),
        error=next((found for document in documents if (found := _error(document))), ""),
    )


def _decoded(reply: Reply) -> bytes | None:
    encoding = reply.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return reply.body
    if encoding not in ("gzip", "deflate"):
        return None
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(reply.body, _LONGEST)
    except zlib.error:
        return None


def _events(body: bytes) -> Iterator[tuple[str, Any]]:
    """Names and data of server-sent events; None for data that is the end mark."""
    reader = EventReader()
    for name, data in (*reader.feed(body), *reader.end()):
        yield name.decode("utf-8", "replace"), None if data == b"[DONE]" else msgspec.json.decode(data)


def _kind(name: str, document: Any) -> str:
    """What an event is about: its name or type, or the fields of a chat's delta."""
    if document is None:
        return "[DONE]"
    if name or not isinstance(document, dict):
        return name or "?"
    if isinstance(document.get("type"), str):
        return str(document["type"])
    choices = document.get("choices")
    if not isinstance(choices, list):
        return "error" if "error" in document else "event"
    found: list[str] = []
    for choice in choices:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        found += [field for field, value in (delta or {}).items() if value not in (None, "")]
        found += ["finish_reason"] if isinstance(choice, dict) and choice.get("finish_reason") else []
    found += ["usage"] if document.get("usage") else []
    return "+".join(sorted(set(found))) or "empty"


def _once(kinds: Iterable[str]) -> Iterator[str]:
    last = None
    for kind in kinds:
        if kind != last:
            yield kind
        last = kind


def _describe(value: Any, path: str, shape: dict[str, set[str]], depth: int) -> None:
    shape.setdefault(path or "$", set()).add(_type(value))
    if depth >= _DEEPEST:
        return
    if isinstance(value, dict):
        # A tool's input is an object that the model made.
        is_tool = value.get("type") == "tool_use"
        for name, inner in value.items():
            known = name if _NAME.fullmatch(name) else "*"
            below = f"{path}.{known}" if path else known
            if name in _FREE or (is_tool and name == "input"):
                shape.setdefault(below, set()).add(_type(inner))
            else:
                _describe(inner, below, shape, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _describe(inner, f"{path}[]", shape, depth + 1)


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _places(document: Any) -> list[dict[str, Any]]:
    """Where a format may put what is said of the whole answer: at the top, or in a `message` or `response`."""
    if not isinstance(document, dict):
        return []
    inner = (document.get(name) for name in ("message", "response", "delta"))
    return [document, *(place for place in inner if isinstance(place, dict))]


def _first(documents: Iterable[Any], *names: str) -> str:
    for document in documents:
        for place in _places(document):
            for name in names:
                if isinstance(place.get(name), str) and place[name]:
                    return str(place[name])
    return ""


def _reasons(document: Any) -> Iterator[str]:
    for place in _places(document):
        listed = place.get("choices") or place.get("candidates") or []
        for holder in (place, *(listed if isinstance(listed, list) else ())):
            if isinstance(holder, dict):
                yield from (holder[name] for name in _REASONS if isinstance(holder.get(name), str))


def _usage(documents: Iterable[Any]) -> dict[str, float]:
    """Later events know better."""
    found: dict[str, float] = {}
    for document in documents:
        for place in _places(document):
            for name in _USAGE:
                _numbers(place.get(name), name, found)
    return found


def _numbers(value: Any, path: str, found: dict[str, float]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if _NAME.fullmatch(name):
                _numbers(inner, f"{path}.{name}", found)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found[path] = value


def _texts(document: Any) -> Iterator[str]:
    """Of chats, completions, messages, responses (by their deltas in a stream), and Gemini's candidates."""
    if not isinstance(document, dict):
        return
    if str(document.get("type")).startswith("response."):
        if document["type"] == "response.output_text.delta" and isinstance(document.get("delta"), str):
            yield document["delta"]
        return
    listed = document.get("choices") or document.get("candidates") or document.get("output") or [document]
    for holder in listed if isinstance(listed, list) else ():
        if isinstance(holder, dict):
            yield from _texts_of(holder)


def _texts_of(holder: Mapping[str, Any]) -> Iterator[str]:
    for place in (holder, holder.get("message"), holder.get("delta")):
        if not isinstance(place, dict):
            continue
        content = place.get("content", place.get("text"))
        parts = content.get("parts") if isinstance(content, dict) else content
        if isinstance(parts, str):
            yield parts
        elif isinstance(parts, list):
            yield from (part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _error(document: Any) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return ""
    named = (error.get(name) for name in ("type", "code", "status"))
    return " ".join(str(one)[:60] for one in named if isinstance(one, (str, int)))
