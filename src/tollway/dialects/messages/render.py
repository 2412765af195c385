"""A request in the middle form, written as a Messages request."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import (
    CustomTool,
    Media,
    Message,
    Opaque,
    OpaqueTool,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    WebSearch,
    budget_for,
)
from tollway.dialects.messages.blocks import write_cache, write_citation, write_thinking

_DEFAULT_MAX_TOKENS = 4096
"""Anthropic insists on a limit; this one where neither the caller nor the price book knows one."""
LEAST_BUDGET = 1024
"""https://platform.claude.com/docs/en/build-with-claude/extended-thinking: the minimum of `budget_tokens`."""
KNOWS_EFFORT = re.compile(r"claude-(opus-4-[5-9]|opus-[5-9]|sonnet-4-[6-9]|sonnet-[5-9]|haiku-[5-9]|fable|mythos)")
"""https://platform.claude.com/docs/en/build-with-claude/effort"""
KNOWS_ADAPTIVE = re.compile(r"claude-(opus-4-[6-9]|opus-[5-9]|sonnet-4-[6-9]|sonnet-[5-9]|haiku-[5-9]|fable|mythos)")
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_TIERS = frozenset({"auto", "standard_only"})

_LOST: tuple[tuple[str, str, LossKind], ...] = (
    ("seed", "seed", LossKind.PARAMETER),
    ("n", "choices", LossKind.PARAMETER),
    ("presence_penalty", "presence_penalty", LossKind.PARAMETER),
    ("frequency_penalty", "frequency_penalty", LossKind.PARAMETER),
    ("logprobs", "logprobs", LossKind.PARAMETER),
    ("logit_bias", "logit_bias", LossKind.PARAMETER),
    ("min_p", "min_p", LossKind.PARAMETER),
    ("audio", "audio", LossKind.PARAMETER),
    ("prediction", "prediction", LossKind.HINT),
    ("safetySettings", "safety_settings", LossKind.HINT),
    ("verbosity", "verbosity", LossKind.HINT),
    ("store", "store", LossKind.HINT),
    ("prompt_cache_key", "prompt_cache_key", LossKind.HINT),
    ("metadata", "metadata", LossKind.HINT),
)
_INPUT_SCHEMA = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""Custom tools are functions with one text here."""


class _Writer:
    """Collects the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        self.request = request
        self.target = target
        self.losses: dict[Loss, None] = {}

    def lose(self, kind: LossKind, field: str) -> None:
        self.losses[Loss(kind, field)] = None


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what Anthropic's format cannot say."""
    writer = _Writer(request, target)
    leading = next((at for at, message in enumerate(request.messages) if message.role != "system"), None)
    first = len(request.messages) if leading is None else leading
    fields: dict[str, Any] = {"model": target.model, "messages": _messages(request.messages[first:], writer)}
    system = [block for message in request.messages[:first] for block in _blocks(message.parts, writer)]
    if system:
        fields["system"] = _plain(system)
    fields["max_tokens"] = request.max_output_tokens or target.max_output_tokens or _DEFAULT_MAX_TOKENS
    _settings(writer, fields)
    _tools(writer, fields)
    _reason(writer, fields)
    for name, raw in request.extra.items():
        if request.origin in ("messages", "chat"):
            fields.setdefault(name, raw)
        else:
            writer.lose(LossKind.UNKNOWN, name)
    return Rendered(fields=fields, losses=list(writer.losses))


def _settings(writer: _Writer, fields: dict[str, Any]) -> None:
    request = writer.request
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is not None:
            fields[name] = min(value, 1.0) if name == "temperature" else value
    if request.stop:
        fields["stop_sequences"] = request.stop
    if request.is_stream:
        fields["stream"] = True
    if request.user is not None:
        fields["metadata"] = {"user_id": request.user}
    if request.service_tier in _TIERS:
        fields["service_tier"] = request.service_tier
    elif request.service_tier is not None:
        writer.lose(LossKind.HINT, "service_tier")
    fields.update(write_cache(request.cache))
    wanted = request.format
    if wanted is not None and wanted.kind == "json_schema":
        schema = wanted.schema if wanted.schema is not None else {"type": "object"}
        fields["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif wanted is not None and wanted.kind == "json_object":
        writer.lose(LossKind.PARAMETER, "response_format")
    if request.modalities is not None and request.modalities != ["text"]:
        writer.lose(LossKind.PARAMETER, "modalities")
    for field, attribute, kind in _LOST:
        value = getattr(request, attribute)
        if value is not None and not (attribute == "choices" and value == 1):
            writer.lose(kind, field)


def _tools(writer: _Writer, fields: dict[str, Any]) -> None:
    request = writer.request
    tools = [each for tool in request.tools if (each := _tool(tool, writer)) is not None]
    if not tools:
        return
    fields["tools"] = tools
    choice = request.tool_choice
    if choice is None and request.allows_parallel_tools is not False:
        return
    wire: dict[str, Any] = {"type": "auto"}
    if choice is not None:
        wire["type"] = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}[choice.mode]
        if choice.mode == "tool":
            wire["name"] = choice.names[0] if choice.names else ""
        elif choice.names:
            writer.lose(LossKind.PARAMETER, "tool_choice")
    if request.allows_parallel_tools is not None and wire["type"] != "none":
        wire["disable_parallel_tool_use"] = not request.allows_parallel_tools
    fields["tool_choice"] = wire


def _tool(tool: Any, writer: _Writer) -> dict[str, Any] | msgspec.Raw | None:
    match tool:
        case Tool():
            wire: dict[str, Any] = {"name": tool.name}
            if tool.description:
                wire["description"] = tool.description
            wire["input_schema"] = tool.parameters if tool.parameters is not None else {"type": "object"}
            if tool.is_strict:
                wire["strict"] = True
            return wire | write_cache(tool.cache)
        case CustomTool():
            described = {"description": tool.description} if tool.description else {}
            return {"name": tool.name, **described, "input_schema": _INPUT_SCHEMA, **write_cache(tool.cache)}
        case WebSearch(origin="messages"):
            return tool.raw
        case WebSearch():
            return _web_search(tool)
        case OpaqueTool(origin="messages" | "chat"):  # existing clients send Anthropic's tools in chat
            return tool.raw
        case OpaqueTool():
            writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
    return None


def _web_search(tool: WebSearch) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
    for name in ("max_uses", "allowed_domains", "blocked_domains", "user_location"):
        value = getattr(tool, name)
        if value is not None:
            wire[name] = value
    return wire | write_cache(tool.cache)


def _reason(writer: _Writer, fields: dict[str, Any]) -> None:
    """Thinking. It rules out a temperature other than 1, `top_k`, and forced tools."""
    reasoning = writer.request.reasoning
    if reasoning is None:
        return
    model = writer.target.model
    if reasoning.is_off or reasoning.effort == "none":
        if writer.request.origin == "messages":
            fields["thinking"] = {"type": "disabled"}
        return
    if reasoning.effort is not None and KNOWS_EFFORT.search(model):
        effort = "low" if reasoning.effort == "minimal" else reasoning.effort
        fields.setdefault("output_config", {})["effort"] = effort
    thinking = _thinking(reasoning, model, fields, writer)
    if thinking is None:
        return
    if reasoning.summary == "none":
        thinking["display"] = "omitted"
    fields["thinking"] = thinking
    if fields.get("temperature", 1) != 1:
        del fields["temperature"]
        writer.lose(LossKind.HINT, "temperature")
    if fields.pop("top_k", None) is not None:
        writer.lose(LossKind.HINT, "top_k")
    choice = fields.get("tool_choice")
    if choice is not None and choice["type"] in ("any", "tool"):
        del fields["thinking"]
        writer.lose(LossKind.HINT, "reasoning")


def _thinking(reasoning: Reasoning, model: str, fields: dict[str, Any], writer: _Writer) -> dict[str, Any] | None:
    budget = reasoning.budget_tokens
    if budget is None and (reasoning.is_adaptive or KNOWS_ADAPTIVE.search(model)):
        return {"type": "adaptive"} if reasoning.is_adaptive or reasoning.effort is not None else None
    if budget is None:
        if reasoning.effort is None:
            return None
        budget = budget_for(reasoning.effort)
    budget = max(budget, LEAST_BUDGET)
    if writer.request.max_output_tokens is None:
        fields["max_tokens"] = max(fields["max_tokens"], budget + _DEFAULT_MAX_TOKENS)
        if writer.target.max_output_tokens is not None:
            fields["max_tokens"] = min(fields["max_tokens"], writer.target.max_output_tokens)
    budget = min(budget, fields["max_tokens"] - 1)
    if budget < LEAST_BUDGET:
        writer.lose(LossKind.HINT, "reasoning")
        return None
    return {"type": "enabled", "budget_tokens": budget}


def _messages(messages: list[Message], writer: _Writer) -> list[dict[str, Any]]:
    """Turns alternate: neighbours of one role become one, later instructions are the user's words."""
    turns: list[tuple[str, list[Any]]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        parts = message.parts
        if role == "user":
            parts = sorted(parts, key=lambda part: not isinstance(part, ToolResult))  # results come first
        blocks = _blocks(parts, writer)
        if not blocks:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    if turns and turns[0][0] == "assistant":
        turns.insert(0, ("user", [{"type": "text", "text": "(continue)"}]))  # the API wants a user's turn first
    return [{"role": role, "content": _plain(blocks)} for role, blocks in turns]


def _plain(blocks: list[Any]) -> Any:
    """One text without anything else as a string."""
    only = blocks[0] if len(blocks) == 1 else None
    return only["text"] if isinstance(only, dict) and only.keys() == {"type", "text"} else blocks


def _blocks(parts: list[Part], writer: _Writer) -> list[Any]:
    return [block for part in parts if (block := _block(part, writer)) is not None]


def _block(part: Part, writer: _Writer) -> dict[str, Any] | msgspec.Raw | None:
    match part:
        case Text():
            if not part.text:
                return None  # refused by the API
            cited = [wire for each in part.citations if (wire := write_citation(each)) is not None]
            return {
                "type": "text",
                "text": part.text,
                **({"citations": cited} if cited else {}),
                **write_cache(part.cache),
            }
        case Refusal():
            return {"type": "text", "text": part.text} if part.text else None
        case Media():
            return _media(part, writer)
        case ToolCall():
            return {
                "type": "tool_use",
                "id": clean_id(part.id),
                "name": part.name,
                "input": _input(part),
                **write_cache(part.cache),
            }
        case ToolResult():
            return _result(part, writer)
        case Thinking():
            if part.seal is not None and part.seal.origin in writer.target.seals:
                return write_thinking(part)
            writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
        case Opaque(origin="messages"):
            return part.raw
        case Opaque():
            writer.lose(LossKind.PART, f"messages.content.{part.kind}")
    return None


def _result(part: ToolResult, writer: _Writer) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "tool_result", "tool_use_id": clean_id(part.call_id)}
    blocks = _blocks(part.parts, writer)
    if blocks:
        wire["content"] = _plain(blocks)
    if part.is_error:
        wire["is_error"] = True
    return wire | write_cache(part.cache)


def clean_id(id_: str) -> str:
    """An id in the characters that Anthropic takes; the same for a call and its result."""
    return _NOT_IN_IDS.sub("_", id_) or "_"


def _input(call: ToolCall) -> Any:
    """Arguments as an object. A model that wrote broken JSON gets to see its own text."""
    if call.is_custom:
        return {"input": call.arguments}
    text = call.arguments.strip()
    if not text:
        return {}
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"arguments": call.arguments}
    return msgspec.Raw(text.encode()) if isinstance(value, dict) else {"arguments": value}


def _media(part: Media, writer: _Writer) -> dict[str, Any] | None:
    source: dict[str, Any]
    if part.text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
    elif part.file_id is not None:
        source = {"type": "file", "file_id": part.file_id}
    elif part.url is not None:
        source = {"type": "url", "url": part.url}
    else:
        default = "image/png" if part.kind == "image" else "application/pdf"
        source = {"type": "base64", "media_type": part.media_type or default, "data": part.data}
    if part.kind not in ("image", "file"):
        writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
        return None
    wire: dict[str, Any] = {"type": "image" if part.kind == "image" else "document", "source": source}
    if part.kind == "file":
        described = (("title", part.title or part.filename), ("context", part.context))
        wire |= {name: value for name, value in described if value is not None}
        if part.wants_citations:
            wire["citations"] = {"enabled": True}
    return wire | write_cache(part.cache)
