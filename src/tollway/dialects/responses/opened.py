"""What is open while a stream of the Responses API is written, and how the pieces of it are called."""

from __future__ import annotations

from typing import Any

from tollway.dialects.generation.answer import StopReason, TokenProbability
from tollway.dialects.generation.request import Part, Refusal, Text
from tollway.dialects.responses.custom import InputReader

INCOMPLETE: dict[StopReason, str] = {
    "length": "max_output_tokens",
    "context": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""Why an answer is incomplete; the other reasons make it complete."""


class OpenItem:
    """The item that is open."""

    __slots__ = ("content", "id", "index", "kind", "wire")

    def __init__(self, kind: str, id: str, index: int, wire: dict[str, Any]) -> None:
        self.kind = kind
        self.id = id
        self.index = index
        self.wire = wire
        self.content: list[Any] = []
        """Parts that are complete."""


class OpenPart:
    """The part that is open, and how its pieces are written."""

    __slots__ = ("annotations", "head", "is_silent", "is_summary", "logprobs", "part", "pieces", "reader", "tail")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.head = b""
        """Before the text of a piece."""
        self.tail = b""
        """After it, up to the sequence number."""
        self.pieces: list[str] = []
        self.annotations: list[Any] = []
        self.logprobs: list[TokenProbability] = []
        self.reader: InputReader | None = None
        """A call of a custom tool that comes as a function's."""
        self.is_summary = False
        self.is_silent = False
        """Its pieces are no events: it is whole when its item is."""


CONTENT_EVENTS: dict[type, tuple[bytes, bytes, bytes]] = {
    # part: (events, the part while it is empty, the end of a piece)
    Text: (
        b"response.output_text",
        b'{"type":"output_text","text":"","annotations":[],"logprobs":[]}',
        b',"logprobs":[]',
    ),
    Refusal: (b"response.refusal", b'{"type":"refusal","refusal":""}', b""),
}
THOUGHT_EVENTS = {True: b"response.reasoning_summary_text", False: b"response.reasoning_text"}
