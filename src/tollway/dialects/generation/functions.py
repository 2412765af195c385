"""Functions and their calls, in the shape that most formats share."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    CUSTOM_TOOL_PARAMETERS,
    AnyTool,
    CustomTool,
    OpaqueTool,
    Tool,
    ToolCall,
    WebSearch,
)
from tollway.dialects.generation.writer import Writer

_NO_PARAMETERS = {"type": "object", "properties": {}}


def arguments_object(call: ToolCall) -> Any:
    """Arguments as an object. Text that is no object is put into one, so that a model that wrote broken JSON gets to
    see its own text."""
    if call.is_custom:
        return {"input": call.arguments}
    text = call.arguments.strip()
    if not text:
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"arguments": call.arguments}
    return msgspec.Raw(text.encode()) if isinstance(value, dict) else {"arguments": value}


def function_tool(tool: AnyTool, allowed: frozenset[str], writer: Writer) -> dict[str, Any] | None:
    """A tool for formats that have functions and no others; None for one that is lost or not among the `allowed`.

    To force one of several, it is the only one that is offered.
    """
    match tool:
        case Tool() | CustomTool():
            if tool.cache is not None:
                writer.lose(LossKind.CACHE_HINT, "tools.cache_control")
            if allowed and tool.name not in allowed:
                return None
            function: dict[str, Any] = {"name": tool.name}
            if tool.description is not None:
                function["description"] = tool.description
            if isinstance(tool, CustomTool):
                function["parameters"] = CUSTOM_TOOL_PARAMETERS
            else:
                function["parameters"] = tool.parameters if tool.parameters is not None else _NO_PARAMETERS
            return {"type": "function", "function": function}
        case WebSearch():
            writer.lose(LossKind.TOOL, "tools.web_search")
        case OpaqueTool():
            writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
    return None
