"""A request in the middle form, written as a Messages request."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import LossKind, unknown_fields
from tollway.dialects.generation.request import (
    CUSTOM_TOOL_PARAMETERS,
    AnyTool,
    CustomTool,
    Json,
    OpaqueTool,
    Request,
    Tool,
    ToolChoice,
    WebSearch,
)
from tollway.dialects.generation.unsaid import sampling_loss
from tollway.dialects.messages.blocks import write_cache
from tollway.dialects.messages.reasoning import write_reasoning
from tollway.dialects.messages.turns import plain, write_turns
from tollway.dialects.messages.wire import NULL, UNREADABLE
from tollway.dialects.messages.writer import MessagesWriter

DEFAULT_MAX_TOKENS = 4096
"""Anthropic insists on a limit; this one where neither the caller nor the price book knows one."""
_TIERS = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}
"""OpenAI's `default` is what Anthropic calls `standard_only`; its other tiers have no counterpart."""
_IDENTIFYING = re.compile(r"@|^\+?[\d\s().-]{7,}$")
"""The API refuses e-mail addresses and telephone numbers as `metadata.user_id` (BerriAI/litellm#10106)."""

LOST: tuple[tuple[str, str, LossKind], ...] = (
    ("seed", "seed", LossKind.PARAMETER),
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
"""What Anthropic's format has no word for: how callers call it, where it is, and what its loss counts as."""
_MERGED = frozenset({"output_config", "metadata"})
"""Objects of which the middle form knows a part: the rest is in `extra`."""


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what Anthropic's format cannot say."""
    writer = MessagesWriter(request, target)
    system, turns = write_turns(writer)
    fields: dict[str, Any] = {
        "model": target.model,
        "messages": [{"role": role, "content": plain(blocks)} for role, blocks in turns],
    }
    if system:
        fields["system"] = plain(system)
    fields["max_tokens"] = request.max_output_tokens or target.max_output_tokens or DEFAULT_MAX_TOKENS
    _sampling(writer, fields)
    _settings(writer, fields)
    _tools(writer, fields)
    write_reasoning(writer, fields, turns)
    _extra(writer, fields)
    return Rendered(fields=fields, losses=list(writer.losses))


def _sampling(writer: MessagesWriter, fields: dict[str, Any]) -> None:
    """Temperatures go up to 1 here, to 2 elsewhere. The newest models take none but the default."""
    request = writer.request
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p), ("top_k", request.top_k)):
        if value is None or (not writer.model.takes_sampling and value == 1 and name != "top_k"):
            continue
        if not writer.model.takes_sampling:
            writer.lose(LossKind.PARAMETER if name == "temperature" else sampling_loss(request), name)
        elif name == "temperature" and value > 1:
            fields[name] = 1.0
            writer.lose(LossKind.HINT, name)
        else:
            fields[name] = value


def _settings(writer: MessagesWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    if request.stop:
        fields["stop_sequences"] = request.stop
    if request.is_stream:
        fields["stream"] = True
    if request.user is not None and (writer.is_own or _IDENTIFYING.search(request.user) is None):
        fields["metadata"] = {"user_id": request.user}
    elif request.user is not None:
        writer.lose(LossKind.HINT, "user")
    if request.service_tier in _TIERS:
        fields["service_tier"] = _TIERS[request.service_tier]
    elif request.service_tier is not None:
        writer.lose(LossKind.HINT, "service_tier")
    fields.update(write_cache(request.cache))
    _format(writer, fields)
    if request.modalities is not None and request.modalities != ["text"]:
        writer.lose(LossKind.PARAMETER, "modalities")
    if request.choices not in (None, 1):
        writer.lose(LossKind.PARAMETER, "n")
    for field, attribute, kind in LOST:
        if getattr(request, attribute) is not None:
            writer.lose(kind, field)


def _format(writer: MessagesWriter, fields: dict[str, Any]) -> None:
    wanted = writer.request.format
    if wanted is not None and wanted.kind == "json_schema":
        schema = wanted.schema if wanted.schema is not None else {"type": "object"}
        fields["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif wanted is not None and wanted.kind == "json_object":
        writer.lose(LossKind.PARAMETER, "response_format")


def _extra(writer: MessagesWriter, fields: dict[str, Any]) -> None:
    """Fields of Anthropic's own; in chat, existing clients send them too."""
    if not writer.is_own:
        for loss in unknown_fields(writer.request):
            writer.lose(loss.kind, loss.field)
    for name, raw in writer.request.extra.items():
        if writer.request.origin not in ("messages", "chat"):
            writer.lose(LossKind.UNKNOWN, name)
        elif name in _MERGED and name in fields:
            fields[name] |= _object(raw, name)
        else:
            fields.setdefault(name, raw)


def _object(raw: Json, name: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        raise InvalidRequest(f"{name}: must be an object.", param=name) from None


def _tools(writer: MessagesWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    choice = request.tool_choice
    allowed = choice.names if choice is not None and choice.mode in ("auto", "required") else ()
    tools = [
        wire
        for tool in request.tools
        if (not allowed or getattr(tool, "name", None) in allowed) and (wire := _tool(tool, writer)) is not None
    ]
    if not tools:
        return
    fields["tools"] = tools
    if choice is not None or request.allows_parallel_tools is False:
        fields["tool_choice"] = _tool_choice(choice, request.allows_parallel_tools)


_MODES = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}


def _tool_choice(choice: ToolChoice | None, allows_parallel: bool | None) -> dict[str, Any]:
    """Which tool. Where only some are allowed, the others are not among the tools."""
    wire: dict[str, Any] = {"type": _MODES[choice.mode] if choice is not None else "auto"}
    if choice is not None and choice.mode == "tool":
        wire["name"] = choice.names[0] if choice.names else ""
    if allows_parallel is not None and wire["type"] != "none":
        wire["disable_parallel_tool_use"] = not allows_parallel
    return wire


def _tool(tool: AnyTool, writer: MessagesWriter) -> dict[str, Any] | Json | None:
    match tool:
        case Tool():
            return _function(tool, writer)
        case CustomTool():
            return _custom_tool(tool, writer)
        case WebSearch(origin="messages"):
            return tool.raw
        case WebSearch():
            return _web_search(tool, writer)
        case OpaqueTool(origin="messages" | "chat"):  # existing clients send Anthropic's tools in chat
            return tool.raw
        case OpaqueTool():
            writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
    return None


def _function(tool: Tool, writer: MessagesWriter) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": tool.name}
    if tool.description:
        wire["description"] = tool.description
    wire["input_schema"] = _schema(tool.parameters)
    if tool.is_strict or (tool.is_strict is not None and writer.is_own):
        wire["strict"] = tool.is_strict
    if writer.is_own:
        wire |= tool.extra
    return wire | write_cache(tool.cache)


def _schema(parameters: Json | None) -> Any:
    """The API wants `type: object`, which others do without where a function takes nothing."""
    if parameters is None:
        return {"type": "object"}
    try:
        fields = msgspec.json.decode(parameters, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return parameters
    return parameters if fields.get("type", NULL) != NULL else {**fields, "type": "object"}


class _Grammar(msgspec.Struct, gc=False):
    syntax: str = ""
    definition: str = ""


def _custom_tool(tool: CustomTool, writer: MessagesWriter) -> dict[str, Any]:
    """A function with one text. A grammar cannot be enforced; the model is told of it."""
    description = tool.description or ""
    if tool.format is not None:
        grammar = msgspec.json.decode(tool.format, type=_Grammar)
        if grammar.definition:
            writer.lose(LossKind.HINT, "tools.format")
            description += f"\n\nThe input follows this grammar ({grammar.syntax}):\n{grammar.definition}"
    described = {"description": description.strip()} if description else {}
    return {"name": tool.name, **described, "input_schema": CUSTOM_TOOL_PARAMETERS, **write_cache(tool.cache)}


def _web_search(tool: WebSearch, writer: MessagesWriter) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
    for name in ("max_uses", "allowed_domains", "blocked_domains", "user_location"):
        value = getattr(tool, name)
        if value is not None:
            wire[name] = value
    if tool.context_size is not None:
        writer.lose(LossKind.HINT, "tools.web_search.search_context_size")
    return wire | write_cache(tool.cache)
