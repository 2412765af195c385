"""Tools of the Responses API and their choice, read into the middle form and written from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.chat.fields import NULL, typed
from tollway.dialects.generation.request import (
    AnyTool,
    ClientSearch,
    CustomTool,
    Namespace,
    OpaqueTool,
    Tool,
    ToolChoice,
    WebSearch,
)
from tollway.dialects.responses.search import NAME, defined_later, is_clients
from tollway.dialects.responses.wire import ABSENT, given, read_typed

_EMPTY_SCHEMA = {"type": "object", "properties": {}}
_SEPARATOR = "__"


def flat_name(namespace: str | None, name: str) -> str:
    """What a tool of a namespace is called where there are none. Codex ends some namespaces with `__` itself."""
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith(_SEPARATOR) else f"{namespace}{_SEPARATOR}{name}"


def own_name(tool: Tool | CustomTool) -> str:
    """What a tool is called within its namespace."""
    if tool.namespace is None:
        return tool.name
    return tool.name.removeprefix(tool.namespace.name).removeprefix(_SEPARATOR)


class _ToolWire(msgspec.Struct, gc=False):
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None
    format: msgspec.Raw = ABSENT
    tools: list[msgspec.Raw] | None = None


class _Filters(msgspec.Struct, gc=False):
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None


class _WebSearchWire(msgspec.Struct, gc=False):
    search_context_size: str | None = None
    user_location: msgspec.Raw = ABSENT
    filters: _Filters | None = None


class _Reach(msgspec.Struct, gc=False):
    external_web_access: bool | None = None


def is_offline(tool: AnyTool) -> bool:
    """Whether a web search may only look into what OpenAI has indexed: Codex offers that in every call."""
    if not isinstance(tool, WebSearch) or tool.origin != "responses":
        return False
    return msgspec.json.decode(tool.raw, type=_Reach).external_web_access is False


def read_tools(fields: Fields) -> list[AnyTool]:
    """`tools`, and those that the caller declared later, in `input`. Those of a namespace come one by one, under their
    flat names."""
    raw = fields.get("tools")
    declared: list[msgspec.Raw] = []
    if raw is not None and raw != NULL:
        declared = typed(raw, "tools", list[msgspec.Raw], "a list of tools, each with a type")
    tools = _read_each(declared)
    later = defined_later(fields)
    if later:
        by_name = {tool.name: tool for tool in _read_each(later) if isinstance(tool, Tool | CustomTool)}
        known = {tool.name for tool in tools if isinstance(tool, Tool | CustomTool)}
        tools += [tool for name, tool in by_name.items() if name not in known]
    return tools


def _read_each(raws: list[msgspec.Raw]) -> list[AnyTool]:
    tools: list[AnyTool] = []
    for each in raws:
        kind: str = typed(each, "tools", _Kind, "a list of tools, each with a type").type
        if kind == "namespace":
            tools += _read_namespace(each)
        else:
            tools.append(_read_tool(each, kind, None))
    return tools


class _Kind(msgspec.Struct, gc=False):
    type: str = "function"


def _read_namespace(raw: msgspec.Raw) -> list[AnyTool]:
    wire: _ToolWire = typed(raw, "tools", _ToolWire, "a list of tools; a namespace has a name and tools")
    namespace = Namespace(wire.name, wire.description or "")
    inner = [_read_tool(each, read_typed(each).type or "function", namespace) for each in wire.tools or ()]
    if any(isinstance(tool, OpaqueTool | WebSearch) for tool in inner):
        return [OpaqueTool(origin="responses", kind="namespace", raw=raw)]
    return inner


def _read_tool(raw: msgspec.Raw, kind: str, namespace: Namespace | None) -> AnyTool:
    if kind.startswith("web_search"):
        web: _WebSearchWire = typed(raw, "tools", _WebSearchWire, "a list of tools")
        filters = web.filters or _Filters()
        return WebSearch(
            context_size=web.search_context_size,
            user_location=given(web.user_location),
            allowed_domains=filters.allowed_domains,
            blocked_domains=filters.blocked_domains,
            origin="responses",
            raw=raw,
        )
    if kind == NAME and is_clients(raw):
        search: _ToolWire = typed(raw, "tools", _ToolWire, "a list of tools")
        return ClientSearch(name=NAME, description=search.description, parameters=given(search.parameters), raw=raw)
    if kind not in ("function", "custom"):
        return OpaqueTool(origin="responses", kind=kind, raw=raw)
    wire: _ToolWire = typed(raw, "tools", _ToolWire, "a list of tools, each with a name")
    if not wire.name:
        raise InvalidRequest("tools: a function needs a 'name' beside its 'type'.", param="tools")
    name = flat_name(namespace.name if namespace is not None else None, wire.name)
    if kind == "custom":
        return CustomTool(name=name, namespace=namespace, description=wire.description, format=given(wire.format))
    return Tool(
        name=name,
        namespace=namespace,
        description=wire.description,
        parameters=given(wire.parameters),
        is_strict=wire.strict,
    )


class _ChoiceWire(msgspec.Struct, gc=False):
    type: str = "function"
    name: str | None = None
    namespace: str | None = None
    mode: str = "auto"
    tools: list[_ChoiceWire] | None = None


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    """`tool_choice`; None as well for one that only the Responses API knows."""
    raw = fields.get("tool_choice")
    if raw is None or raw == NULL:
        return None
    wire: str | _ChoiceWire = typed(raw, "tool_choice", str | _ChoiceWire, "a string or an object")
    if isinstance(wire, str):
        if wire not in ("auto", "none", "required"):
            raise InvalidRequest(f"tool_choice: '{wire}' is not one of auto, none, required.", param="tool_choice")
        return ToolChoice(mode=wire)  # type: ignore[arg-type]  # checked above
    if wire.type == "allowed_tools":
        tools = wire.tools or []
        if not tools or not all(map(_is_named, tools)):
            return None
        names = tuple(flat_name(tool.namespace, tool.name or "") for tool in tools)
        return ToolChoice(mode="required" if wire.mode == "required" else "auto", names=names)
    return ToolChoice(mode="tool", names=(flat_name(wire.namespace, wire.name or ""),)) if _is_named(wire) else None


def _is_named(wire: _ChoiceWire) -> bool:
    return wire.type in ("function", "custom") and bool(wire.name)


def render_tool(tool: AnyTool, *, is_own: bool) -> dict[str, Any] | msgspec.Raw | None:
    """A tool; None for one that only another dialect knows. `is_own`: the request came in this dialect.

    A function that says nothing of it is strict here and is not in any other dialect, so for those it is said.
    """
    match tool:
        case ClientSearch():
            return tool.raw
        case Tool():
            wire: dict[str, Any] = {"type": "function", "name": own_name(tool)}
            if tool.description is not None:
                wire["description"] = tool.description
            parameters = tool.parameters
            wire["parameters"] = parameters if parameters is not None else None if is_own else _EMPTY_SCHEMA
            if tool.is_strict is not None or not is_own:
                wire["strict"] = bool(tool.is_strict)
            return wire
        case CustomTool():
            wire = {"type": "custom", "name": own_name(tool)}
            if tool.description is not None:
                wire["description"] = tool.description
            if tool.format is not None:
                wire["format"] = tool.format
            return wire
        case WebSearch(origin="responses"):
            return tool.raw
        case WebSearch():
            return _render_web_search(tool)
        case OpaqueTool(origin="responses"):
            return tool.raw
    return None


def _render_web_search(tool: WebSearch) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "web_search"}
    if tool.context_size is not None:
        wire["search_context_size"] = tool.context_size
    if tool.user_location is not None:
        wire["user_location"] = tool.user_location
    filters = {"allowed_domains": tool.allowed_domains, "blocked_domains": tool.blocked_domains}
    given = {name: domains for name, domains in filters.items() if domains is not None}
    if given:
        wire["filters"] = given
    return wire


def render_tools(tools: Sequence[AnyTool], *, is_own: bool) -> list[Any]:
    """All tools that can be said, those of a namespace together again."""
    wires: list[Any] = []
    namespaces: dict[str, list[Any]] = {}
    for tool in tools:
        wire = render_tool(tool, is_own=is_own)
        if wire is None:
            continue
        namespace = tool.namespace if isinstance(tool, Tool | CustomTool) else None
        if namespace is None:
            wires.append(wire)
            continue
        if namespace.name not in namespaces:
            namespaces[namespace.name] = []
            wires.append(
                {
                    "type": "namespace",
                    "name": namespace.name,
                    "description": namespace.description,
                    "tools": namespaces[namespace.name],
                }
            )
        namespaces[namespace.name].append(wire)
    return wires


def render_tool_choice(choice: ToolChoice, tools: Sequence[AnyTool]) -> Any:
    """`tool_choice`."""
    by_name = {tool.name: tool for tool in tools if isinstance(tool, Tool | CustomTool)}
    if choice.mode == "tool":
        name = choice.names[0] if choice.names else ""
        is_search = name not in by_name and any(isinstance(tool, WebSearch) for tool in tools)
        return {"type": "web_search"} if is_search else _named(name, by_name)
    if choice.names:
        allowed = [_named(name, by_name) for name in choice.names]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": allowed}
    return choice.mode


def _named(name: str, by_name: dict[str, Tool | CustomTool]) -> dict[str, Any]:
    tool = by_name.get(name)
    kind = "custom" if isinstance(tool, CustomTool) else "function"
    return {"type": kind, **name_fields(name, tool)}


def name_fields(name: str, tool: Tool | CustomTool | None) -> dict[str, str]:
    """`name`, and `namespace` where the tool has one."""
    if tool is None or tool.namespace is None:
        return {"name": name}
    return {"name": own_name(tool), "namespace": tool.namespace.name}
