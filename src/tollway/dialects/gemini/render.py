"""A request in the middle form, written as a generateContent request.

Source: https://ai.google.dev/api/generate-content, checked 2026-11-26. The model and streaming are said by the path.
"""

from __future__ import annotations

from typing import Any

from tollway.dialects.gemini.schema import takes_nothing, to_google_schema
from tollway.dialects.gemini.thinking import thinking_config
from tollway.dialects.gemini.turns import write_messages
from tollway.dialects.gemini.writer import GeminiWriter
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import LossKind, unknown_fields
from tollway.dialects.generation.request import (
    CustomTool,
    Json,
    OpaqueTool,
    OutputFormat,
    Request,
    Tool,
    ToolChoice,
    WebSearch,
)

_PLAIN: tuple[tuple[str, str], ...] = (
    ("maxOutputTokens", "max_output_tokens"),
    ("temperature", "temperature"),
    ("topP", "top_p"),
    ("topK", "top_k"),
    ("candidateCount", "choices"),
    ("seed", "seed"),
    ("presencePenalty", "presence_penalty"),
    ("frequencyPenalty", "frequency_penalty"),
)
_UNSAYABLE: tuple[tuple[str, LossKind], ...] = (
    ("min_p", LossKind.PARAMETER),
    ("logit_bias", LossKind.PARAMETER),
    ("prediction", LossKind.PARAMETER),
    ("audio", LossKind.PARAMETER),
    ("user", LossKind.HINT),
    ("metadata", LossKind.HINT),
    ("store", LossKind.HINT),
    ("service_tier", LossKind.HINT),
    ("prompt_cache_key", LossKind.HINT),
    ("verbosity", LossKind.HINT),
)
_MOST_STOPS = 5
_INPUT_SCHEMA = {"type": "OBJECT", "properties": {"input": {"type": "STRING"}}, "required": ["input"]}
"""Tools that take free text become functions with one text."""
_SEARCH_HINTS = ("max_uses", "user_location", "context_size")
_SEARCH_BOUNDS = ("allowed_domains", "blocked_domains")
_CALLING = "functionCallingConfig"


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what Gemini cannot say."""
    writer = GeminiWriter(request, target)
    fields = write_messages(request.messages, writer)
    _tools(writer, fields)
    config = _config(writer)
    if config:
        fields["generationConfig"] = config
    if request.safety_settings is not None:
        fields["safetySettings"] = request.safety_settings
    for name, kind in _UNSAYABLE:
        if getattr(request, name) is not None:
            writer.lose(kind, name)
    writer.lose_hint(request.cache, "cache_control")
    for name, raw in request.extra.items():
        _extra(name, raw, writer, fields)
    for loss in () if writer.is_own else unknown_fields(request):
        writer.lose(loss.kind, loss.field)
    return Rendered(fields=fields, losses=list(writer.losses))


def _extra(name: str, raw: Json, writer: GeminiWriter, fields: dict[str, Any]) -> None:
    """What only Gemini knows goes back to where it stood."""
    if writer.request.origin == "chat":
        fields.setdefault(name, raw)
    elif not writer.is_own:
        writer.lose(LossKind.UNKNOWN, name)
    else:
        *path, field = name.split(".")
        place = fields
        for step in path:
            place = place.setdefault(step, {})
        place[field] = raw


def _config(writer: GeminiWriter) -> dict[str, Any]:
    request = writer.request
    config: dict[str, Any] = {}
    for name, attribute in _PLAIN:
        value = getattr(request, attribute)
        if value is not None:
            config[name] = value
    if request.stop:
        config["stopSequences"] = request.stop[:_MOST_STOPS]
        if len(request.stop) > _MOST_STOPS:
            writer.lose(LossKind.PARAMETER, "stop")
    if request.logprobs is not None:
        config["responseLogprobs"] = True
        if request.logprobs:
            config["logprobs"] = request.logprobs
    if request.modalities is not None and (writer.is_own or request.modalities != ["text"]):
        config["responseModalities"] = [name.upper() for name in request.modalities]
    if request.format is not None:
        config |= _format(request.format, writer)
    if request.reasoning is not None:
        thinking = thinking_config(request.reasoning, writer)
        if thinking:
            config["thinkingConfig"] = thinking
    return config


def _format(wanted: OutputFormat, writer: GeminiWriter) -> dict[str, Any]:
    if wanted.kind == "text":
        return {"responseMimeType": "text/plain"} if writer.is_own else {}
    if wanted.description is not None:
        writer.lose(LossKind.HINT, "response_format.description")
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if wanted.kind == "json_schema" and wanted.schema is not None:
        schema = to_google_schema(wanted.schema, is_ordered=True)
        config |= {"responseSchema": schema} if schema is not None else {"responseJsonSchema": wanted.schema}
    return config


def _tools(writer: GeminiWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    functions: list[dict[str, Any]] = []
    others: list[Any] = []
    for tool in request.tools:
        match tool:
            case Tool():
                functions.append(_function(tool, writer))
            case CustomTool():
                functions.append(_custom_tool(tool, writer))
            case WebSearch():
                others.append(_search(tool, writer))
            case OpaqueTool(origin="gemini"):
                others.append(tool.raw)
            case _:
                writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
    declared = [{"functionDeclarations": functions}] if functions else []
    if declared or others:
        fields["tools"] = [*declared, *others]
    if request.tool_choice is not None and (functions or writer.is_own):
        fields["toolConfig"] = {_CALLING: _calling(request.tool_choice)}
    if request.allows_parallel_tools is False and functions:
        writer.lose(LossKind.HINT, "parallel_tool_calls")


def _function(tool: Tool, writer: GeminiWriter) -> dict[str, Any]:
    writer.lose_hint(tool.cache, "tools.cache_control")
    if tool.is_strict:
        writer.lose(LossKind.HINT, "tools.strict")
    wire: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.parameters is not None and not takes_nothing(tool.parameters):
        schema = to_google_schema(tool.parameters)
        wire |= {"parameters": schema} if schema is not None else {"parametersJsonSchema": tool.parameters}
    return wire | tool.extra if writer.is_own else wire


def _custom_tool(tool: CustomTool, writer: GeminiWriter) -> dict[str, Any]:
    writer.lose_hint(tool.cache, "tools.cache_control")
    if tool.format is not None and b'"grammar"' in bytes(tool.format):
        writer.lose(LossKind.HINT, "tools.custom.format")
    described = {"description": tool.description} if tool.description is not None else {}
    return {"name": tool.name, **described, "parameters": _INPUT_SCHEMA}


def _search(tool: WebSearch, writer: GeminiWriter) -> Any:
    if tool.origin == "gemini":
        return tool.raw
    writer.lose_hint(tool.cache, "tools.cache_control")
    for name in _SEARCH_HINTS:
        if getattr(tool, name) is not None:
            writer.lose(LossKind.HINT, f"tools.web_search.{name}")
    for name in _SEARCH_BOUNDS:
        if getattr(tool, name):
            writer.lose(LossKind.PARAMETER, f"tools.web_search.{name}")
    return {"googleSearch": {}}


def _calling(choice: ToolChoice) -> dict[str, Any]:
    """Names can be given where a function must be called, and where answers are checked against them."""
    names = {"allowedFunctionNames": list(choice.names)} if choice.names else {}
    match choice.mode:
        case "none":
            return {"mode": "NONE"}
        case "auto":
            return {"mode": "VALIDATED" if names else "AUTO", **names}
        case _:
            return {"mode": "ANY", **names}
