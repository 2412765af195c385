"""Items of the Responses API, read into messages and parts of the middle form.

`input` is a flat list. Items that belong to one turn of the assistant become one message, results of tools one turn of
the user.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.chat.fields import NULL
from tollway.dialects.generation.request import Message, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from tollway.dialects.responses.parts import content_part, read_content
from tollway.dialects.responses.search import LATER, read_search
from tollway.dialects.responses.thoughts import read_thoughts
from tollway.dialects.responses.tools import flat_name
from tollway.dialects.responses.wire import ItemWire, ReasoningText, TypedWire, given, read_item, read_typed

_SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = ("user", "assistant", "system", "developer")
_OF_THE_USER = frozenset({"mcp_approval_response", "compaction_trigger", "configuration_update"})
"""Items that the caller made, besides those whose type ends in `_output`."""
_SEALS_WHAT_IS_BEFORE = "gemini"
"""Whose seals belong to a call or text: they travel as a reasoning item of their own behind it."""


def read_input(fields: Fields) -> list[Message]:
    """The messages of `input`. Raises `InvalidRequest` naming the item that is wrong."""
    raw = fields.get("input")
    if raw is None or raw == NULL:
        return []
    try:
        value: str | list[msgspec.Raw] = msgspec.json.decode(raw, type=str | list[msgspec.Raw])
    except msgspec.DecodeError:
        raise InvalidRequest("'input' must be a string or a list of items.", param="input") from None
    if isinstance(value, str):
        return [Message(role="user", parts=[Text(text=value)])]
    turns = _Turns()
    for number, item in enumerate(value):
        turns.add(item, f"input[{number}]")
    return turns.messages


class _Turns:
    """The conversation so far."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._has_results = False
        """The last message is of results alone: more of them join it."""

    def add(self, raw: msgspec.Raw, path: str) -> None:
        try:
            head = read_typed(raw)
            kind = item_type(head)
            if kind == "message":
                self._message(head, read_item(raw), path)
            elif kind in _RESULTS:
                self._result(read_item(raw), kind, path)
            elif (search := read_search(raw, kind)) is not None:
                self._assistant([search]) if isinstance(search, ToolCall) else self._user([search])
            elif kind == "item_reference":
                raise InvalidRequest(
                    f"{path}: the item '{head.id}' is not known here. Send the item itself, or use "
                    "'previous_response_id'.",
                    param="input",
                )
            elif kind == LATER:
                return  # its tools are declared with the others
            elif kind.endswith("_output") or kind in _OF_THE_USER:
                self._user([Opaque(origin="responses", kind=kind, raw=raw)])
            else:
                self._assistant(output_parts(raw))
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"'{path}' is not an item with a known shape: {error}", param="input") from None

    def _message(self, head: TypedWire, wire: ItemWire, path: str) -> None:
        role = head.role or "user"
        if role not in _ROLES:
            raise InvalidRequest(f"{path}.role: '{role}' is not one of {', '.join(_ROLES)}.", param="input")
        parts = read_content(given(wire.content), f"{path}.content")
        if role == "assistant":
            self._assistant(parts)
            return
        self._has_results = False
        if role in _SYSTEM_ROLES:
            self.messages.append(Message(role="system", parts=parts, is_developer=role == "developer"))
        else:
            self.messages.append(Message(role="user", parts=parts))

    def _result(self, wire: ItemWire, kind: str, path: str) -> None:
        if not wire.call_id:
            raise InvalidRequest(f"{path}.call_id: name the call that this result answers.", param="input")
        parts = read_content(given(wire.output), f"{path}.output")
        self._user([ToolResult(call_id=wire.call_id, name=wire.name, parts=parts, is_custom=_RESULTS[kind])])

    def _user(self, parts: list[Part]) -> None:
        if self._has_results:
            self.messages[-1].parts += parts
        else:
            self.messages.append(Message(role="user", parts=parts))
        self._has_results = True

    def _assistant(self, parts: list[Part]) -> None:
        self._has_results = False
        if not self.messages or self.messages[-1].role != "assistant":
            self.messages.append(Message(role="assistant", parts=[]))
        turn = self.messages[-1].parts
        for part in parts:
            if not (turn and isinstance(part, Thinking) and _put_back(part, turn[-1])):
                turn.append(part)


_RESULTS = {"function_call_output": False, "custom_tool_call_output": True}


def _put_back(thought: Thinking, before: Part) -> bool:
    """Gives a call or text the seal back that travelled behind it."""
    if thought.text or thought.seal is None or thought.seal.origin != _SEALS_WHAT_IS_BEFORE:
        return False
    if not isinstance(before, ToolCall | Text) or before.seal is not None:
        return False
    before.seal = thought.seal
    return True


def item_type(head: TypedWire) -> str:
    """The type of an item; messages and references may leave it out."""
    if head.type:
        return head.type
    return "message" if head.role is not None else "item_reference" if head.id is not None else "unknown"


def output_parts(raw: msgspec.Raw) -> list[Part]:
    """The parts of an item that the model made. Raises `msgspec.DecodeError` if one of a known type is broken."""
    kind = item_type(read_typed(raw))
    reader = _OUTPUT.get(kind)
    parts = reader(read_item(raw)) if reader is not None else []
    if parts or kind == "message":
        return parts
    return [Opaque(origin="responses", kind=kind, raw=raw)]


def _message_parts(wire: ItemWire) -> list[Part]:
    content = given(wire.content)
    if content is None:
        return []
    value: str | list[msgspec.Raw] = msgspec.json.decode(content, type=str | list[msgspec.Raw])
    return [Text(text=value)] if isinstance(value, str) else [content_part(part) for part in value]


def tool_call(wire: ItemWire, *, is_custom: bool) -> ToolCall:
    """A call of a function or of a tool that takes text."""
    return ToolCall(
        id=wire.call_id or wire.id or "",
        name=flat_name(wire.namespace, wire.name or ""),
        arguments=(wire.input if is_custom else wire.arguments) or "",
        is_custom=is_custom,
    )


def thoughts(wire: ItemWire) -> list[Part]:
    """A reasoning item: a part for each text of it, the seal on the last."""
    found = [Thinking(text=piece.text, id=wire.id, is_summary=True) for piece in wire.summary or ()]
    content = given(wire.content)
    if content is not None:
        pieces: list[ReasoningText] = msgspec.json.decode(content, type=list[ReasoningText])
        found += [Thinking(text=piece.text, id=wire.id) for piece in pieces]
    seal = read_thoughts(wire.encrypted_content)
    if seal is not None:
        if not found:
            found.append(Thinking(id=wire.id, is_redacted=True))
        found[-1].seal = seal
    return [*found]


_OUTPUT: dict[str, Callable[[ItemWire], list[Part]]] = {
    "message": _message_parts,
    "function_call": lambda wire: [tool_call(wire, is_custom=False)],
    "custom_tool_call": lambda wire: [tool_call(wire, is_custom=True)],
    "reasoning": thoughts,
}
