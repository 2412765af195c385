"""The few fields the gateway reads from answers. Everything else stays bytes."""

from __future__ import annotations

import msgspec

from tollway.core.usage import NO_USAGE, ToolUse, Usage, service_tier_of

Count = int | float | None
"""Vendors send null, and now and then a float."""


class PromptDetails(msgspec.Struct, gc=False):
    """`usage.prompt_tokens_details`."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None
    """OpenRouter."""
    audio_tokens: Count = None


class CompletionDetails(msgspec.Struct, gc=False):
    """`usage.completion_tokens_details`."""

    reasoning_tokens: Count = None
    audio_tokens: Count = None


class WireUsage(msgspec.Struct, gc=False):
    """`usage`, with the names compatible vendors add."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    """DeepSeek's name for cached prompt tokens."""
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    """Gateways in front of Anthropic models."""
    reasoning_tokens: Count = None
    """Databricks, as a part of the answer; Perplexity, beside it."""
    num_search_queries: Count = None
    """What Perplexity's research searched for."""
    citation_tokens: Count = None
    """What Perplexity's research read: billed at the rate of the prompt, and counted beside it."""


class Answer(msgspec.Struct, gc=False):
    """A whole answer, or one event of a stream."""

    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None


class ToolFunction(msgspec.Struct, gc=False):
    """`function` of a tool call: whole in an answer, a piece in a stream."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A tool call or a piece of one."""

    function: ToolFunction | None = None


class Delta(msgspec.Struct, gc=False):
    """What one stream event adds. Counted when the provider does not report usage."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class TextChoice(msgspec.Struct, gc=False):
    """A choice, in the shapes of chat answers, chat streams and text completions."""

    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class TextAnswer(msgspec.Struct, gc=False):
    """An answer or event with its text."""

    choices: list[TextChoice] | None = None
    usage: WireUsage | None = None


def usage_from_wire(wire: WireUsage, service_tier: str | None = None) -> Usage:
    """The vendor's counts in our classes. Here `prompt_tokens` includes cached ones (OpenAI's convention).

    `service_tier`: what the answer says beside its usage.
    """
    tier = service_tier_of(service_tier)
    prompt = wire.prompt_tokens_details
    completion = wire.completion_tokens_details
    input_tokens = _count(wire.prompt_tokens)
    output_tokens = _count(wire.completion_tokens)
    if not output_tokens and wire.total_tokens is not None:
        output_tokens = max(0, _count(wire.total_tokens) - input_tokens)
    if (
        prompt is None
        and completion is None
        and wire.prompt_cache_hit_tokens is None
        and wire.cache_read_input_tokens is None
        and wire.reasoning_tokens is None
        and wire.num_search_queries is None
    ):
        return Usage(input_tokens=input_tokens, output_tokens=output_tokens, service_tier=tier)
    cached = _count(prompt.cached_tokens) if prompt else 0
    reasoning = (_count(completion.reasoning_tokens) if completion else 0) or _count(wire.reasoning_tokens)
    return Usage(
        input_tokens=input_tokens + _count(wire.citation_tokens),
        cache_read_tokens=cached or _count(wire.prompt_cache_hit_tokens) or _count(wire.cache_read_input_tokens),
        cache_write_tokens=(_count(prompt.cache_write_tokens) if prompt else 0)
        or _count(wire.cache_creation_input_tokens),
        input_audio_tokens=_count(prompt.audio_tokens) if prompt else 0,
        output_tokens=output_tokens + (reasoning if reasoning and _is_beside(wire, reasoning, output_tokens) else 0),
        reasoning_tokens=reasoning,
        output_audio_tokens=_count(completion.audio_tokens) if completion else 0,
        service_tier=tier,
        tools=ToolUse(web_searches=_count(wire.num_search_queries)) if wire.num_search_queries else None,
    )


def _is_beside(wire: WireUsage, reasoning: int, output_tokens: int) -> bool:
    """Whether reasoning is counted beside the answer: by xAI, whose total says so, and by Perplexity's research."""
    if wire.citation_tokens is not None or reasoning > output_tokens:
        return True
    return _count(wire.total_tokens) == _count(wire.prompt_tokens) + output_tokens + reasoning


def _count(value: Count) -> int:
    return max(0, int(value)) if value else 0


_decode_answer = msgspec.json.Decoder(Answer, strict=False).decode
_decode_text = msgspec.json.Decoder(TextAnswer, strict=False).decode


def read_answer(body: bytes) -> Answer:
    """Id, model and usage of an answer. Raises `msgspec.DecodeError` if it is not a JSON object of that shape."""
    return _decode_answer(body)


def read_usage(event: bytes) -> Usage:
    """Usage of one JSON document; `NO_USAGE` if it has none or is not what it should be."""
    try:
        answer = _decode_answer(event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NO_USAGE
    return usage_from_wire(answer.usage, answer.service_tier) if answer.usage is not None else NO_USAGE


def read_text(document: bytes) -> tuple[str, bool]:
    """The text of an answer or event, and whether a choice said it is finished. Empty for anything else."""
    try:
        choices = _decode_text(document).choices or []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", False
    pieces: list[str] = []
    for choice in choices:
        part = choice.delta or choice.message
        if part is not None:
            pieces += filter(None, (part.content, part.reasoning_content or part.reasoning, part.refusal))
            for call in part.tool_calls or ():
                if call.function is not None:
                    pieces += filter(None, (call.function.name, call.function.arguments))
        if choice.text:
            pieces.append(choice.text)
    return "".join(pieces), any(choice.finish_reason for choice in choices)
