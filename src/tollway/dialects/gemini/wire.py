"""Answers of generateContent on the wire, as far as the middle form needs to look into them.

Source: https://ai.google.dev/api/generate-content. A chunk of a stream has the shape of a whole answer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import NO_USAGE, Usage, service_tier_of

NOTHING = msgspec.Raw(b"")
"""What a field is that is not there."""

Count = int | None


class TextPartWire(msgspec.Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    """What nearly every part of a stream is: text or thoughts, and nothing else."""

    text: str
    thought: bool = False
    thought_signature: str | None = None


class ContentWire(msgspec.Struct, gc=False):
    """A turn."""

    parts: list[msgspec.Raw] = []


class TokenWire(msgspec.Struct, gc=False, rename="camel"):
    """A token and its probability."""

    token: str = ""
    log_probability: float = 0.0


class TopWire(msgspec.Struct, gc=False):
    """What a token might have been."""

    candidates: list[TokenWire] = []


class LogprobsWire(msgspec.Struct, gc=False, rename="camel"):
    """`logprobsResult` of a candidate."""

    chosen_candidates: list[TokenWire] = []
    top_candidates: list[TopWire] = []


class CandidateWire(msgspec.Struct, gc=False, rename="camel"):
    """One of the answers."""

    content: ContentWire | None = None
    finish_reason: str | None = None
    index: int = 0
    finish_message: msgspec.Raw = NOTHING
    safety_ratings: msgspec.Raw = NOTHING
    citation_metadata: msgspec.Raw = NOTHING
    grounding_metadata: msgspec.Raw = NOTHING
    url_context_metadata: msgspec.Raw = NOTHING
    avg_logprobs: msgspec.Raw = NOTHING
    token_count: msgspec.Raw = NOTHING
    logprobs_result: LogprobsWire | None = None


class ModalityWire(msgspec.Struct, gc=False, rename="camel"):
    """Tokens of one kind."""

    modality: str = ""
    token_count: Count = None


class UsageWire(msgspec.Struct, gc=False, rename="camel"):
    """`usageMetadata`."""

    prompt_token_count: Count = None
    cached_content_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    total_token_count: Count = None
    prompt_tokens_details: msgspec.Raw = NOTHING
    """By kind: looked into only where there is sound, which has a price of its own."""
    cache_tokens_details: msgspec.Raw = NOTHING
    candidates_tokens_details: msgspec.Raw = NOTHING
    tool_use_prompt_tokens_details: msgspec.Raw = NOTHING
    traffic_type: str | None = None
    """Vertex AI's word for the service tier."""
    service_tier: str | None = None


class FeedbackWire(msgspec.Struct, gc=False, rename="camel"):
    """`promptFeedback`: why there is no answer."""

    block_reason: str | None = None


class ChunkWire(msgspec.Struct, gc=False, rename="camel"):
    """A whole answer, or one chunk of a stream."""

    candidates: list[CandidateWire] | None = None
    usage_metadata: UsageWire | None = None
    response_id: str | None = None
    model_version: str | None = None
    prompt_feedback: msgspec.Raw = NOTHING
    error: Any = None


class MeterWire(msgspec.Struct, gc=False, rename="camel"):
    """Of an answer, what the gateway reads where both sides speak Gemini."""

    usage_metadata: UsageWire | None = None
    response_id: str | None = None
    model_version: str | None = None


decode_chunk = msgspec.json.Decoder(ChunkWire, strict=False).decode
decode_text_part = msgspec.json.Decoder(TextPartWire).decode
decode_feedback = msgspec.json.Decoder(FeedbackWire).decode
_decode_modalities = msgspec.json.Decoder(list[ModalityWire], strict=False).decode
decode_meter = msgspec.json.Decoder(MeterWire, strict=False).decode


def usage_from_wire(wire: UsageWire) -> Usage:
    """The counts in our classes.

    `promptTokenCount` includes what was cached; what tools put into the prompt is counted beside it, and thoughts are
    counted beside `candidatesTokenCount`. Where the total says otherwise it is right: it is what Google bills.
    """
    cached = wire.cached_content_token_count or 0
    thoughts = wire.thoughts_token_count or 0
    candidates = wire.candidates_token_count or 0
    input_tokens = (wire.prompt_token_count or 0) + (wire.tool_use_prompt_token_count or 0)
    output_tokens = candidates + thoughts
    rest = (wire.total_token_count or 0) - input_tokens
    if rest > output_tokens or (rest == candidates and rest >= thoughts):
        output_tokens = rest
    spoken = _audio(wire.prompt_tokens_details)
    if spoken or wire.tool_use_prompt_tokens_details is not NOTHING:
        # Cached sound is counted as cached: a token is in one class only.
        spoken += _audio(wire.tool_use_prompt_tokens_details) - _audio(wire.cache_tokens_details)
    return Usage(
        input_tokens=input_tokens,
        cache_read_tokens=cached,
        input_audio_tokens=max(0, spoken),
        output_tokens=output_tokens,
        reasoning_tokens=thoughts,
        output_audio_tokens=_audio(wire.candidates_tokens_details),
        service_tier=service_tier_of(wire.traffic_type or wire.service_tier),
    )


def read_usage(document: bytes) -> Usage | None:
    """The usage of a whole answer or a chunk; None if it reports none."""
    wire = decode_meter(document).usage_metadata
    usage = usage_from_wire(wire) if wire is not None else NO_USAGE
    return usage if usage.total_tokens else None


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """`usageMetadata`."""
    wire: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(0, usage.output_tokens - usage.reasoning_tokens),
        "totalTokenCount": usage.total_tokens,
    }
    if usage.cache_read_tokens:
        wire["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        wire["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.input_audio_tokens:
        wire["promptTokensDetails"] = _modalities(usage.input_tokens, usage.input_audio_tokens)
    if usage.output_audio_tokens:
        spoken = usage.output_tokens - usage.reasoning_tokens
        wire["candidatesTokensDetails"] = _modalities(spoken, usage.output_audio_tokens)
    return wire


def _modalities(total: int, audio: int) -> list[dict[str, Any]]:
    text = max(0, total - audio)
    found = [{"modality": "TEXT", "tokenCount": text}] if text else []
    return [*found, {"modality": "AUDIO", "tokenCount": audio}]


def _audio(details: msgspec.Raw) -> int:
    if details is NOTHING or b"AUDIO" not in bytes(details):
        return 0
    try:
        kinds = _decode_modalities(details)
    except msgspec.DecodeError:
        return 0
    return sum(one.token_count or 0 for one in kinds if one.modality == "AUDIO")
