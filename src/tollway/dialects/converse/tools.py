"""Tools and the choice among them, as Converse's `toolConfig`."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.dialects.converse.content import Block, ConverseWriter
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    CUSTOM_TOOL_PARAMETERS,
    AnyTool,
    CustomTool,
    OpaqueTool,
    Tool,
    ToolCall,
    ToolResult,
    WebSearch,
)

_ANYTHING = {"type": "object"}
_OF_CLAUDE = ("bash_", "computer_", "memory_", "text_editor_")
"""Tools of Anthropic's that Claude has on Bedrock too; they are the client's to run."""
_BETAS = {
    "computer_20241022": "computer-use-2024-10-22",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "memory_20250818": "context-management-2025-06-27",
}
"""What has to be asked for along with a tool."""
_FORBIDDEN_CHOICE = "none"


def write_tools(writer: ConverseWriter, fields: dict[str, Any], more: dict[str, Any]) -> None:
    """`toolConfig`; and what Claude wants beside it."""
    request = writer.request
    used = _used(writer)
    choice = request.tool_choice
    is_forbidden = choice is not None and choice.mode == _FORBIDDEN_CHOICE
    specs: list[Block] = []
    if not is_forbidden or used:
        specs = [block for tool in request.tools for block in _tool(tool, writer, more)]
        if is_forbidden and specs:
            writer.lose(LossKind.PARAMETER, "tool_choice")
    if not any("toolSpec" in block for block in specs):
        # A conversation in which tools were used is refused unless it says which there are.
        specs += [_spec(name, None, _ANYTHING) for name in used]
    if not specs:
        return
    config: dict[str, Any] = {"tools": specs}
    chosen = _choice(writer)
    if chosen is not None:
        config["toolChoice"] = chosen
    fields["toolConfig"] = config
    if request.allows_parallel_tools is False and not is_forbidden:
        if writer.family == "claude" and (choice is None or choice.mode == "auto"):
            more["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
        else:
            writer.lose(LossKind.HINT, "parallel_tool_calls")


def _used(writer: ConverseWriter) -> list[str]:
    """Names of the tools that the conversation so far has used."""
    parts = [part for message in writer.request.messages for part in message.parts]
    names = [part.name for part in parts if isinstance(part, ToolCall)]
    names += [part.name or "tool" for part in parts if isinstance(part, ToolResult)] if not names else []
    return list(dict.fromkeys(names))


def _choice(writer: ConverseWriter) -> dict[str, Any] | None:
    choice = writer.request.tool_choice
    if choice is None or choice.mode == _FORBIDDEN_CHOICE:
        return None
    if choice.mode == "tool":
        return {"tool": {"name": choice.names[0] if choice.names else ""}}
    if choice.names:
        writer.lose(LossKind.PARAMETER, "tool_choice")
    return {"auto": {}} if choice.mode == "auto" else {"any": {}}


def _spec(name: str, description: str | None, schema: Any, *, is_strict: bool = False) -> Block:
    spec: dict[str, Any] = {"name": name}
    if description:
        spec["description"] = description
    spec["inputSchema"] = {"json": schema}
    if is_strict:
        spec["strict"] = True
    return {"toolSpec": spec}


def _tool(tool: AnyTool, writer: ConverseWriter, more: dict[str, Any]) -> list[Block]:
    match tool:
        case Tool():
            schema = tool.parameters if tool.parameters is not None else _ANYTHING
            spec = _spec(tool.name, tool.description, schema, is_strict=bool(tool.is_strict))
            return [spec, *writer.cache_points(tool.cache, "tools")]
        case CustomTool():
            spec = _spec(tool.name, tool.description, CUSTOM_TOOL_PARAMETERS)
            return [spec, *writer.cache_points(tool.cache, "tools")]
        case OpaqueTool(origin="messages" | "chat") if writer.family == "claude" and tool.kind.startswith(_OF_CLAUDE):
            _own_tool(tool, more)
        case OpaqueTool():
            writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
        case WebSearch():
            writer.lose(LossKind.TOOL, "tools.web_search")
    return []


def _own_tool(tool: OpaqueTool, more: dict[str, Any]) -> None:
    tools: list[msgspec.Raw] = more.setdefault("tools", [])
    tools.append(tool.raw)
    beta = _BETAS.get(tool.kind)
    if beta is not None and beta not in more.setdefault("anthropic_beta", []):
        more["anthropic_beta"].append(beta)
