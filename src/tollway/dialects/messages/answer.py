"""Whole answers of the Messages API, read into the middle form and written from it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tollway.core.usage import NO_USAGE
from tollway.dialects.generation.answer import Answer, Choice, StopReason
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.functions import arguments_object
from tollway.dialects.generation.request import Json, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from tollway.dialects.messages.blocks import (
    clean_id,
    read_block,
    rest_of,
    return_seals,
    write_citation,
    write_seal_of,
    write_thinking,
)
from tollway.dialects.messages.wire import NULL, UNREADABLE, MessageWire, usage_from_wire, usage_to_wire

_decode = msgspec.json.Decoder(MessageWire, strict=False).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
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
_READ = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
)  # fmt: skip
_USAGE_READ = frozenset(
    {
        "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation",
        "output_tokens_details",
    }
)  # fmt: skip


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not one."""
    try:
        wire = _decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    choice = Choice(
        parts=return_seals([read_block(block) for block in wire.content]),
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
        extra=_extra(body),
    )


def _extra(body: bytes) -> dict[str, Json]:
    """What the middle form has no field for; of the usage the counts it does not know (web searches, the tier)."""
    fields = _decode_fields(body)
    extra = rest_of(fields, _READ)
    usage = fields.get("usage", NULL)
    rest = rest_of(_decode_fields(usage), _USAGE_READ) if usage != NULL else {}
    if rest:
        extra["usage"] = msgspec.Raw(_encode(rest))
    return extra


def render_answer(answer: Answer, options: StreamOptions) -> bytes:
    """A whole answer."""
    choice = answer.choices[0] if answer.choices else Choice(parts=[])
    has_refused = any(isinstance(part, Refusal) for part in choice.parts)
    body: dict[str, Any] = {
        "id": answer.id or f"msg_{options.call_id}",
        "type": "message",
        "role": "assistant",
        "model": options.model,
        "content": [block for part in choice.parts for block in _blocks(part)],
        "stop_reason": wire_reason(choice.stop, has_refused=has_refused),
        "stop_sequence": choice.stop_sequence,
        "usage": usage_to_wire(answer.usage),
    }
    if is_own_details(choice.stop_details):
        body["stop_details"] = choice.stop_details
    if answer.origin == "messages":
        extra = dict(answer.extra)
        usage = extra.pop("usage", None)
        body |= extra
        if usage is not None:
            body["usage"] |= _decode_fields(usage)
    return _encode(body)


def wire_reason(reason: StopReason, *, has_refused: bool) -> str:
    """`stop_reason`. Other formats say a refusal in the answer's parts alone."""
    return "refusal" if has_refused and reason == "end" else WIRE_REASONS[reason]


class _Details(msgspec.Struct, gc=False):
    type: Literal["refusal"]


def is_own_details(details: Json | None) -> bool:
    """Whether what is said of a refusal is in Anthropic's words."""
    if details is None:
        return False
    try:
        msgspec.json.decode(details, type=_Details)
    except UNREADABLE:
        return False
    return True


def _blocks(part: Part) -> list[Any]:
    """A part and its seal. Empty texts are left out: sent back as history, the API refuses them."""
    is_empty = isinstance(part, Text | Refusal) and not part.text
    block = write_part(part) if not is_empty else None
    seal = part.seal if isinstance(part, Text | ToolCall) else None
    blocks: list[Any] = [block] if block is not None else []
    return [*blocks, write_seal_of(part, seal)] if seal is not None else blocks  # type: ignore[arg-type]  # a part that has one


def write_part(part: Part) -> dict[str, Any] | Json | None:
    """A part of an answer as a block; None for what Anthropic's answers cannot hold."""
    match part:
        case Text():
            cited = [wire for each in part.citations if (wire := write_citation(each)) is not None]
            return {"type": "text", "text": part.text, **({"citations": cited} if cited else {})}
        case Refusal():
            return {"type": "text", "text": part.text}
        case Thinking():
            return write_thinking(part) if part.text or part.seal is not None else None
        case ToolCall():
            return {
                "type": "tool_use",
                "id": clean_id(part.id),
                "name": part.name,
                "input": arguments_object(part),
                **part.extra,
            }
        case Media(kind="image", data=str()):
            source = {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
            return {"type": "image", "source": source}
        case Opaque(origin="messages"):
            return part.raw
        case Media() | Opaque() | ToolResult():
            return None
