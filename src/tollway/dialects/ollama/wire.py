"""Answers of Ollama on the wire, as far as the middle form needs to look into them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import StopReason, TokenProbability
from tollway.dialects.generation.request import ToolCall

STOP_REASONS: dict[str, StopReason] = {"stop": "end", "length": "length"}

Count = int | float | None

_NO_ARGUMENTS = msgspec.Raw(b"{}")


class FunctionWire(msgspec.Struct, gc=False):
    """`function` of a tool call."""

    name: str = ""
    arguments: msgspec.Raw = _NO_ARGUMENTS


class ToolCallWire(msgspec.Struct, gc=False):
    """A tool call, always whole."""

    function: FunctionWire
    id: str | None = None
    """Newer versions."""


class MessageWire(msgspec.Struct, gc=False):
    """A message, or what one line adds to it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCallWire] | None = None


class ProbabilityWire(msgspec.Struct, gc=False):
    """A token and its probability."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[ProbabilityWire] | None = None


class AnswerWire(msgspec.Struct, gc=False):
    """A whole answer, or a line of a stream."""

    message: MessageWire | None = None
    model: str | None = None
    created_at: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Count = None
    eval_count: Count = None
    logprobs: list[ProbabilityWire] | None = None
    error: Any = None


def usage_from_wire(wire: AnswerWire) -> Usage:
    """Tokens of the prompt and of the answer; there are no other classes."""
    return Usage(input_tokens=_count(wire.prompt_eval_count), output_tokens=_count(wire.eval_count))


def _count(value: Count) -> int:
    return max(0, int(value)) if value else 0


def stop_reason(wire: AnswerWire, *, has_calls: bool) -> StopReason:
    """Why the answer ended: after tool calls it says `stop` as well."""
    found = STOP_REASONS.get(wire.done_reason or "stop", "end")
    return "tool_use" if has_calls and found == "end" else found


def tool_call(wire: ToolCallWire, created_at: str, number: int) -> ToolCall:
    """The `number`th call of the answer of that time."""
    unique = "".join(filter(str.isdigit, created_at))[:20]
    return ToolCall(
        id=wire.id or f"call_{unique}_{number}", name=wire.function.name, arguments=_text(wire.function.arguments)
    )


def _text(arguments: msgspec.Raw) -> str:
    """Arguments as JSON text: an object here, text with some servers that imitate this API."""
    raw = bytes(arguments)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()


def epoch_seconds(created_at: str) -> int:
    """A time in RFC 3339 as epoch seconds; 0 for anything else."""
    try:
        return int(datetime.fromisoformat(created_at).timestamp())
    except ValueError:
        return 0


def probabilities(wires: list[ProbabilityWire] | None) -> list[TokenProbability] | None:
    """`logprobs` of an answer or a line."""
    return [_probability(wire) for wire in wires] if wires else None


def _probability(wire: ProbabilityWire) -> TokenProbability:
    return TokenProbability(
        token=wire.token,
        logprob=wire.logprob,
        bytes=tuple(wire.bytes) if wire.bytes is not None else None,
        top=tuple(_probability(other) for other in wire.top_logprobs or ()),
    )
