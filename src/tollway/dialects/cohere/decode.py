"""A stream of Cohere, read into the events of the middle form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from typing_extensions import override

from tollway.core.usage import NO_USAGE
from tollway.dialects.cohere.answer import citations, probabilities, stop_reason, tool_call
from tollway.dialects.cohere.errors import VENDOR, generation_error, parse_error
from tollway.dialects.cohere.wire import (
    FAILURES,
    NULL,
    ContentWire,
    LogProbsWire,
    ToolCallWire,
    UsageWire,
    usage_from_wire,
)
from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Failed,
    Metered,
    PartEnded,
    PartStarted,
    Started,
    Stopped,
)
from tollway.dialects.generation.decoder import EventStreamDecoder
from tollway.dialects.generation.request import Part, Text, Thinking, ToolCall
from tollway.dialects.openai.errors import is_error_document, status_in


class _MessageStart(msgspec.Struct, tag_field="type", tag="message-start", gc=False):
    id: str | None = None


class _ContentMessage(msgspec.Struct, gc=False):
    content: ContentWire | None = None


class _ContentDelta(msgspec.Struct, gc=False):
    message: _ContentMessage | None = None


class _Content(msgspec.Struct, tag_field="type", tag="content-delta", gc=False):
    delta: _ContentDelta | None = None
    logprobs: LogProbsWire | None = None


class _ContentStart(msgspec.Struct, tag_field="type", tag="content-start", gc=False):
    delta: _ContentDelta | None = None


class _PlanMessage(msgspec.Struct, gc=False):
    tool_plan: str | None = None


class _PlanDelta(msgspec.Struct, gc=False):
    message: _PlanMessage | None = None


class _Plan(msgspec.Struct, tag_field="type", tag="tool-plan-delta", gc=False):
    delta: _PlanDelta | None = None


class _CallMessage(msgspec.Struct, gc=False):
    tool_calls: ToolCallWire | None = None


class _CallDelta(msgspec.Struct, gc=False):
    message: _CallMessage | None = None


class _CallStart(msgspec.Struct, tag_field="type", tag="tool-call-start", gc=False):
    index: int = 0
    delta: _CallDelta | None = None


class _CallPiece(msgspec.Struct, tag_field="type", tag="tool-call-delta", gc=False):
    index: int = 0
    delta: _CallDelta | None = None


class _CallEnd(msgspec.Struct, tag_field="type", tag="tool-call-end", gc=False):
    index: int = 0


class _CitedMessage(msgspec.Struct, gc=False):
    citations: msgspec.Raw = NULL


class _CitedDelta(msgspec.Struct, gc=False):
    message: _CitedMessage | None = None


class _CitationStart(msgspec.Struct, tag_field="type", tag="citation-start", gc=False):
    delta: _CitedDelta | None = None


class _EndDelta(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    error: str | None = None
    usage: UsageWire | None = None


class _MessageEnd(msgspec.Struct, tag_field="type", tag="message-end", gc=False):
    delta: _EndDelta | None = None


_Wire = (
    _MessageStart | _ContentStart | _Content | _Plan | _CallStart | _CallPiece | _CallEnd | _CitationStart | _MessageEnd
)
_decode = msgspec.json.Decoder(_Wire, strict=False).decode


class _Call:
    """A tool call whose pieces come in."""

    __slots__ = ("call", "index", "is_complete", "waiting")

    def __init__(self, index: int, call: ToolCall) -> None:
        self.index = index
        self.call = call
        self.waiting: list[str] = []
        """Pieces that came while an earlier call was open."""
        self.is_complete = False


class CohereDecoder(EventStreamDecoder):
    """Reads one stream.

    A part stays open until the next one begins, as citations may follow a text that is already complete.
    """

    def __init__(self, vendor: str = VENDOR) -> None:
        """`vendor` names it in errors."""
        super().__init__(vendor)
        self._id = ""
        self._is_started = False
        self._open: type[Part] | Literal["plan"] | None = None
        self._parts = 0
        self._calls: list[_Call] = []
        """Calls that are not finished; the first of them is open."""
        self._begun = 0

    @override
    def read(self, name: bytes, document: bytes, events: list[Event]) -> None:
        if self.is_done:
            return
        try:
            wire = _decode(document)
        except msgspec.DecodeError:
            self._read_other(document, events)
            return
        if not self._is_started:
            self._start(wire, events)
        reader = _READERS.get(wire.__class__)
        if reader is not None:
            reader(self, wire, events)

    def _read_other(self, document: bytes, events: list[Event]) -> None:
        """Something that is no event of an answer: an error, or what nobody has to know."""
        if b'"type"' not in document and (is_error_document(document) or document.startswith(b'{"message"')):
            self.is_done = True
            events.append(Failed(parse_error(status_in(document), document, self._vendor)))

    def _start(self, wire: Any, events: list[Event]) -> None:
        self._is_started = True
        if wire.__class__ is _MessageStart:
            self._id = wire.id or ""
        events.append(Started(id=self._id, model=""))

    def _start_content(self, wire: _ContentStart, events: list[Event]) -> None:
        self._close(events)
        self._take(wire.delta, None, events)

    def _content(self, wire: _Content, events: list[Event]) -> None:
        self._take(wire.delta, wire.logprobs, events)

    def _take(self, delta: _ContentDelta | None, logprobs: LogProbsWire | None, events: list[Event]) -> None:
        content = delta.message.content if delta is not None and delta.message is not None else None
        if content is None:
            return
        if content.thinking:
            if self._open is not Thinking:
                self._begin(Thinking(), events)
            events.append(Delta(content.thinking))
        if content.text:
            if self._open is not Text:
                self._begin(Text(text=""), events)
            events.append(Delta(content.text, 0, probabilities(logprobs) if logprobs is not None else None))

    def _plan(self, wire: _Plan, events: list[Event]) -> None:
        text = wire.delta.message.tool_plan if wire.delta is not None and wire.delta.message is not None else None
        if not text:
            return
        if self._open != "plan":
            self._begin(Thinking(), events)
            self._open = "plan"  # thoughts that came as content are another part
        events.append(Delta(text))

    def _start_call(self, wire: _CallStart, events: list[Event]) -> None:
        found = wire.delta.message.tool_calls if wire.delta is not None and wire.delta.message is not None else None
        call = tool_call(found or ToolCallWire(), self._id, self._begun)
        self._begun += 1
        pending = _Call(wire.index, call)
        if call.arguments:
            pending.waiting.append(call.arguments)
            call.arguments = ""
        self._calls.append(pending)
        if len(self._calls) == 1:
            self._begin_call(events)

    def _call_piece(self, wire: _CallPiece, events: list[Event]) -> None:
        found = wire.delta.message.tool_calls if wire.delta is not None and wire.delta.message is not None else None
        text = found.function.arguments if found is not None and found.function is not None else None
        pending = self._find(wire.index)
        if not text or pending is None:
            return
        if pending is self._calls[0]:
            events.append(Delta(text))
        else:
            pending.waiting.append(text)

    def _end_call(self, wire: _CallEnd, events: list[Event]) -> None:
        pending = self._find(wire.index)
        if pending is None:
            return
        pending.is_complete = True
        while self._calls and self._calls[0].is_complete:
            self._finish_call(events)

    def _find(self, index: int) -> _Call | None:
        return next((pending for pending in self._calls if pending.index == index), None)

    def _begin_call(self, events: list[Event]) -> None:
        pending = self._calls[0]
        self._begin(pending.call, events)
        if pending.waiting:
            events.append(Delta("".join(pending.waiting)))

    def _finish_call(self, events: list[Event]) -> None:
        del self._calls[0]
        self._end_part(events)
        if self._calls:
            self._begin_call(events)

    def _cite(self, wire: _CitationStart, events: list[Event]) -> None:
        raw = wire.delta.message.citations if wire.delta is not None and wire.delta.message is not None else NULL
        if self._open is not Text or raw == NULL:
            return
        try:
            _, found = citations(raw)
        except msgspec.DecodeError:
            return
        events += [Cited(citation) for citation in found]

    def _begin(self, part: Part, events: list[Event]) -> None:
        if not isinstance(part, ToolCall):
            self._close(events)
        else:
            self._end_part(events)
        self._open = part.__class__
        events.append(PartStarted(part, self._parts))
        self._parts += 1

    def _end_part(self, events: list[Event]) -> None:
        if self._open is not None:
            self._open = None
            events.append(PartEnded())

    def _close(self, events: list[Event]) -> None:
        """Ends what is open; with tool calls, all of them."""
        while self._calls:
            self._finish_call(events)
        self._end_part(events)

    def _stop(self, wire: _MessageEnd, events: list[Event]) -> None:
        delta = wire.delta or _EndDelta()
        self.is_done = True
        self._close(events)
        usage = usage_from_wire(delta.usage) if delta.usage is not None else NO_USAGE
        reason = delta.finish_reason or "COMPLETE"
        if reason not in FAILURES:
            events.append(Stopped(stop_reason(reason, has_calls=self._begun > 0)))
        if usage != NO_USAGE:
            events.append(Metered(usage))
        if reason in FAILURES:
            events.append(Failed(generation_error(reason, delta.error)))


_READERS: dict[type, Callable[[CohereDecoder, Any, list[Event]], None]] = {
    _ContentStart: CohereDecoder._start_content,
    _Content: CohereDecoder._content,
    _Plan: CohereDecoder._plan,
    _CallStart: CohereDecoder._start_call,
    _CallPiece: CohereDecoder._call_piece,
    _CallEnd: CohereDecoder._end_call,
    _CitationStart: CohereDecoder._cite,
    _MessageEnd: CohereDecoder._stop,
}
