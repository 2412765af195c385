"""The turns of a request, read into the middle form: each function's result is linked to its call."""

from __future__ import annotations

from functools import partial

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.gemini.fields import fields_of, list_of, text_in
from tollway.dialects.gemini.parts import is_made_up, made_up_id, read_part
from tollway.dialects.generation.request import Json, Message, Part, Role, Text, ToolCall, ToolResult

_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user", "tool": "user", "": "user"}


def read_instruction(raw: Json | None) -> list[Message]:
    """`systemInstruction`: a turn, or its text alone, as Google's SDKs take it."""
    if raw is None:
        return []
    if memoryview(raw)[0] == 0x22:
        return [Message(role="system", parts=[Text(text=msgspec.json.decode(raw, type=str))])]
    fields = fields_of(raw, "systemInstruction")
    parts = _read_parts(fields.get("parts"), "systemInstruction.parts", "system")
    return [Message(role="system", parts=parts)] if parts else []


def read_contents(raw: Json) -> list[Message]:
    """`contents`. Raises `InvalidRequest` naming what is wrong."""
    messages: list[Message] = []
    links = _Links()
    for turn, each in enumerate(list_of(raw, "contents")):
        path = f"contents[{turn}]"
        fields = fields_of(each, path)
        name = text_in(fields, "role", path) or ""
        role = _ROLES.get(name.lower())
        if role is None:
            raise InvalidRequest(f"'{path}.role' must be user or model, not '{name}'.", param="contents")
        parts = _read_parts(fields.get("parts"), f"{path}.parts", str(turn))
        links.link(parts, role, turn)
        messages.append(Message(role=role, parts=parts))
    return messages


def _read_parts(raw: Json | None, path: str, turn: str) -> list[Part]:
    parts: list[Part] = []
    for number, each in enumerate(list_of(raw, path)):
        calls = sum(isinstance(part, ToolCall) for part in parts)
        parts += read_part(each, f"{path}[{number}]", partial(made_up_id, turn, calls))
    return parts


class _Links:
    """Calls that were not answered yet, in their order."""

    def __init__(self) -> None:
        self._waiting: list[ToolCall] = []
        self._was_model = False

    def link(self, parts: list[Part], role: Role, turn: int) -> None:
        """Takes note of a turn's calls, and gives its results the ids of the calls they answer."""
        if role == "assistant" and not self._was_model:
            self._waiting = []  # what is not answered by now never will be
        self._was_model = role == "assistant"
        orphans = 0
        for part in parts:
            if isinstance(part, ToolCall):
                self._waiting.append(part)
            elif isinstance(part, ToolResult):
                call = self._answered(part)
                if call is not None:
                    self._waiting.remove(call)
                    part.call_id, part.name = call.id, part.name or call.name
                elif not part.call_id:
                    part.call_id = made_up_id(f"orphan_{turn}", orphans)
                    orphans += 1

    def _answered(self, result: ToolResult) -> ToolCall | None:
        """By id, else the first that has none and has the result's name; without a name simply the first.

        Gemini CLI gives results ids of its own, while their calls have none.
        """
        named = next((call for call in self._waiting if call.id == result.call_id), None)
        if named is not None:
            return named
        unnamed = [call for call in self._waiting if is_made_up(call.id)] if result.call_id else self._waiting
        return next((call for call in unnamed if not result.name or call.name == result.name), None)
