"""The words of a call's last turn, and everything else that two calls must have in common to be compared by them.

A question is compared by meaning only if its last turn is plain text of the user: pictures, files and results of tools
are the same or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from tollway.core.snapshot import Operation

MOST_CHARACTERS = 8_000
"""A longer text is a document: one vector says too little of it."""
_TURNS: Mapping[Operation, str] = {
    "chat": "messages",
    "completions": "prompt",
    "responses": "input",
    "messages": "messages",
    "gemini": "contents",
}
"""The field that holds what was said."""
_TEXTS: Mapping[Operation, str | None] = {
    "chat": "text",
    "responses": "input_text",
    "messages": "text",
    "gemini": None,
}
"""The `type` of a part that is text; None: parts of text have none."""
_decode = msgspec.json.Decoder().decode


class Question(NamedTuple):
    """A question, its words taken out."""

    words: str
    rest: dict[str, Any]
    """All fields, with nothing where the words were."""


def take_apart(operation: Operation, fields: Mapping[str, msgspec.Raw]) -> Question | None:
    """The words, and the rest; None for a question that is not compared by meaning."""
    name = _TURNS.get(operation)
    if name is None or name not in fields:
        return None
    try:
        rest = {field: _decode(raw) for field, raw in fields.items()}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    words: list[str] = []
    rest[name] = _without_words(operation, rest[name], words)
    text = "\n".join(words).strip()
    return Question(text, rest) if text and len(text) <= MOST_CHARACTERS else None


def _without_words(operation: Operation, said: Any, words: list[str]) -> Any:
    """What was said without the words of the last turn, which are added to `words`; none are if they are not plain."""
    if isinstance(said, str):
        words.append(said)
        return ""
    if operation == "completions" or not isinstance(said, list) or not said:
        return said
    *earlier, last = said
    if not isinstance(last, dict) or last.get("role", "user" if operation == "gemini" else None) != "user":
        return said
    field = "parts" if operation == "gemini" else "content"
    content = last.get(field)
    if isinstance(content, str):
        words.append(content)
        return [*earlier, {**last, field: ""}]
    if not isinstance(content, list) or not all(_is_text(operation, part) for part in content):
        return said
    words += [part["text"] for part in content]
    return [*earlier, {**last, field: [{**part, "text": ""} for part in content]}]


def _is_text(operation: Operation, part: Any) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("text"), str):
        return False
    kind = _TEXTS[operation]
    return part.keys() == {"text"} if kind is None else part.get("type") == kind
