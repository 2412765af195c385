"""A search among tools that the caller has not declared yet and looks up by itself, as Codex has it (`tool_search` with
`execution: client`).

For other vendors it is a function. Its call goes back to the caller as a `tool_search_call`; the `tool_search_output`
that it answers with is the result of that function, and what is defined in there counts as declared from then on.

Source: OpenAI API reference, "Create a model response": `tool_search`, and the items `tool_search_call`,
`tool_search_output`, `additional_tools`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.dialects.body import Fields
from tollway.dialects.generation.functions import arguments_object
from tollway.dialects.generation.request import Text, ToolCall, ToolResult
from tollway.dialects.responses.wire import ABSENT, given, read_typed

NAME = "tool_search"
CALL = "tool_search_call"
OUTPUT = "tool_search_output"
LATER = "additional_tools"
"""An item that declares tools amid the conversation."""
_DEFINING = (OUTPUT, LATER)
_MARKS = tuple(f'"{kind}"'.encode() for kind in _DEFINING)
_CLIENT = "client"


class _SearchWire(msgspec.Struct, gc=False):
    call_id: str | None = None
    execution: str | None = None
    arguments: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT


class _DefiningWire(msgspec.Struct, gc=False):
    tools: list[msgspec.Raw] = []


_read = msgspec.json.Decoder(_SearchWire).decode
_read_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_defining = msgspec.json.Decoder(_DefiningWire).decode


def is_clients(raw: msgspec.Raw) -> bool:
    """Whether the caller itself runs this search: a tool, a call or an output."""
    return _read(raw).execution == _CLIENT


def read_search(raw: msgspec.Raw, kind: str) -> ToolCall | ToolResult | None:
    """A call of the search or its output; None for another item, and for a search that OpenAI runs."""
    if kind not in (CALL, OUTPUT):
        return None
    wire = _read(raw)
    if wire.execution != _CLIENT or not wire.call_id:
        return None
    if kind == CALL:
        return ToolCall(id=wire.call_id, name=NAME, arguments=bytes(given(wire.arguments) or b"{}").decode())
    found = bytes(given(wire.tools) or b"[]").decode()
    return ToolResult(call_id=wire.call_id, name=NAME, parts=[Text(text=found)])


def defined_later(fields: Fields) -> list[msgspec.Raw]:
    """The definitions of tools that stand in `input`, oldest first."""
    raw = bytes(fields.get("input", b""))
    if not raw.startswith(b"[") or not any(mark in raw for mark in _MARKS):
        return []
    try:
        items = [item for item in _read_items(raw) if read_typed(item).type in _DEFINING]
        return [tool for item in items for tool in _read_defining(item).tools]
    except msgspec.DecodeError:
        return []  # an item of another shape, which defines nothing


def write_call(call: ToolCall) -> dict[str, Any]:
    """A call, apart from the item's own id."""
    arguments = arguments_object(call)
    return {"type": CALL, "status": "completed", "call_id": call.id, "execution": _CLIENT, "arguments": arguments}


def write_output(result: ToolResult) -> dict[str, Any]:
    """The output of a call, as it was read."""
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    tools = msgspec.Raw(text.encode())
    return {"type": OUTPUT, "status": "completed", "call_id": result.call_id, "execution": _CLIENT, "tools": tools}
