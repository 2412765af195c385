"""A request in the middle form, written as one of the Responses API."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import OpaqueTool, OutputFormat, Reasoning, Request, WebSearch, effort_for
from tollway.dialects.generation.unsaid import sampling_loss
from tollway.dialects.generation.writer import Writer
from tollway.dialects.responses.history import HistoryWriter
from tollway.dialects.responses.parse import ENCRYPTED, LOGPROBS, OFFLINE_SEARCH
from tollway.dialects.responses.tools import render_tool_choice, render_tools

_LEAST_OUTPUT_TOKENS = 16
"""Below it the API answers 400 (checked 2026-11, API reference, `max_output_tokens`)."""
_REASONS = re.compile(r"(^|[/.-])(o[1-9]($|-)|gpt-(5|6)(?!.*-chat)|gpt-oss|codex|grok-(3-mini|4))")
"""Models that think; the others answer 400 to `reasoning` and to its encrypted content."""

_PLAIN: tuple[tuple[str, str], ...] = (
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("service_tier", "service_tier"),
    ("user", "user"),
    ("prompt_cache_key", "prompt_cache_key"),
)
_NOT_HERE: tuple[tuple[str, str], ...] = (
    # (attribute of the middle form, its name in losses)
    ("min_p", "min_p"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("logit_bias", "logit_bias"),
    ("audio", "audio"),
    ("prediction", "prediction"),
    ("safety_settings", "safetySettings"),
)


class _ResponsesWriter(Writer):
    """Collects the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.is_own = request.origin == "responses"
        self.thinks = _REASONS.search(target.model.lower()) is not None


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what the Responses API cannot say."""
    writer = _ResponsesWriter(request, target)
    history = HistoryWriter(request, target.seals, writer.lose)
    fields: dict[str, Any] = {"model": target.model}
    instructions = history.instructions()
    if instructions is not None:
        fields["instructions"] = instructions
    fields["input"] = history.items()
    _settings(writer, fields)
    _tools(writer, fields)
    if request.is_stream:
        fields["stream"] = True
    _lose_others(writer)
    _extra(writer, fields)
    return Rendered(fields=fields, losses=list(writer.losses))


def _settings(writer: _ResponsesWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    for name, attribute in _PLAIN:
        value = getattr(request, attribute)
        if value is not None:
            fields[name] = value
    if request.max_output_tokens is not None:
        fields["max_output_tokens"] = max(_LEAST_OUTPUT_TOKENS, request.max_output_tokens)
    text = text_settings(request)
    if text:
        fields["text"] = text
    reasoning = _reasoning(writer)
    if reasoning:
        fields["reasoning"] = reasoning
    if request.logprobs:
        fields["top_logprobs"] = request.logprobs
    # A provider keeps what it is sent unless told otherwise; no other dialect's clients expect that.
    store = request.store if request.store is not None or writer.is_own else False
    if store is not None:
        fields["store"] = store
    include = _include(writer)
    if include:
        fields["include"] = include
    if request.metadata is not None:
        if request.origin in ("responses", "chat"):
            fields["metadata"] = request.metadata
        else:
            writer.lose(LossKind.HINT, "metadata")


def _include(writer: _ResponsesWriter) -> list[str]:
    """Logprobs, and thoughts that can come back on the next turn where nothing is stored."""
    request = writer.request
    include: list[str] = []
    if writer.is_own and "include" in request.extra:
        include += msgspec.json.decode(request.extra["include"], type=list[str])
    if request.logprobs is not None:
        include.append(LOGPROBS)
    is_stored = request.store is not False if writer.is_own else bool(request.store)
    if (writer.thinks or writer.is_own) and not is_stored:
        include.append(ENCRYPTED)
    return include


def _reasoning(writer: _ResponsesWriter) -> dict[str, Any]:
    reasoning = writer.request.reasoning
    if reasoning is None:
        return {}
    if not writer.thinks and not writer.is_own:
        if not reasoning.is_off:
            writer.lose(LossKind.HINT, "reasoning")
        return {}
    return reasoning_settings(reasoning)


def reasoning_settings(reasoning: Reasoning) -> dict[str, Any]:
    """`reasoning`: words for an effort that was given in tokens."""
    effort = reasoning.effort
    if effort is None and reasoning.budget_tokens is not None and not reasoning.is_off:
        effort = effort_for(reasoning.budget_tokens)
    wire: dict[str, Any] = {}
    if effort is not None:
        wire["effort"] = effort
    if reasoning.summary not in (None, "none"):
        wire["summary"] = reasoning.summary
    return wire


def text_settings(request: Request) -> dict[str, Any]:
    """`text`: the form of the answer and how long-winded it is."""
    wire: dict[str, Any] = {}
    if request.format is not None:
        wire["format"] = _format(request.format)
    if request.verbosity is not None:
        wire["verbosity"] = request.verbosity
    return wire


def _format(wanted: OutputFormat) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    wire: dict[str, Any] = {"type": "json_schema", "name": wanted.name or "answer"}
    if wanted.description is not None:
        wire["description"] = wanted.description
    wire["schema"] = wanted.schema if wanted.schema is not None else {"type": "object"}
    if wanted.is_strict is not None:
        wire["strict"] = wanted.is_strict
    return wire


def _tools(writer: _ResponsesWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    for tool in request.tools:
        if isinstance(tool, OpaqueTool):
            if tool.origin != "responses":
                writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
        elif tool.cache is not None:
            writer.lose(LossKind.CACHE_HINT, "tools.cache_control")
        if isinstance(tool, WebSearch) and tool.max_uses is not None:
            writer.lose(LossKind.HINT, "tools.max_uses")
    tools = render_tools(request.tools, is_own=writer.is_own)
    if tools:
        fields["tools"] = tools
    if request.tool_choice is not None and (tools or writer.is_own):
        fields["tool_choice"] = render_tool_choice(request.tool_choice, request.tools)
    if request.allows_parallel_tools is not None and (tools or writer.is_own):
        fields["parallel_tool_calls"] = request.allows_parallel_tools


def _lose_others(writer: _ResponsesWriter) -> None:
    request = writer.request
    if request.top_k is not None:
        writer.lose(sampling_loss(request), "top_k")
    for attribute, name in _NOT_HERE:
        if getattr(request, attribute) is not None:
            writer.lose(LossKind.PARAMETER, name)
    if request.stop:
        writer.lose(LossKind.PARAMETER, "stop")
    if request.choices is not None and request.choices > 1:
        writer.lose(LossKind.PARAMETER, "n")
    if request.modalities is not None and request.modalities != ["text"]:
        writer.lose(LossKind.PARAMETER, "modalities")
    if request.cache is not None:
        writer.lose(LossKind.CACHE_HINT, "cache_control")


def _extra(writer: _ResponsesWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    for name, raw in request.extra.items():
        if writer.is_own and name == "include":
            continue
        if writer.is_own and name == OFFLINE_SEARCH:
            fields["tools"] = [*fields.get("tools", ()), raw]
        elif writer.is_own:
            fields[name] = raw
        elif request.origin == "chat":
            fields.setdefault(name, raw)
        else:
            writer.lose(LossKind.UNKNOWN, name)
