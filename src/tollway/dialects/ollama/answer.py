"""Whole answers of Ollama, read into the middle form."""

from __future__ import annotations

import msgspec

from tollway.dialects.generation.answer import Answer, Choice
from tollway.dialects.generation.request import Part, Text, Thinking
from tollway.dialects.ollama.wire import (
    AnswerWire,
    MessageWire,
    epoch_seconds,
    probabilities,
    stop_reason,
    tool_call,
    usage_from_wire,
)

_decode = msgspec.json.Decoder(AnswerWire, strict=False).decode


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not one."""
    wire = _decode(body)
    if wire.message is None:
        raise msgspec.ValidationError("Object missing required field `message`")
    created_at = wire.created_at or ""
    choice = Choice(
        parts=_parts(wire.message, created_at),
        stop=stop_reason(wire, has_calls=bool(wire.message.tool_calls)),
        logprobs=probabilities(wire.logprobs),
    )
    return Answer(
        origin="ollama",
        id="",
        model=wire.model or "",
        created=epoch_seconds(created_at),
        choices=[choice],
        usage=usage_from_wire(wire),
    )


def _parts(message: MessageWire, created_at: str) -> list[Part]:
    parts: list[Part] = []
    if message.thinking:
        parts.append(Thinking(text=message.thinking))
    if message.content:
        parts.append(Text(text=message.content))
    parts += [tool_call(call, created_at, number) for number, call in enumerate(message.tool_calls or ())]
    return parts
