"""The Responses API on the wire, as far as the middle form needs to look into it.

Source: OpenAI API reference, "Responses" and "Responses streaming events". Everything else stays bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tollway.core.usage import Usage, service_tier_of
from tollway.dialects.openai.wire import Count
from tollway.dialects.responses.billed import billed_tools

ABSENT = msgspec.Raw(b"")
"""A field that was left out: msgspec cannot say `Raw | None`."""
_NULL = msgspec.Raw(b"null")


def given(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A value; None where it was left out or null."""
    return raw if raw != ABSENT and raw != _NULL else None


class ItemWire(msgspec.Struct, gc=False):
    """An item of `input` or `output`, whatever its type."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    content: msgspec.Raw = ABSENT
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: msgspec.Raw = ABSENT
    summary: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class TypedWire(msgspec.Struct, gc=False):
    """What is looked at first of an item or a part: the fields of others may have any type."""

    type: str | None = None
    role: str | None = None
    id: str | None = None


class ReasoningText(msgspec.Struct, gc=False):
    """A piece of a reasoning item's `summary` or `content`."""

    text: str = ""


class AudioWire(msgspec.Struct, gc=False):
    """`input_audio`."""

    data: str
    format: str = "wav"


class LogProbWire(msgspec.Struct, gc=False):
    """A token and its probability."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[LogProbWire] | None = None


class PartWire(msgspec.Struct, gc=False):
    """A content part, whatever its type."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[msgspec.Raw] | None = None
    logprobs: list[LogProbWire] | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: AudioWire | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class CacheBreakpoint(msgspec.Struct, gc=False):
    """`prompt_cache_breakpoint`."""

    ttl: str | None = None


class InputDetails(msgspec.Struct, gc=False):
    """`usage.input_tokens_details`."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None


class OutputDetails(msgspec.Struct, gc=False):
    """`usage.output_tokens_details`."""

    reasoning_tokens: Count = None
    audio_tokens: Count = None


class UsageWire(msgspec.Struct, gc=False):
    """`usage`."""

    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class IncompleteWire(msgspec.Struct, gc=False):
    """`incomplete_details`."""

    reason: str | None = None


class HeadWire(msgspec.Struct, gc=False):
    """A response without its output."""

    id: str | None = None
    previous_response_id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: IncompleteWire | None = None
    usage: UsageWire | None = None
    service_tier: str | None = None
    background: bool | None = None


class ResponseWire(HeadWire, kw_only=True, gc=False):
    """A whole response."""

    output: list[msgspec.Raw]


class FinalWire(HeadWire, kw_only=True, gc=False):
    """The response of a stream's last event."""

    output: list[msgspec.Raw] | None = None


class LifecycleWire(msgspec.Struct, gc=False):
    """An event that carries the whole response: `response.created` and the like."""

    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"{}")
    sequence_number: int = 0


class ItemEventWire(msgspec.Struct, gc=False):
    """`response.output_item.added` and `.done`."""

    item: msgspec.Raw
    output_index: int = 0


class PartEventWire(msgspec.Struct, gc=False):
    """`response.content_part.added` and the like: where, and the part."""

    output_index: int = 0
    part: PartWire | None = None


class DeltaWire(msgspec.Struct, gc=False):
    """Events that add to an item, or say what one part of it came to."""

    output_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    logprobs: list[LogProbWire] | None = None
    annotation: msgspec.Raw = ABSENT


class TypeWire(msgspec.Struct, gc=False):
    """Only the type of an event."""

    type: str = ""


def usage_from_wire(
    wire: UsageWire, service_tier: str | None = None, output: Iterable[msgspec.Raw] | None = None
) -> Usage:
    """The vendor's counts in our classes. `input_tokens` includes cached ones.

    `service_tier` and `output`: what the response says beside its usage.
    """
    given = wire.input_tokens_details or InputDetails()
    made = wire.output_tokens_details or OutputDetails()
    return Usage(
        input_tokens=_count(wire.input_tokens),
        cache_read_tokens=_count(given.cached_tokens),
        cache_write_tokens=_count(given.cache_write_tokens),
        input_audio_tokens=_count(given.audio_tokens),
        output_tokens=_count(wire.output_tokens),
        reasoning_tokens=_count(made.reasoning_tokens),
        output_audio_tokens=_count(made.audio_tokens),
        service_tier=service_tier_of(service_tier),
        tools=billed_tools(output) if output is not None else None,
    )


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """`usage`, with every field that the official types ask for."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _count(value: Count) -> int:
    return max(0, int(value)) if value else 0


read_head = msgspec.json.Decoder(HeadWire, strict=False).decode
read_response = msgspec.json.Decoder(ResponseWire, strict=False).decode
read_typed = msgspec.json.Decoder(TypedWire, strict=False).decode
read_item = msgspec.json.Decoder(ItemWire, strict=False).decode
read_part = msgspec.json.Decoder(PartWire, strict=False).decode
read_final = msgspec.json.Decoder(FinalWire, strict=False).decode
