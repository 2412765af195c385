"""Tools of a chat request and their choice, read into the middle form."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.chat.fields import NULL, cache_hint, objects, present, typed
from tollway.dialects.generation.request import (
    AnyTool,
    CacheHint,
    CustomTool,
    Json,
    OpaqueTool,
    Tool,
    ToolChoice,
    WebSearch,
)


class _FunctionTool(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class _CustomTool(msgspec.Struct, gc=False):
    name: str
    description: str | None = None
    format: msgspec.Raw = NULL


class _ToolWire(msgspec.Struct, gc=False):
    type: str = "function"
    function: _FunctionTool | None = None
    custom: _CustomTool | None = None
    cache_control: msgspec.Raw = NULL


def read_tools(fields: Fields) -> list[AnyTool]:
    """`tools`, the older `functions`, and `web_search_options`."""
    tools: list[AnyTool] = []
    for raw in objects(fields, "tools", msgspec.Raw):
        wire: _ToolWire = typed(raw, "tools", _ToolWire, "a list of tools, each with a type and a function")
        if wire.function is not None:
            tools.append(_function_tool(wire.function, cache_hint(wire.cache_control)))
        elif wire.custom is not None:
            tools.append(
                CustomTool(
                    name=wire.custom.name,
                    description=wire.custom.description,
                    format=_custom_format(wire.custom.format),
                    cache=cache_hint(wire.cache_control),
                )
            )
        else:
            tools.append(OpaqueTool(origin="chat", kind=wire.type, raw=raw))
    tools += [_function_tool(function, None) for function in objects(fields, "functions", _FunctionTool)]
    options = fields.get("web_search_options")
    if options is not None and options != NULL:
        tools.append(_web_search(options))
    return tools


def _function_tool(function: _FunctionTool, cache: CacheHint | None) -> Tool:
    return Tool(
        name=function.name,
        description=function.description,
        parameters=present(function.parameters),
        is_strict=function.strict,
        cache=cache,
    )


class _Grammar(msgspec.Struct, gc=False):
    type: str
    grammar: dict[str, Any] | None = None


def _custom_format(raw: msgspec.Raw | None) -> Json | None:
    """Chat nests a grammar one level deeper than the Responses API, whose form the middle form keeps."""
    if raw is None or raw == NULL:
        return None
    wire: _Grammar = typed(raw, "tools", _Grammar, "custom tools whose format is an object")
    return msgspec.Raw(msgspec.json.encode({"type": wire.type, **(wire.grammar or {})}))


class _WebSearchOptions(msgspec.Struct, gc=False):
    search_context_size: str | None = None
    user_location: dict[str, msgspec.Raw] | None = None


def _web_search(raw: msgspec.Raw) -> WebSearch:
    wire: _WebSearchOptions = typed(raw, "web_search_options", _WebSearchOptions, "an object")
    location = None
    if wire.user_location is not None:
        inner = wire.user_location.get("approximate")
        place = msgspec.json.decode(inner, type=dict[str, Any]) if inner is not None else {}
        location = msgspec.Raw(msgspec.json.encode({"type": "approximate", **place}))
    return WebSearch(context_size=wire.search_context_size, user_location=location, origin="chat", raw=raw)


class _Named(msgspec.Struct, gc=False):
    name: str | None = None


class _Allowed(msgspec.Struct, gc=False):
    mode: str = "auto"
    tools: list[_ChoiceWire] = []


class _ChoiceWire(msgspec.Struct, gc=False):
    type: str = "function"
    function: _Named | None = None
    custom: _Named | None = None
    name: str | None = None
    allowed_tools: _Allowed | None = None

    def chosen(self) -> str:
        named = self.function or self.custom
        return (named.name if named is not None else self.name) or ""


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    """`tool_choice`, or the older `function_call`."""
    raw = fields.get("tool_choice") or fields.get("function_call")
    if raw is None or raw == NULL:
        return None
    wire: str | _ChoiceWire = typed(raw, "tool_choice", str | _ChoiceWire, "a string or an object")
    if isinstance(wire, str):
        if wire not in ("auto", "none", "required", "any"):
            raise InvalidRequest(f"tool_choice: '{wire}' is not one of auto, none, required.", param="tool_choice")
        return ToolChoice(mode="auto" if wire == "auto" else "none" if wire == "none" else "required")
    if wire.allowed_tools is not None:
        names = tuple(tool.chosen() for tool in wire.allowed_tools.tools)
        return ToolChoice(mode="required" if wire.allowed_tools.mode == "required" else "auto", names=names)
    return ToolChoice(mode="tool", names=(wire.chosen(),))
