"""Chat completions on the wire, as far as the middle form needs to look into them."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import Usage
from tollway.dialects.chat.fields import NULL
from tollway.dialects.openai.wire import WireUsage


class FunctionWire(msgspec.Struct, gc=False):
    """A function call, or a piece of one."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    """Some servers send an object instead of its text."""

    def arguments_text(self) -> str:
        """The arguments as JSON text."""
        if isinstance(self.arguments, dict):
            return msgspec.json.encode(self.arguments).decode()
        return self.arguments or ""


class CustomWire(msgspec.Struct, gc=False):
    """A call of a custom tool, or a piece of one."""

    name: str | None = None
    input: str | None = None


class ToolCallWire(msgspec.Struct, gc=False):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionWire | None = None
    custom: CustomWire | None = None
    extra_content: dict[str, Any] | None = None
    provider_specific_fields: dict[str, Any] | None = None
    cache_control: msgspec.Raw = NULL


class LegacyCall(msgspec.Struct, gc=False):
    """`function_call`, which `tool_calls` have replaced."""

    name: str | None = None
    arguments: str | None = None


class MessageWire(msgspec.Struct, gc=False):
    """A message of a request or an answer."""

    role: str = "assistant"
    content: msgspec.Raw = NULL
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCallWire] | None = None
    function_call: LegacyCall | None = None
    refusal: str | None = None
    audio: msgspec.Raw = NULL
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[dict[str, Any]] | None = None
    cache_control: msgspec.Raw = NULL


class LogProbWire(msgspec.Struct, gc=False):
    """A token and its probability."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[LogProbWire] = []


class LogProbsWire(msgspec.Struct, gc=False):
    """`logprobs` of a choice."""

    content: list[LogProbWire] | None = None
    refusal: list[LogProbWire] | None = None


class ChoiceWire(msgspec.Struct, gc=False):
    """A choice of a whole answer."""

    index: int = 0
    message: MessageWire | None = None
    finish_reason: str | None = None
    logprobs: LogProbsWire | None = None


class AnswerWire(msgspec.Struct, gc=False):
    """A whole answer."""

    choices: list[ChoiceWire]
    id: str | None = None
    created: float | None = None
    model: str | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None


class DeltaWire(msgspec.Struct, gc=False):
    """What one event adds."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallWire] | None = None
    function_call: LegacyCall | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[dict[str, Any]] | None = None


class DeltaChoiceWire(msgspec.Struct, gc=False):
    """A choice of one event."""

    index: int = 0
    delta: DeltaWire | None = None
    finish_reason: str | None = None
    logprobs: LogProbsWire | None = None


class ChunkWire(msgspec.Struct, gc=False):
    """One event of a stream."""

    id: str | None = None
    created: float | None = None
    model: str | None = None
    choices: list[DeltaChoiceWire] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    error: Any = None


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """`usage` in chat's convention: `prompt_tokens` includes cached ones.

    The cache counts that Anthropic's models have are added under the names that existing gateways give them.
    """
    wire: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cache_read_tokens or usage.input_audio_tokens or usage.cache_write_tokens or usage.cache_write_1h_tokens:
        wire["prompt_tokens_details"] = {
            "cached_tokens": usage.cache_read_tokens,
            "audio_tokens": usage.input_audio_tokens,
        }
    if usage.reasoning_tokens or usage.output_audio_tokens:
        wire["completion_tokens_details"] = {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        }
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    if written or usage.cache_read_tokens:
        wire["cache_creation_input_tokens"] = written
        wire["cache_read_input_tokens"] = usage.cache_read_tokens
    return wire
