"""Answers of Cohere on the wire, as far as the middle form needs to look into them."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import StopReason

NULL = msgspec.Raw(b"null")

STOP_REASONS: dict[str, StopReason] = {
    "COMPLETE": "end",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_use",
}
FAILURES = frozenset({"ERROR", "TIMEOUT"})
"""Reasons that are none: the answer is not complete."""

Count = int | float | None


class TokensWire(msgspec.Struct, gc=False):
    """`billed_units` and `tokens`."""

    input_tokens: Count = None
    output_tokens: Count = None


class UsageWire(msgspec.Struct, gc=False):
    """`usage`."""

    billed_units: TokensWire | None = None
    tokens: TokensWire | None = None
    cached_tokens: Count = None


class FunctionWire(msgspec.Struct, gc=False):
    """`function` of a tool call, or a piece of one."""

    name: str | None = None
    arguments: str | None = None


class ToolCallWire(msgspec.Struct, gc=False):
    """A tool call, or a piece of one."""

    id: str | None = None
    function: FunctionWire | None = None


class ContentWire(msgspec.Struct, gc=False):
    """A part of the content, or a piece of one."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class CitationWire(msgspec.Struct, gc=False):
    """Which piece of the answer comes from which documents and tools."""

    start: int | None = None
    end: int | None = None
    sources: list[dict[str, Any]] | None = None
    content_index: int | None = None
    type: str | None = None


class LogProbsWire(msgspec.Struct, gc=False):
    """The probabilities of the tokens in a piece of text."""

    text: str | None = None
    logprobs: list[float] | None = None


class MessageWire(msgspec.Struct, gc=False):
    """The message of a whole answer."""

    content: list[ContentWire] | None = None
    tool_plan: str | None = None
    tool_calls: list[ToolCallWire] | None = None
    citations: list[msgspec.Raw] | None = None


class AnswerWire(msgspec.Struct, gc=False):
    """A whole answer."""

    message: MessageWire
    id: str | None = None
    finish_reason: str | None = None
    usage: UsageWire | None = None
    logprobs: list[LogProbsWire] | None = None


def usage_from_wire(wire: UsageWire) -> Usage:
    """The tokens that are charged; those that were used where the vendor does not say what it charges."""
    counts = wire.billed_units
    if counts is None or not (counts.input_tokens or counts.output_tokens):
        counts = wire.tokens or TokensWire()
    input_tokens = _count(counts.input_tokens)
    return Usage(
        input_tokens=input_tokens,
        cache_read_tokens=min(_count(wire.cached_tokens), input_tokens),
        output_tokens=_count(counts.output_tokens),
    )


def _count(value: Count) -> int:
    return max(0, int(value)) if value else 0
