"""The rules for a chat stream, as a checker: what the official SDKs rely on."""

from __future__ import annotations

import json
from typing import Any

from tollway.dialects.sse import EventReader


class Illegal(AssertionError):
    """A sequence that no client should see."""


def check_stream(stream: bytes, *, wants_usage: bool = False) -> list[dict[str, Any]]:
    """The chunks of a stream. Raises `Illegal` at the first that may not stand where it does."""
    documents = [data for _, data in EventReader().feed(stream)]
    if not documents or documents[-1] != b"[DONE]" or documents.count(b"[DONE]") != 1:
        raise Illegal("a stream ends with one [DONE]")
    chunks: list[dict[str, Any]] = [json.loads(document) for document in documents[:-1]]
    has_role: set[int] = set()
    finished: set[int] = set()
    calls: dict[tuple[int, int], str] = {}
    for number, chunk in enumerate(chunks):
        if "error" in chunk:
            if number != len(chunks) - 1:
                raise Illegal("something follows an error")
            continue
        if {chunk["id"], chunk["model"]} != {chunks[0]["id"], chunks[0]["model"]}:
            raise Illegal("id and model stay the same")
        if not chunk["choices"]:
            if not wants_usage or number != len(chunks) - 1 or not chunk["usage"]:
                raise Illegal("only the last chunk has no choice, and only if usage was asked for")
            continue
        if wants_usage != ("usage" in chunk) or chunk.get("usage") is not None:
            raise Illegal("usage is null until the end where it was asked for, and absent where not")
        for choice in chunk["choices"]:
            _check_choice(choice, has_role, finished, calls)
    return chunks


def _check_choice(
    choice: dict[str, Any], has_role: set[int], finished: set[int], calls: dict[tuple[int, int], str]
) -> None:
    index, delta = choice["index"], choice["delta"]
    if index in finished:
        raise Illegal("a choice goes on after its finish reason")
    if (index in has_role) == ("role" in delta):
        raise Illegal("the first chunk of a choice has the role, no other")
    has_role.add(index)
    for call in delta.get("tool_calls", ()):
        key = (index, call["index"])
        if key not in calls:
            if call["index"] != sum(1 for each in calls if each[0] == index) or not call["id"]:
                raise Illegal("tool calls begin in order, with an id and a name")
            calls[key] = call["id"]
        elif call.get("id") not in (None, calls[key]):
            raise Illegal("a tool call changes its id")
    if choice["finish_reason"] is not None:
        finished.add(index)
