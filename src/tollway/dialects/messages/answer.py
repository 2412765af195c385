"""Whole answers of the Messages API, read into the middle form and written from it."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import NO_USAGE
from tollway.dialects.generation.answer import Answer, Choice, StopReason
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Json, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from tollway.dialects.messages.blocks import read_block, write_citation, write_thinking
from tollway.dialects.messages.render import clean_id
from tollway.dialects.messages.wire import NULL, MessageWire, usage_from_wire, usage_to_wire

_decode = msgspec.json.Decoder(MessageWire, strict=False).decode
_encode = msgspec.json.Encoder().encode

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
}
WIRE_REASONS: dict[StopReason, str] = {reason: wire for wire, reason in STOP_REASONS.items()} | {
    "content_filter": "refusal"
}


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not one."""
    wire = _decode(body)
    choice = Choice(
        parts=[read_block(block) for block in wire.content],
        stop=STOP_REASONS.get(wire.stop_reason or "end_turn", "end"),
        stop_sequence=wire.stop_sequence,
        stop_details=None if wire.stop_details == NULL else wire.stop_details,
    )
    return Answer(
        origin="messages",
        id=wire.id or "",
        model=wire.model or "",
        choices=[choice],
        usage=usage_from_wire(wire.usage) if wire.usage is not None else NO_USAGE,
    )


def render_answer(answer: Answer, options: StreamOptions) -> bytes:
    """A whole answer."""
    choice = answer.choices[0] if answer.choices else Choice(parts=[])
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    body: dict[str, Any] = {
        "id": answer.id or f"msg_{options.call_id}",
        "type": "message",
        "role": "assistant",
        "model": options.model,
        "content": [block for part in choice.parts if (block := write_part(part)) is not None],
        "stop_reason": "refusal" if refused and choice.stop == "end" else WIRE_REASONS[choice.stop],
        "stop_sequence": choice.stop_sequence,
        "usage": usage_to_wire(answer.usage),
    }
    if choice.stop_details is not None and answer.origin == "messages":
        body["stop_details"] = choice.stop_details
    return _encode(body)


def write_part(part: Part) -> dict[str, Any] | Json | None:
    """A part of an answer as a block; None for what Anthropic's answers cannot hold."""
    match part:
        case Text():
            cited = [wire for each in part.citations if (wire := write_citation(each)) is not None]
            return {"type": "text", "text": part.text, **({"citations": cited} if cited else {})}
        case Refusal():
            return {"type": "text", "text": part.text}
        case Thinking():
            return write_thinking(part)
        case ToolCall():
            return {"type": "tool_use", "id": clean_id(part.id), "name": part.name, "input": arguments(part)}
        case Media(kind="image", data=str()):
            source = {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
            return {"type": "image", "source": source}
        case Opaque(origin="messages"):
            return part.raw
        case Media() | Opaque() | ToolResult():
            return None


def arguments(call: ToolCall) -> Any:
    """Arguments as an object, whatever the model wrote."""
    if call.is_custom:
        return {"input": call.arguments}
    text = call.arguments.strip()
    try:
        value = msgspec.json.decode(text) if text else {}
    except msgspec.DecodeError:
        return {"arguments": call.arguments}
    if not isinstance(value, dict):
        return {"arguments": value}
    return msgspec.Raw(text.encode()) if text else {}
