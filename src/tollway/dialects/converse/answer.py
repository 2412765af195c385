"""Whole answers of the Converse API, read into the middle form."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tollway.core.usage import NO_USAGE
from tollway.dialects.converse.wire import (
    NULL,
    AnswerWire,
    Block,
    Reasoning,
    Source,
    TextWire,
    ToolUse,
    read_citation,
    usage_from_wire,
)
from tollway.dialects.generation.answer import Answer, Choice, StopReason
from tollway.dialects.generation.request import Media, MediaKind, Opaque, Part, Seal, Text, Thinking, ToolCall

_decode = msgspec.json.Decoder(AnswerWire, strict=False).decode
_encode = msgspec.json.Encoder().encode

SEALED_BY = "anthropic"
"""Of all models of Bedrock only Claude signs its thoughts or hides them, and it takes them from either door."""

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "model_context_window_exceeded": "context",
}
"""What is not here (`malformed_model_output`, `malformed_tool_use`) is an end like any other."""


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not one."""
    wire = _decode(body)
    more = wire.additional_model_response_fields
    choice = Choice(
        parts=[read_block(block) for block in wire.output.message.content],
        stop=STOP_REASONS.get(wire.stop_reason, "end"),
        stop_sequence=more.stop_sequence if more is not None else None,
    )
    return Answer(
        origin="converse",
        id="",  # only a header has one
        model="",
        choices=[choice],
        usage=usage_from_wire(wire.usage, wire.service_tier) if wire.usage is not None else NO_USAGE,
        service_tier=wire.service_tier.type if wire.service_tier is not None else None,
        extra={} if wire.trace == NULL else {"trace": wire.trace},
    )


def read_block(block: Block) -> Part:
    """One block; one of a kind that the middle form has no part for stays as it is."""
    kind, raw = next(iter(block.items()), ("unknown", NULL))
    part = _READERS[kind](raw) if kind in _READERS else None
    return part or Opaque(origin="converse", kind=kind, raw=msgspec.Raw(_encode(block)))


def _text(raw: msgspec.Raw) -> Part:
    return Text(text=msgspec.json.decode(raw, type=str))


def _tool_use(raw: msgspec.Raw) -> Part | None:
    wire = msgspec.json.decode(raw, type=ToolUse)
    if wire.type is not None:  # run by the provider itself
        return None
    return ToolCall(id=wire.tool_use_id, name=wire.name, arguments=bytes(wire.input).decode())


def _reasoning(raw: msgspec.Raw) -> Part:
    wire = msgspec.json.decode(raw, type=Reasoning)
    if wire.reasoning_text is None:
        return Thinking(seal=Seal(SEALED_BY, wire.redacted_content or ""), is_redacted=True)
    signature = wire.reasoning_text.signature
    return Thinking(text=wire.reasoning_text.text, seal=Seal(SEALED_BY, signature) if signature else None)


class _CitedText(msgspec.Struct, gc=False):
    content: list[TextWire] = []
    citations: list[msgspec.Raw] = []


def _cited(raw: msgspec.Raw) -> Part:
    wire = msgspec.json.decode(raw, type=_CitedText)
    text = "".join(piece.text for piece in wire.content)
    return Text(text=text, citations=tuple(read_citation(each) for each in wire.citations))


class _MediaWire(msgspec.Struct, gc=False):
    format: str = ""
    source: Source = Source()


def _media(kind: MediaKind) -> Callable[[msgspec.Raw], Part | None]:
    def read(raw: msgspec.Raw) -> Part | None:
        wire = msgspec.json.decode(raw, type=_MediaWire)
        if wire.source.bytes is None:
            return None
        return Media(kind=kind, media_type=f"{kind}/{wire.format}", data=wire.source.bytes)

    return read


_READERS: dict[str, Callable[[msgspec.Raw], Part | None]] = {
    "text": _text,
    "toolUse": _tool_use,
    "reasoningContent": _reasoning,
    "citationsContent": _cited,
    "image": _media("image"),
    "audio": _media("audio"),
    "video": _media("video"),
}
