"""A chat stream, read into the events of the middle form.

Servers interleave what the middle form keeps in order: pieces of parallel tool calls, thoughts beside text. One part is
open at a time; pieces of a later tool call wait until the earlier one is complete.
"""

from __future__ import annotations

from typing import Any

import msgspec
from typing_extensions import override

from tollway.core.errors import UpstreamError
from tollway.core.usage import NO_USAGE
from tollway.dialects.chat.answer import citation, images, probabilities, stop_reason, text_and_thoughts
from tollway.dialects.chat.messages import thinking_parts, tool_call
from tollway.dialects.chat.wire import ChunkWire, DeltaChoiceWire, DeltaWire, FunctionWire, MessageWire, ToolCallWire
from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Failed,
    Metered,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stopped,
    TokenProbability,
)
from tollway.dialects.generation.decoder import EventStreamDecoder
from tollway.dialects.generation.request import Part, Refusal, Text, Thinking, ToolCall
from tollway.dialects.openai.errors import status_in, upstream_error
from tollway.dialects.openai.wire import usage_from_wire

_decode = msgspec.json.Decoder(ChunkWire, strict=False).decode


class _Tool:
    """A tool call whose pieces come in."""

    __slots__ = ("call", "is_started", "key", "pieces", "waiting")

    def __init__(self, key: Any, call: ToolCall) -> None:
        self.key = key
        self.call = call
        self.pieces: list[str] = []
        """All arguments so far, to see whether they are complete."""
        self.waiting: list[str] = []
        """Those that were not emitted yet."""
        self.is_started = False

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are a whole JSON value."""
        try:
            msgspec.json.decode("".join(self.pieces), type=msgspec.Raw)
        except msgspec.DecodeError:
            return False
        return True


class _Choice:
    """What is open in one choice."""

    __slots__ = ("has_calls", "index", "is_stopped", "open", "parts", "tools")

    def __init__(self, index: int) -> None:
        self.index = index
        self.open: type[Part] | None = None
        self.parts = 0
        self.tools: list[_Tool] = []
        """Tool calls that are not finished, in the order they began."""
        self.has_calls = False
        self.is_stopped = False


class ChatDecoder(EventStreamDecoder):
    """Reads one stream."""

    def __init__(self, vendor: str = "") -> None:
        """`vendor` names it in errors."""
        super().__init__(vendor)
        self._choices: dict[int, _Choice] = {}
        self._is_started = False
        self._id = ""
        self._service_tier: str | None = None

    @override
    def read(self, name: bytes, document: bytes, events: list[Event]) -> None:
        if self.is_done:
            return
        if document == b"[DONE]":
            self._finish(events)
            return
        try:
            chunk = _decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a comment, a vendor's own event
        if chunk.error is not None and not chunk.choices:
            self._fail(document, events)
            return
        if not self._is_started and (chunk.id or chunk.choices):
            self._is_started = True
            self._id = chunk.id or ""
            self._service_tier = chunk.service_tier
            events.append(Started(id=self._id, model=chunk.model or "", created=int(chunk.created or 0)))
        for choice in chunk.choices or ():
            self._choice(choice, events)
        if chunk.usage is not None:
            usage = usage_from_wire(chunk.usage, chunk.service_tier or self._service_tier)
            if usage != NO_USAGE:
                events.append(Metered(usage))

    def _fail(self, document: bytes, events: list[Event]) -> None:
        self.is_done = True
        error: UpstreamError = upstream_error(status_in(document), document, self._vendor)
        events.append(Failed(error))

    def _finish(self, events: list[Event]) -> None:
        """`[DONE]`: choices that gave no finish reason are over too."""
        self.is_done = True
        for choice in self._choices.values():
            if not choice.is_stopped:
                self._stop(choice, None, events)

    def _choice(self, wire: DeltaChoiceWire, events: list[Event]) -> None:
        choice = self._choices.get(wire.index)
        if choice is None:
            choice = self._choices[wire.index] = _Choice(wire.index)
        if choice.is_stopped:
            return
        delta = wire.delta
        if delta is not None:
            self._delta(choice, delta, probabilities(wire.logprobs) if wire.logprobs is not None else None, events)
        if wire.finish_reason:
            self._stop(choice, wire.finish_reason, events)

    def _delta(
        self, choice: _Choice, delta: DeltaWire, logprobs: list[TokenProbability] | None, events: list[Event]
    ) -> None:
        content = delta.content
        thoughts = delta.reasoning_content or delta.reasoning
        if content.__class__ is list:
            content, found = text_and_thoughts(content)
            thoughts = thoughts or found
        if thoughts:
            self._open(choice, Thinking, Thinking(), events)
            events.append(Delta(thoughts, choice.index))
        if delta.thinking_blocks:
            self._thinking_blocks(choice, delta, events)
        if content:
            self._open(choice, Text, Text(text=""), events)
            events.append(Delta(content, choice.index, logprobs))  # type: ignore[arg-type]  # lists became texts above
        if delta.refusal:
            self._open(choice, Refusal, Refusal(text=""), events)
            events.append(Delta(delta.refusal, choice.index, logprobs))
        if delta.annotations:
            self._open(choice, Text, Text(text=""), events)
            events += [Cited(citation(annotation), choice.index) for annotation in delta.annotations]
        for picture in images(delta.images):
            self._close(choice, events)
            events += [PartStarted(picture, choice.parts, choice.index), PartEnded(choice.index)]
            choice.parts += 1
        if delta.tool_calls:
            for position, call in enumerate(delta.tool_calls):
                self._tool(choice, call, position, events)
        if delta.function_call is not None:
            legacy = delta.function_call
            self._tool(
                choice,
                ToolCallWire(index=0, function=FunctionWire(legacy.name, legacy.arguments)),
                0,
                events,
            )

    def _thinking_blocks(self, choice: _Choice, delta: DeltaWire, events: list[Event]) -> None:
        """Seals of thoughts whose text came before as reasoning, or thoughts that are nothing but a seal."""
        for thought in thinking_parts(MessageWire(thinking_blocks=delta.thinking_blocks)):
            if thought.seal is None:
                continue
            if choice.open is not Thinking or thought.is_redacted:
                self._close(choice, events)
                self._open(choice, Thinking, Thinking(is_redacted=thought.is_redacted), events)
                if thought.text:
                    events.append(Delta(thought.text, choice.index))
            events.append(Sealed(thought.seal, choice.index))
            self._close(choice, events)

    def _open(self, choice: _Choice, kind: type[Part], part: Part, events: list[Event]) -> None:
        if choice.open is kind:
            return
        self._close(choice, events)
        choice.open = kind
        events.append(PartStarted(part, choice.parts, choice.index))
        choice.parts += 1

    def _close(self, choice: _Choice, events: list[Event]) -> None:
        """Ends the open part; with tool calls, all of them."""
        while choice.tools:
            self._end_tool(choice, events)
        if choice.open is not None:
            events.append(PartEnded(choice.index))
            choice.open = None

    def _tool(self, choice: _Choice, wire: ToolCallWire, position: int, events: list[Event]) -> None:
        tool = self._find_tool(choice, wire, position)
        if not choice.tools:
            self._close(choice, events)
        if tool is None:
            choice.has_calls = True
            call = tool_call(wire, f"call_{self._id}_{choice.parts + len(choice.tools)}")
            arguments, call.arguments = call.arguments, ""
            tool = _Tool(_key(wire, position), call)
            choice.tools.append(tool)
        else:
            arguments = self._more(tool, wire)
        if arguments:
            tool.pieces.append(arguments)
            tool.waiting.append(arguments)
        while len(choice.tools) > 1 and choice.tools[0] is not tool and choice.tools[0].is_complete:
            self._end_tool(choice, events)
        self._emit(choice, events)

    def _find_tool(self, choice: _Choice, wire: ToolCallWire, position: int) -> _Tool | None:
        """The call that a piece belongs to. A new id is a new call, even under an index that was used before."""
        key = _key(wire, position)
        for tool in reversed(choice.tools):
            if tool.key == key or (wire.index is None and not wire.id):
                is_other = wire.id and tool.call.id != wire.id and tool.pieces and wire.function is not None
                return None if is_other and (wire.function.name if wire.function else None) else tool
        return None

    def _more(self, tool: _Tool, wire: ToolCallWire) -> str:
        if wire.custom is not None:
            return wire.custom.input or ""
        if wire.function is None:
            return ""
        if not tool.call.name and wire.function.name:
            tool.call.name = wire.function.name
        return wire.function.arguments_text()

    def _emit(self, choice: _Choice, events: list[Event]) -> None:
        """What the first unfinished call has to say."""
        tool = choice.tools[0]
        if not tool.is_started:
            if not tool.call.name:
                return  # some servers send it later
            tool.is_started = True
            choice.open = ToolCall
            events.append(PartStarted(tool.call, choice.parts, choice.index))
            choice.parts += 1
            if tool.call.seal is not None:
                events.append(Sealed(tool.call.seal, choice.index))
        if tool.waiting:
            events.append(Delta("".join(tool.waiting), choice.index))
            tool.waiting.clear()

    def _end_tool(self, choice: _Choice, events: list[Event]) -> None:
        self._emit(choice, events)
        tool = choice.tools.pop(0)
        if tool.is_started:
            events.append(PartEnded(choice.index))
        choice.open = None

    def _stop(self, choice: _Choice, finish_reason: str | None, events: list[Event]) -> None:
        self._close(choice, events)
        choice.is_stopped = True
        events.append(Stopped(stop_reason(finish_reason, has_calls=choice.has_calls), None, choice.index))


def _key(wire: ToolCallWire, position: int) -> Any:
    return wire.index if wire.index is not None else wire.id or position
