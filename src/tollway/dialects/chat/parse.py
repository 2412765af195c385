"""A chat-completions request, read into the middle form.

Source: OpenAI API reference, "Create chat completion", and the extensions that clients of existing gateways send:
`reasoning_content`, `thinking_blocks`, `cache_control` on parts, `thinking`, `top_k`, `web_search_options`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.chat.fields import NULL, cache_hint, present, typed
from tollway.dialects.chat.messages import read_messages
from tollway.dialects.chat.tools import read_tool_choice, read_tools
from tollway.dialects.generation.request import OutputFormat, Reasoning, Request

_SCALARS: dict[str, tuple[str, Any, str]] = {
    # field: (attribute of the middle form, type, what is expected)
    "temperature": ("temperature", float | None, "a number"),
    "top_p": ("top_p", float | None, "a number"),
    "top_k": ("top_k", int | None, "an integer"),
    "min_p": ("min_p", float | None, "a number"),
    "seed": ("seed", int | None, "an integer"),
    "n": ("choices", int | None, "an integer"),
    "presence_penalty": ("presence_penalty", float | None, "a number"),
    "frequency_penalty": ("frequency_penalty", float | None, "a number"),
    "parallel_tool_calls": ("allows_parallel_tools", bool | None, "true or false"),
    "verbosity": ("verbosity", str | None, "a string"),
    "modalities": ("modalities", list[str] | None, "a list of strings"),
    "service_tier": ("service_tier", str | None, "a string"),
    "user": ("user", str | None, "a string"),
    "store": ("store", bool | None, "true or false"),
    "prompt_cache_key": ("prompt_cache_key", str | None, "a string"),
    "logit_bias": ("logit_bias", msgspec.Raw, "an object"),
    "audio": ("audio", msgspec.Raw, "an object"),
    "prediction": ("prediction", msgspec.Raw, "an object"),
    "metadata": ("metadata", msgspec.Raw, "an object"),
}
_READ_APART = frozenset(
    {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "tools",
        "tool_choice", "functions", "function_call", "response_format", "reasoning_effort", "reasoning", "thinking",
        "logprobs", "top_logprobs", "web_search_options", "cache_control",
    }
)  # fmt: skip


def parse_request(fields: Fields, *, model: str, is_stream: bool) -> Request:
    """Reads a request's top level. Raises `InvalidRequest` naming the field that is wrong."""
    request = Request(origin="chat", model=model, messages=read_messages(fields), is_stream=is_stream)
    for name, (attribute, type_, expected) in _SCALARS.items():
        raw = fields.get(name)
        if raw is not None and raw != NULL:
            setattr(request, attribute, raw if type_ is msgspec.Raw else typed(raw, name, type_, expected))
    request.max_output_tokens = _first(fields, ("max_completion_tokens", "max_tokens"))
    request.stop = _stop(fields.get("stop"))
    request.tools = read_tools(fields)
    request.tool_choice = read_tool_choice(fields)
    request.format = _format(fields.get("response_format"))
    request.reasoning = _reasoning(fields)
    request.logprobs = _logprobs(fields)
    request.cache = cache_hint(fields.get("cache_control"))
    request.extra = {name: raw for name, raw in fields.items() if name not in _SCALARS and name not in _READ_APART}
    return request


class _Format(msgspec.Struct, gc=False):
    type: str
    json_schema: _Schema | None = None


class _Schema(msgspec.Struct, gc=False):
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = NULL
    strict: bool | None = None


def _format(raw: msgspec.Raw | None) -> OutputFormat | None:
    if raw is None or raw == NULL:
        return None
    wire: _Format = typed(raw, "response_format", _Format, "an object with a type")
    if wire.type == "json_schema":
        schema = wire.json_schema
        if schema is None:
            raise InvalidRequest(
                "response_format: 'json_schema' needs a 'json_schema' object.", param="response_format"
            )
        return OutputFormat(
            kind="json_schema",
            name=schema.name,
            description=schema.description,
            schema=present(schema.schema),
            is_strict=schema.strict,
        )
    if wire.type not in ("text", "json_object"):
        raise InvalidRequest(
            f"response_format.type: '{wire.type}' is not one of text, json_object, json_schema.",
            param="response_format",
        )
    return OutputFormat(kind="json_object" if wire.type == "json_object" else "text")


class _Thinking(msgspec.Struct, gc=False):
    type: str = "enabled"
    budget_tokens: int | None = None


class _Effort(msgspec.Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    max_tokens: int | None = None
    """OpenRouter."""


def _reasoning(fields: Fields) -> Reasoning | None:
    """Anthropic's `thinking` wins over `reasoning_effort`, which may be OpenRouter's `reasoning` object as well."""
    thinking = fields.get("thinking")
    if thinking is not None and thinking != NULL:
        wire: _Thinking = typed(thinking, "thinking", _Thinking, "an object with a type")
        return Reasoning(
            budget_tokens=wire.budget_tokens, is_adaptive=wire.type == "adaptive", is_off=wire.type == "disabled"
        )
    raw = fields.get("reasoning_effort") or fields.get("reasoning")
    if raw is None or raw == NULL:
        return None
    value: str | _Effort = typed(raw, "reasoning_effort", str | _Effort, "a string")
    effort = _Effort(value) if isinstance(value, str) else value
    if effort.effort is not None and effort.effort not in _EFFORTS:
        raise InvalidRequest(
            f"reasoning_effort: '{effort.effort}' is not one of {', '.join(_EFFORTS)}.", param="reasoning_effort"
        )
    return Reasoning(
        effort=effort.effort,  # type: ignore[arg-type]  # checked above
        budget_tokens=effort.max_tokens,
        is_off=effort.effort == "none",
        summary=effort.summary,
    )


_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def _logprobs(fields: Fields) -> int | None:
    raw = fields.get("logprobs")
    if raw is None or not typed(raw, "logprobs", bool | None, "true or false"):
        return None
    return _first(fields, ("top_logprobs",)) or 0


def _stop(raw: msgspec.Raw | None) -> list[str]:
    if raw is None:
        return []
    stop: str | list[str] | None = typed(raw, "stop", str | list[str] | None, "a string or a list of strings")
    return [stop] if isinstance(stop, str) else stop or []


def _first(fields: Fields, names: tuple[str, ...]) -> int | None:
    for name in names:
        raw = fields.get(name)
        if raw is not None and raw != NULL:
            value: int = typed(raw, name, int, "an integer")
            return value
    return None
