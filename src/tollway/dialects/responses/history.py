"""Messages of the middle form, written as the `input` items of the Responses API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    CacheHint,
    ClientSearch,
    CustomTool,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from tollway.dialects.responses.parts import CONTENT, render_citation, render_media
from tollway.dialects.responses.search import write_call, write_output
from tollway.dialects.responses.tools import name_fields

Lose = Callable[[LossKind, str], None]


class HistoryWriter:
    """Writes the messages of one request."""

    def __init__(self, request: Request, seals: frozenset[str], lose: Lose) -> None:
        """`seals`: origins that the target can open."""
        self._request = request
        self._is_own = request.origin == "responses"
        self._seals = seals
        self._lose = lose
        self._tools = {tool.name: tool for tool in request.tools if isinstance(tool, Tool | CustomTool)}
        self._custom_calls = {
            part.id
            for message in request.messages
            for part in message.parts
            if isinstance(part, ToolCall) and part.is_custom
        }
        self._searches: set[str] = set()
        """Calls of the caller's own search among its tools."""
        self._items: list[Any] = []

    def instructions(self) -> str | None:
        """The text of the instructions that begin the request; None if there are none."""
        texts = [self._plain(message) for message in self._request.messages[: self._leading()]]
        return "\n\n".join(texts) if texts else None

    def items(self) -> list[Any]:
        """Everything else."""
        for message in self._request.messages[self._leading() :]:
            if message.name is not None:
                self._lose(LossKind.HINT, "messages.name")
            if message.role == "assistant":
                self._assistant(message)
            elif message.role == "system":
                role = "system" if self._is_own and not message.is_developer else "developer"
                self._message(role, message.parts)
            else:
                self._user(message)
        return self._items

    def _leading(self) -> int:
        """How many messages are `instructions`: this dialect's own developer messages stay where they are."""
        messages = self._request.messages
        for number, message in enumerate(messages):
            if message.role != "system" or (self._is_own and message.is_developer):
                return number
        return len(messages) if self._is_own else 0  # the API wants some input

    def _plain(self, message: Message) -> str:
        texts: list[str] = []
        for part in message.parts:
            if isinstance(part, Text):
                texts.append(part.text)
                self._breakpoint(part.cache, has_place=False)
            else:
                self._lose(LossKind.PART, "instructions")
        return "\n\n".join(texts)

    def _breakpoint(self, hint: CacheHint | None, *, has_place: bool = True) -> dict[str, Any]:
        if hint is None:
            return {}
        if not has_place or not self._is_own:
            self._lose(LossKind.CACHE_HINT, "cache_control")
            return {}
        ttl = {"ttl": "12h"} if hint.ttl == "1h" else {}
        return {"prompt_cache_breakpoint": {"mode": "explicit", **ttl}}

    def _message(self, role: str, parts: list[Part]) -> None:
        content = self._content(parts)
        if content:
            self._items.append({"type": "message", "role": role, "content": content})

    def _user(self, message: Message) -> None:
        waiting: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult) or (isinstance(part, Opaque) and not part.kind.startswith(CONTENT)):
                self._message("user", waiting)
                waiting = []
                self._result(part) if isinstance(part, ToolResult) else self._opaque(part)
            else:
                waiting.append(part)
        self._message("user", waiting)

    def _result(self, result: ToolResult) -> None:
        self._breakpoint(result.cache, has_place=False)
        if result.call_id in self._searches:
            self._items.append(write_output(result))
            return
        is_custom = result.is_custom or result.call_id in self._custom_calls
        output: Any = self._content(result.parts)
        if not result.parts:
            output = ""
        elif len(result.parts) == 1 and isinstance(result.parts[0], Text) and result.parts[0].cache is None:
            output = result.parts[0].text
        self._items.append(
            {
                "type": "custom_tool_call_output" if is_custom else "function_call_output",
                "call_id": result.call_id,
                "output": output,
            }
        )

    def _opaque(self, part: Opaque) -> None:
        if part.origin == "responses":
            self._items.append(part.raw)
        else:
            self._lose(LossKind.PART, f"messages.content.{part.kind}")

    def _content(self, parts: list[Part]) -> list[Any]:
        return [wire for part in parts if (wire := self._content_part(part)) is not None]

    def _content_part(self, part: Part) -> dict[str, Any] | msgspec.Raw | None:
        match part:
            case Text() | Refusal():
                hint = self._breakpoint(part.cache) if isinstance(part, Text) else {}
                return {"type": "input_text", "text": part.text, **hint}
            case Media():
                wire = render_media(part)
                if wire is None:
                    self._lose(LossKind.MEDIA, f"messages.content.{part.kind}")
                    return None
                return wire | self._breakpoint(part.cache)
            case Opaque(origin="responses"):
                return part.raw
            case Opaque():
                self._lose(LossKind.PART, f"messages.content.{part.kind}")
            case _:  # calls, results and thoughts are no content
                self._lose(LossKind.PART, "messages.content")
        return None

    def _assistant(self, message: Message) -> None:
        content: list[Any] = []
        thoughts: list[Thinking] = []
        for part in message.parts:
            if not isinstance(part, Thinking):
                self._unsealed(thoughts)
                thoughts = []
            match part:
                case Text() | Refusal():
                    content.append(self._said(part))
                case Opaque(origin="responses") if part.kind.startswith(CONTENT):
                    content.append(part.raw)
                case Thinking():
                    content = self._flush(content)
                    thoughts = self._think(thoughts, part)
                case ToolCall():
                    content = self._flush(content)
                    self._call(part)
                case Opaque():
                    content = self._flush(content)
                    self._opaque(part)
                case Media():
                    self._lose(LossKind.MEDIA, f"messages.content.{part.kind}")
                case _:  # a result, which no assistant says
                    self._lose(LossKind.PART, "messages.content")
        self._unsealed(thoughts)
        self._flush(content)

    def _flush(self, content: list[Any]) -> list[Any]:
        """What the assistant said. Parts belong to an answer that has an id, and servers that go by the SDK's types
        refuse them without one: what comes from another format and is only a text is written as that."""
        if content:
            only = content[0] if len(content) == 1 and not self._is_own else None
            is_text = isinstance(only, dict) and only.keys() == {"type", "text"}
            said = only["text"] if only is not None and is_text else content
            self._items.append({"type": "message", "role": "assistant", "content": said})
        return []

    def _said(self, part: Text | Refusal) -> dict[str, Any]:
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        if part.seal is not None:
            self._lose(LossKind.FOREIGN_SEAL, "messages.content")
        self._breakpoint(part.cache, has_place=False)
        cited = [wire for citation in part.citations if (wire := render_citation(citation)) is not None]
        annotations = {"annotations": cited} if cited else {}
        return {"type": "output_text", "text": part.text, **annotations}

    def _call(self, call: ToolCall) -> None:
        self._breakpoint(call.cache, has_place=False)
        if call.seal is not None:
            self._lose(LossKind.FOREIGN_SEAL, "messages.tool_calls")
        if isinstance(self._tools.get(call.name), ClientSearch):
            self._searches.add(call.id)
            self._items.append(write_call(call))
            return
        names = name_fields(call.name, self._tools.get(call.name))
        kind, field = ("custom_tool_call", "input") if call.is_custom else ("function_call", "arguments")
        text = call.arguments if call.is_custom else call.arguments or "{}"
        self._items.append({"type": kind, **names, field: text, "call_id": call.id})

    def _think(self, before: list[Thinking], thought: Thinking) -> list[Thinking]:
        """Texts of one reasoning item follow each other, and the last of them is sealed. Returns those that wait."""
        if before and before[-1].id != thought.id:
            self._unsealed(before)
            before = []
        if thought.seal is None:
            return [*before, thought]
        if thought.seal.origin in self._seals:
            self._items.append(self._reasoning([*before, thought]))
        else:
            self._lose(LossKind.FOREIGN_SEAL, "messages.thinking")
        return []

    def _unsealed(self, thoughts: list[Thinking]) -> None:
        """Thoughts without a seal: the API takes its own back, as it stored them under their id."""
        if thoughts and self._is_own:
            self._items.append(self._reasoning(thoughts))
        elif thoughts:
            self._lose(LossKind.FOREIGN_SEAL, "messages.thinking")

    def _reasoning(self, thoughts: list[Thinking]) -> dict[str, Any]:
        item: dict[str, Any] = {"type": "reasoning"}
        if thoughts[0].id is not None:
            item["id"] = thoughts[0].id
        shown = [thought for thought in thoughts if thought.text]
        summary = [thought for thought in shown if thought.is_summary or not self._is_own]
        content = [thought for thought in shown if self._is_own and not thought.is_summary]
        item["summary"] = [{"type": "summary_text", "text": thought.text} for thought in summary]
        if content:
            item["content"] = [{"type": "reasoning_text", "text": thought.text} for thought in content]
        seal = thoughts[-1].seal
        if seal is not None:
            item["encrypted_content"] = seal.data
        return item
