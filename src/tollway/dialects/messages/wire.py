"""Anthropic's Messages API on the wire, as far as the middle form needs to look into it."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import ToolUse, Usage, service_tier_of

Block = dict[str, msgspec.Raw]
"""A content block: what it holds depends on its type, and new types come all the time."""

NULL = msgspec.Raw(b"null")

UNREADABLE: tuple[type[Exception], ...] = (msgspec.DecodeError, UnicodeDecodeError)
"""What decoding raises: texts that are no UTF-8 are found only when somebody looks into them."""


class CacheCreation(msgspec.Struct, gc=False):
    """`usage.cache_creation`: cached tokens by lifetime."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """`usage.output_tokens_details`."""

    thinking_tokens: int | None = None


class ServerToolUse(msgspec.Struct, gc=False):
    """`usage.server_tool_use`: what Anthropic's own tools did; fetching a page is free."""

    web_search_requests: int | None = None


class UsageWire(msgspec.Struct, gc=False):
    """`usage`. Unlike ours, `input_tokens` leaves out what was read from the cache or written to it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    server_tool_use: ServerToolUse | None = None


def usage_from_wire(wire: UsageWire, before: UsageWire | None = None) -> Usage:
    """The vendor's counts in our classes. `before`: what an earlier event of the stream said, for what this one does
    not repeat."""
    earlier = before or UsageWire()
    creation = wire.cache_creation or earlier.cache_creation
    written = _either(wire.cache_creation_input_tokens, earlier.cache_creation_input_tokens)
    long_lived = max(0, creation.ephemeral_1h_input_tokens or 0) if creation is not None else 0
    if creation is not None and not written:
        written = long_lived + max(0, creation.ephemeral_5m_input_tokens or 0)
    long_lived = min(long_lived, written)
    read = _either(wire.cache_read_input_tokens, earlier.cache_read_input_tokens)
    details = wire.output_tokens_details or earlier.output_tokens_details
    used = wire.server_tool_use or earlier.server_tool_use
    searches = (used.web_search_requests or 0) if used is not None else 0
    return Usage(
        input_tokens=_either(wire.input_tokens, earlier.input_tokens) + read + written,
        cache_read_tokens=read,
        cache_write_tokens=written - long_lived,
        cache_write_1h_tokens=long_lived,
        output_tokens=_either(wire.output_tokens, earlier.output_tokens),
        reasoning_tokens=(details.thinking_tokens or 0) if details is not None else 0,
        service_tier=service_tier_of(wire.service_tier or earlier.service_tier),
        tools=ToolUse(web_searches=searches) if searches > 0 else None,
    )


def _either(count: int | None, otherwise: int | None) -> int:
    return max(0, (count if count is not None else otherwise) or 0)


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """`usage` in Anthropic's convention."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    wire: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cache_read_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return wire


class MessageWire(msgspec.Struct, gc=False):
    """A whole answer."""

    content: list[Block]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: msgspec.Raw = NULL
    usage: UsageWire | None = None


class StartedMessage(msgspec.Struct, gc=False):
    """`message` of `message_start`."""

    id: str | None = None
    model: str | None = None
    usage: UsageWire | None = None


class DeltaWire(msgspec.Struct, gc=False):
    """`delta` of `content_block_delta` and `message_delta`."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    content: str | None = None
    """A summary of what was said so far (`compaction_delta`, a beta)."""
    citation: msgspec.Raw = NULL
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: msgspec.Raw = NULL


class EventWire(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str
    index: int = 0
    message: StartedMessage | None = None
    content_block: Block | None = None
    delta: DeltaWire | None = None
    usage: UsageWire | None = None
    error: Any = None
