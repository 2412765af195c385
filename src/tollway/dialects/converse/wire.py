"""Bedrock's Converse API on the wire, as far as the middle form needs to look into its answers."""

from __future__ import annotations

import msgspec

from tollway.core.usage import Usage, service_tier_of
from tollway.dialects.generation.request import Citation

Block = dict[str, msgspec.Raw]
"""A content block: a union with one key, which says what it is."""

NULL = msgspec.Raw(b"null")


class CacheDetail(msgspec.Struct, gc=False, rename="camel"):
    """Tokens written to the cache with one lifetime."""

    ttl: str = ""
    input_tokens: int = 0


class UsageWire(msgspec.Struct, gc=False, rename="camel"):
    """`usage`. Unlike ours, `inputTokens` leaves out what was read from the cache or written to it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None


class ServiceTier(msgspec.Struct, gc=False, rename="camel"):
    """`serviceTier`."""

    type: str | None = None


def usage_from_wire(wire: UsageWire, service_tier: ServiceTier | None = None) -> Usage:
    """Bedrock's counts in our classes: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html.

    `service_tier`: what the answer says beside its usage.
    """
    read, written = wire.cache_read_input_tokens or 0, wire.cache_write_input_tokens or 0
    long_lived = sum(detail.input_tokens for detail in wire.cache_details or () if detail.ttl == "1h")
    written = max(written, long_lived)
    return Usage(
        input_tokens=wire.input_tokens + read + written,
        cache_read_tokens=read,
        cache_write_tokens=written - long_lived,
        cache_write_1h_tokens=long_lived,
        output_tokens=wire.output_tokens,
        service_tier=service_tier_of(service_tier.type) if service_tier is not None else "",
    )


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where media are: in base64, or in a bucket."""

    bytes: str | None = None


class ToolUse(msgspec.Struct, gc=False, rename="camel"):
    """A tool to be run; `type` is set where it is the provider's own."""

    tool_use_id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")
    type: str | None = None


class TextWire(msgspec.Struct, gc=False, rename="camel"):
    """A piece of text in a list of such."""

    text: str = ""


class _Web(msgspec.Struct, gc=False, rename="camel"):
    url: str | None = None


class _Location(msgspec.Struct, gc=False, rename="camel"):
    web: _Web | None = None


class CitationWire(msgspec.Struct, gc=False, rename="camel"):
    """A citation of any kind; pages of the web have an address."""

    title: str | None = None
    source: str | None = None
    source_content: list[TextWire] | None = None
    location: _Location | None = None


_decode_citation = msgspec.json.Decoder(CitationWire).decode


def read_citation(raw: msgspec.Raw) -> Citation:
    """Where a piece of text comes from."""
    wire = _decode_citation(raw)
    web = wire.location.web if wire.location is not None else None
    cited = "".join(piece.text for piece in wire.source_content or ())
    is_address = wire.source is not None and wire.source.startswith(("http://", "https://"))
    return Citation(
        url=web.url if web is not None else wire.source if is_address else None,
        title=wire.title,
        cited_text=cited or None,
        origin="converse",
        raw=raw,
    )


class ReasoningText(msgspec.Struct, gc=False, rename="camel"):
    """Thoughts and what proves them."""

    text: str = ""
    signature: str | None = None


class Reasoning(msgspec.Struct, gc=False, rename="camel"):
    """`reasoningContent` of a whole answer."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class ReasoningDelta(msgspec.Struct, gc=False, rename="camel"):
    """`reasoningContent` of a stream."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class ToolUseDelta(msgspec.Struct, gc=False, rename="camel"):
    """More of a tool's input."""

    input: str = ""


class ImageDelta(msgspec.Struct, gc=False, rename="camel"):
    """More of an image."""

    source: Source | None = None


class DeltaWire(msgspec.Struct, gc=False, rename="camel"):
    """`delta` of `contentBlockDelta`."""

    text: str | None = None
    tool_use: ToolUseDelta | None = None
    reasoning_content: ReasoningDelta | None = None
    citation: msgspec.Raw = NULL
    tool_result: list[msgspec.Raw] | None = None
    image: ImageDelta | None = None


class ContentBlockDelta(msgspec.Struct, gc=False, rename="camel"):
    """Event of that name."""

    delta: DeltaWire
    content_block_index: int = 0


class ToolResultStart(msgspec.Struct, gc=False, rename="camel"):
    """A result of a tool of the provider's own."""

    tool_use_id: str
    type: str | None = None
    status: str | None = None


class ImageStart(msgspec.Struct, gc=False, rename="camel"):
    """An image that the model makes."""

    format: str = "png"


class StartWire(msgspec.Struct, gc=False, rename="camel"):
    """`start` of `contentBlockStart`; thoughts and texts begin without."""

    tool_use: ToolUse | None = None
    tool_result: ToolResultStart | None = None
    image: ImageStart | None = None


class ContentBlockStart(msgspec.Struct, gc=False, rename="camel"):
    """Event of that name."""

    start: StartWire
    content_block_index: int = 0


class ExtraFields(msgspec.Struct, gc=False):
    """`additionalModelResponseFields`, as far as they were asked for."""

    stop_sequence: str | None = None


class MessageStop(msgspec.Struct, gc=False, rename="camel"):
    """Event of that name."""

    stop_reason: str = ""
    additional_model_response_fields: ExtraFields | None = None


class Metadata(msgspec.Struct, gc=False, rename="camel"):
    """The last event."""

    usage: UsageWire | None = None
    service_tier: ServiceTier | None = None


class MessageWire(msgspec.Struct, gc=False, rename="camel"):
    """`output.message`."""

    content: list[Block]


class OutputWire(msgspec.Struct, gc=False, rename="camel"):
    """`output`."""

    message: MessageWire


class AnswerWire(msgspec.Struct, gc=False, rename="camel"):
    """A whole answer."""

    output: OutputWire
    stop_reason: str = ""
    usage: UsageWire | None = None
    service_tier: ServiceTier | None = None
    additional_model_response_fields: ExtraFields | None = None
    trace: msgspec.Raw = NULL
