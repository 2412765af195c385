"""The rules for the chunks of a Gemini stream, as a checker.

A chunk is a GenerateContentResponse. Every part says one thing; a finish reason is the last thing said about an answer;
the last chunk has the usage; an error ends everything. Google's own types must take each chunk.
"""

from __future__ import annotations

import json
from typing import Any

from google.genai import types

_CONTENT = frozenset(
    {"text", "functionCall", "inlineData", "fileData", "executableCode", "codeExecutionResult", "toolCall"}
)


class Illegal(AssertionError):
    """A stream that Google would never send."""


def read_sse(data: bytes) -> list[dict[str, Any]]:
    """The chunks of an event stream. Raises `Illegal` if it is anything else."""
    if not data:
        return []
    if not data.endswith(b"\r\n\r\n"):
        raise Illegal("the last event has no end")
    chunks = []
    for event in data[:-4].split(b"\r\n\r\n"):
        if not event.startswith(b"data: ") or b"\n" in event:
            raise Illegal(f"not an event of one line: {event!r}")
        chunks.append(json.loads(event[6:]))
    return chunks


def check_chunks(chunks: list[dict[str, Any]], *, is_whole: bool = True) -> None:
    """Raises `Illegal` at the first chunk that may not stand where it does. `is_whole`: the stream came to its end."""
    finished: set[int] = set()
    seen: set[int] = set()
    names: set[tuple[Any, Any]] = set()
    for number, chunk in enumerate(chunks):
        is_last = number == len(chunks) - 1
        if "error" in chunk:
            if not is_last or chunk.keys() != {"error"}:
                raise Illegal("something beside or after an error")
            continue
        types.GenerateContentResponse.model_validate(chunk)
        names.add((chunk["modelVersion"], chunk["responseId"]))
        if not ("candidates" in chunk) ^ ("promptFeedback" in chunk):
            raise Illegal("neither an answer nor a reason for none, or both")
        for candidate in chunk.get("candidates", ()):
            index = candidate["index"]
            if index in finished:
                raise Illegal(f"answer {index} goes on after its end")
            seen.add(index)
            _check_content(candidate["content"])
            if "finishReason" in candidate:
                if not is_last:
                    raise Illegal("a finish reason before the last chunk")
                finished.add(index)
        if ("usageMetadata" in chunk) != is_last:
            raise Illegal("usage anywhere but in the last chunk")
    if len(names) > 1:
        raise Illegal(f"the stream changes its name: {names}")
    if is_whole and (not chunks or "error" in chunks[-1] or seen != finished):
        raise Illegal("it has no end")


def _check_content(content: dict[str, Any]) -> None:
    if content["role"] != "model" or not content["parts"]:
        raise Illegal(f"not a turn of the model: {content}")
    for part in content["parts"]:
        kinds = part.keys() & _CONTENT
        if len(kinds) > 1 or not (kinds or "thoughtSignature" in part):
            raise Illegal(f"a part says one thing: {part}")
        if "thought" in part and part["thought"] is not True:
            raise Illegal(f"thought is true or not there: {part}")
        if "functionCall" in part:
            call = part["functionCall"]
            if not isinstance(call["name"], str) or not isinstance(call["args"], dict):
                raise Illegal(f"a call comes whole: {call}")
