"""A Messages request, read into the middle form.

Source: Anthropic API reference, "Create a Message" (https://platform.claude.com/docs/en/api/messages).
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.generation.request import (
    AnyTool,
    CacheHint,
    Effort,
    Json,
    Message,
    Opaque,
    OpaqueTool,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolChoice,
    WebSearch,
)
from tollway.dialects.messages.blocks import cache_hint, read_blocks, rest_of
from tollway.dialects.messages.instructions import BILLING_KIND, is_billing
from tollway.dialects.messages.wire import NULL, UNREADABLE

_SCALARS: dict[str, tuple[str, Any, str]] = {
    # field: (attribute of the middle form, type, what is expected)
    "max_tokens": ("max_output_tokens", int | None, "an integer"),
    "temperature": ("temperature", float | None, "a number"),
    "top_p": ("top_p", float | None, "a number"),
    "top_k": ("top_k", int | None, "an integer"),
    "service_tier": ("service_tier", str | None, "a string"),
}
_READ_APART = frozenset(
    {
        "model", "messages", "system", "stream", "stop_sequences", "tools", "tool_choice", "thinking", "output_config",
        "output_format", "metadata", "cache_control",
    }
)  # fmt: skip
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def parse_request(fields: Fields, *, model: str, is_stream: bool) -> Request:
    """Reads a request's top level. Raises `InvalidRequest` naming the field that is wrong."""
    request = Request(origin="messages", model=model, messages=_messages(fields), is_stream=is_stream)
    for name, (attribute, type_, expected) in _SCALARS.items():
        raw = fields.get(name, NULL)
        if raw != NULL:
            setattr(request, attribute, _typed(raw, name, type_, expected))
    if request.max_output_tokens is None:
        raise InvalidRequest("max_tokens: Field required", param="max_tokens")
    request.stop = _typed(fields.get("stop_sequences", NULL), "stop_sequences", list[str] | None, "strings") or []
    request.tools = _tools(fields)
    _tool_choice(fields, request)
    request.extra = {name: raw for name, raw in fields.items() if name not in _SCALARS and name not in _READ_APART}
    request.reasoning = _reasoning(fields, request.extra)
    request.format = _format(fields)
    request.user = _user(fields)
    request.cache = _cache(fields.get("cache_control"), "cache_control")
    _keep_rest(fields, "output_config", _IN_OUTPUT_CONFIG, request.extra)
    _keep_rest(fields, "metadata", _IN_METADATA, request.extra)
    return request


_IN_OUTPUT_CONFIG = frozenset({"effort", "format"})
_IN_METADATA = frozenset({"user_id"})


def _keep_rest(fields: Fields, name: str, read: frozenset[str], extra: dict[str, Json]) -> None:
    """What an object has besides the known: it is merged into that object again."""
    raw = fields.get(name, NULL)
    if raw == NULL:
        return
    rest = rest_of(_typed(raw, name, dict[str, msgspec.Raw], "an object"), read)
    if rest:
        extra[name] = msgspec.Raw(msgspec.json.encode(rest))


def _cache(raw: msgspec.Raw | None, name: str) -> CacheHint | None:
    try:
        return cache_hint(raw)
    except UNREADABLE:
        raise InvalidRequest(f"{name}: must be an object with a type.", param=name) from None


class _MessageWire(msgspec.Struct, gc=False):
    role: str
    content: msgspec.Raw


def _messages(fields: Fields) -> list[Message]:
    messages: list[Message] = []
    system = fields.get("system", NULL)
    if system != NULL:
        messages.append(Message(role="system", parts=[_no_billing(part) for part in read_blocks(system, "system")]))
    wires: list[_MessageWire] = _typed(
        fields.get("messages", NULL), "messages", list[_MessageWire], "a list of messages with a role and content"
    )
    for number, wire in enumerate(wires):
        role = _ROLES.get(wire.role)
        if role is None:
            raise InvalidRequest(
                f"messages.{number}.role: '{wire.role}' is not one of user, assistant.", param="messages"
            )
        messages.append(Message(role=role, parts=read_blocks(wire.content, f"messages.{number}.content")))
    return messages


def _no_billing(part: Part) -> Part:
    """A part of `system`; what is for Anthropic's accounts is no instruction to anybody else's model."""
    if isinstance(part, Text) and is_billing(part.text):
        raw = msgspec.json.encode({"type": "text", "text": part.text})
        return Opaque(origin="messages", kind=BILLING_KIND, raw=msgspec.Raw(raw))
    return part


class _ToolWire(msgspec.Struct, gc=False):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = NULL
    strict: bool | None = None
    cache_control: msgspec.Raw = NULL
    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: msgspec.Raw = NULL


_IN_TOOLS = frozenset({"name", "type", "description", "input_schema", "strict", "cache_control"})


def _tools(fields: Fields) -> list[AnyTool]:
    raws: list[msgspec.Raw] = _typed(fields.get("tools", NULL), "tools", list[msgspec.Raw] | None, "a list") or []
    return [_tool(raw) for raw in raws]


def _tool(raw: msgspec.Raw) -> AnyTool:
    wire: _ToolWire = _typed(raw, "tools", _ToolWire, "a list of tools with a name and an input_schema")
    cache = _cache(wire.cache_control, "tools.cache_control")
    if wire.type in (None, "custom"):
        return Tool(
            name=wire.name,
            description=wire.description,
            parameters=None if wire.input_schema == NULL else wire.input_schema,
            is_strict=wire.strict,
            cache=cache,
            extra=rest_of(_typed(raw, "tools", dict[str, msgspec.Raw], "a list of objects"), _IN_TOOLS),
        )
    assert wire.type is not None
    if not wire.type.startswith("web_search"):
        return OpaqueTool(origin="messages", kind=wire.type, raw=raw)
    return WebSearch(
        max_uses=wire.max_uses,
        allowed_domains=wire.allowed_domains,
        blocked_domains=wire.blocked_domains,
        user_location=None if wire.user_location == NULL else wire.user_location,
        cache=cache,
        origin="messages",
        raw=raw,
    )


class _ChoiceWire(msgspec.Struct, gc=False):
    type: str
    name: str = ""
    disable_parallel_tool_use: bool | None = None


def _tool_choice(fields: Fields, request: Request) -> None:
    raw = fields.get("tool_choice", NULL)
    if raw == NULL:
        return
    wire: _ChoiceWire = _typed(raw, "tool_choice", _ChoiceWire, "an object with a type")
    if wire.type == "tool":
        request.tool_choice = ToolChoice(mode="tool", names=(wire.name,))
    elif wire.type in ("auto", "any", "none"):
        request.tool_choice = ToolChoice(mode="required" if wire.type == "any" else wire.type)  # type: ignore[arg-type]  # auto or none
    else:
        raise InvalidRequest(
            f"tool_choice.type: '{wire.type}' is not one of auto, any, tool, none.", param="tool_choice"
        )
    if wire.disable_parallel_tool_use is not None:
        request.allows_parallel_tools = not wire.disable_parallel_tool_use


class _ThinkingWire(msgspec.Struct, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(msgspec.Struct, gc=False):
    effort: Effort | None = None
    format: msgspec.Raw = NULL


def _output_config(fields: Fields) -> _OutputConfig:
    raw = fields.get("output_config", NULL)
    if raw == NULL:
        return _OutputConfig()
    config: _OutputConfig = _typed(raw, "output_config", _OutputConfig, "an object; its effort one of low to max")
    return config


_THINKING_TYPES = frozenset({"enabled", "adaptive", "disabled"})


def _reasoning(fields: Fields, extra: dict[str, Json]) -> Reasoning | None:
    effort = _output_config(fields).effort
    raw = fields.get("thinking", NULL)
    if raw == NULL:
        return Reasoning(effort=effort) if effort is not None else None
    wire: _ThinkingWire = _typed(raw, "thinking", _ThinkingWire, "an object with a type")
    if wire.type not in _THINKING_TYPES:  # `between_tools` and whatever comes next
        extra["thinking"] = raw
        return Reasoning(effort=effort) if effort is not None else None
    if wire.type == "enabled" and wire.budget_tokens is None:
        raise InvalidRequest("thinking.budget_tokens: Field required", param="thinking")
    return Reasoning(
        effort=effort,
        budget_tokens=wire.budget_tokens if wire.type == "enabled" else None,
        is_adaptive=wire.type == "adaptive",
        is_off=wire.type == "disabled",
        summary=_SUMMARIES.get(wire.display or ""),
    )


_SUMMARIES = {"omitted": "none", "summarized": "auto"}


class _FormatWire(msgspec.Struct, gc=False):
    type: str
    schema: msgspec.Raw = NULL


def _format(fields: Fields) -> OutputFormat | None:
    raw = _output_config(fields).format
    if raw == NULL:
        raw = fields.get("output_format", NULL)
    if raw == NULL:
        return None
    wire: _FormatWire = _typed(raw, "output_config.format", _FormatWire, "an object with a type and a schema")
    if wire.type != "json_schema":
        raise InvalidRequest(
            f"output_config.format.type: '{wire.type}' is not json_schema.", param="output_config.format"
        )
    return OutputFormat(kind="json_schema", schema=None if wire.schema == NULL else wire.schema, is_strict=True)


class _Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


def _user(fields: Fields) -> str | None:
    raw = fields.get("metadata", NULL)
    metadata: _Metadata | None = _typed(raw, "metadata", _Metadata | None, "an object")
    return metadata.user_id if metadata is not None else None


def _typed(raw: msgspec.Raw, name: str, type_: Any, expected: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=type_)
    except UNREADABLE as error:
        where = str(error).partition(" - at `$")[2].rstrip("`")
        raise InvalidRequest(f"{name}{where}: must be {expected}.", param=name) from None
