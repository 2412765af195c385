"""A request in the middle form, written for Cohere's chat API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.functions import function_tool
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    Media,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    budget_for,
)
from tollway.dialects.generation.unsaid import unsaid
from tollway.dialects.generation.writer import Writer

_REASONS = re.compile(r"reasoning|command-a-plus")
"""Models that think before they answer; the others refuse to be told how long (checked 2026-11-26)."""

_OWN = frozenset({"documents", "citation_options", "safety_mode", "strict_tools", "priority"})
"""Fields of Cohere alone, which callers of any format may send."""

_LEAST_P, _MOST_P = 0.01, 0.99
_MOST_K = 500


class _CohereWriter(Writer):
    """Collects the documents and the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.documents: list[dict[str, Any]] = []
        self.losses |= dict.fromkeys(unsaid(request))
        self.reasons = _REASONS.search(target.model.lower()) is not None


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what Cohere cannot be told."""
    writer = _CohereWriter(request, target)
    messages = [wire for message in request.messages for wire in _message(message, writer)]
    fields: dict[str, Any] = {"model": target.model, "messages": messages}
    if request.is_stream:
        fields["stream"] = True
    if writer.documents:
        fields["documents"] = writer.documents
    _settings(writer, fields)
    _tools(writer, fields)
    _reasoning(writer, fields)
    for name, raw in request.extra.items():
        if name in _OWN or request.origin == "chat":
            fields.setdefault(name, raw)
        else:
            writer.lose(LossKind.UNKNOWN, name)
    return Rendered(fields=fields, losses=list(writer.losses))


def _settings(writer: _CohereWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    if request.max_output_tokens is not None:
        fields["max_tokens"] = request.max_output_tokens
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    if request.top_p is not None:  # others take 1, which this API refuses
        fields["p"] = min(max(request.top_p, _LEAST_P), _MOST_P)
    if request.top_k is not None:
        fields["k"] = min(request.top_k, _MOST_K)
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.stop:
        fields["stop_sequences"] = request.stop
    for name in ("frequency_penalty", "presence_penalty"):
        _penalty(name, getattr(request, name), writer, fields)
    if request.logprobs is not None:
        fields["logprobs"] = True
        if request.logprobs:
            writer.lose(LossKind.PARAMETER, "top_logprobs")
    if request.format is not None and request.format.kind != "text":
        fields["response_format"] = _format(request.format)


def _penalty(name: str, value: float | None, writer: _CohereWriter, fields: dict[str, Any]) -> None:
    """From 0 to 1, where others take -2 to 2."""
    if value is None:
        return
    fields[name] = min(max(value, 0.0), 1.0)
    if fields[name] != value:
        writer.lose(LossKind.HINT, name)


def _format(wanted: OutputFormat) -> dict[str, Any]:
    schema = {"json_schema": wanted.schema} if wanted.schema is not None else {}
    return {"type": "json_object", **schema}


def _reasoning(writer: _CohereWriter, fields: dict[str, Any]) -> None:
    reasoning = writer.request.reasoning
    if reasoning is None:
        return
    is_off = reasoning.is_off or reasoning.effort == "none"
    if not writer.reasons:
        if not is_off:
            writer.lose(LossKind.HINT, "reasoning")
        return
    if is_off:
        fields["thinking"] = {"type": "disabled"}
        return
    budget = reasoning.budget_tokens
    if budget is None and reasoning.effort is not None:
        budget = budget_for(reasoning.effort)
    fields["thinking"] = {"type": "enabled", **({"token_budget": budget} if budget else {})}


def _tools(writer: _CohereWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    choice = request.tool_choice
    allowed = frozenset(choice.names) if choice is not None and choice.mode != "none" else frozenset()
    tools = [wire for tool in request.tools if (wire := function_tool(tool, allowed, writer)) is not None]
    if not tools:
        return
    fields["tools"] = tools
    if any(isinstance(tool, Tool) and tool.is_strict for tool in request.tools):
        fields["strict_tools"] = True
    if choice is not None and choice.mode != "auto":
        fields["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"


def _message(message: Message, writer: _CohereWriter) -> list[dict[str, Any]]:
    if message.role == "assistant":
        wire = _assistant(message, writer)
        return [wire] if len(wire) > 1 else []
    if message.role == "system":
        return [{"role": "system", "content": _content(message.parts, writer)}]
    return _user(message, writer)


def _user(message: Message, writer: _CohereWriter) -> list[dict[str, Any]]:
    """Results of tools are messages of their own; pictures in them, which those cannot hold, follow as the user's."""
    wires: list[dict[str, Any]] = []
    rest: list[Part] = []
    pictures: list[Part] = []
    for part in message.parts:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        if part.cache is not None:
            writer.lose(LossKind.CACHE_HINT, "messages.cache_control")
        found = [each for each in part.parts if isinstance(each, Media) and each.kind == "image"]
        if found:
            pictures += [Text(text=f"Output of the tool call {part.call_id}:"), *found]
        content = _content([each for each in part.parts if each not in found], writer)
        wires.append({"role": "tool", "tool_call_id": part.call_id, "content": content})
    if rest or pictures or not wires:
        wires.append({"role": "user", "content": _content([*pictures, *rest], writer)})
    return wires


def _assistant(message: Message, writer: _CohereWriter) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant"}
    calls = [_call(part, writer) for part in message.parts if isinstance(part, ToolCall)]
    thoughts = [part for part in message.parts if isinstance(part, Thinking)]
    others = [part for part in message.parts if not isinstance(part, ToolCall | Thinking)]
    text = "".join(thought.text for thought in thoughts)
    content = _parts(others, writer)
    if text and calls:
        wire["tool_plan"] = text
    elif text and writer.reasons:
        content.insert(0, {"type": "thinking", "thinking": text})
    elif thoughts:
        writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
    if content:
        wire["content"] = _plain(content)
    if calls:
        wire["tool_calls"] = calls
    return wire


def _call(call: ToolCall, writer: _CohereWriter) -> dict[str, Any]:
    if call.cache is not None:
        writer.lose(LossKind.CACHE_HINT, "messages.cache_control")
    arguments = call.arguments or "{}"
    if call.is_custom:
        arguments = msgspec.json.encode({"input": call.arguments}).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _content(parts: list[Part], writer: _CohereWriter) -> Any:
    return _plain(_parts(parts, writer))


def _plain(content: list[dict[str, Any]]) -> Any:
    """A single text as a string."""
    if not content:
        return ""
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content


def _parts(parts: Sequence[Part], writer: _CohereWriter) -> list[dict[str, Any]]:
    return [wire for part in parts if (wire := _part(part, writer)) is not None]


def _part(part: Part, writer: _CohereWriter) -> dict[str, Any] | None:
    match part:
        case Text():
            if part.cache is not None:
                writer.lose(LossKind.CACHE_HINT, "messages.content.cache_control")
            return {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "text", "text": part.text}
        case Media():
            return _media(part, writer)
        case Opaque():
            writer.lose(LossKind.PART, f"messages.content.{part.kind}")
        case ToolCall() | ToolResult() | Thinking():
            writer.lose(LossKind.PART, "messages.content")
    return None


def _media(part: Media, writer: _CohereWriter) -> dict[str, Any] | None:
    if part.cache is not None:
        writer.lose(LossKind.CACHE_HINT, "messages.content.cache_control")
    if part.text is not None and part.wants_citations:  # only what is given as a document can be cited
        described = {"title": part.title or part.filename, "context": part.context, "text": part.text}
        data = {name: value for name, value in described.items() if value is not None}
        writer.documents.append({"id": f"doc_{len(writer.documents)}", "data": data})
        return None
    if part.text is not None:
        return {"type": "text", "text": f"{part.title}\n\n{part.text}" if part.title else part.text}
    url = f"data:{part.media_type or 'image/png'};base64,{part.data}" if part.data is not None else part.url
    if part.kind != "image" or url is None:
        writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
        return None
    detail = {"detail": part.detail} if part.detail is not None else {}
    return {"type": "image_url", "image_url": {"url": url, **detail}}
