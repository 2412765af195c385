"""A stream of the Responses API, read into the events of the middle form.

Items come one after the other; where a server interleaves them, the events of the later one wait. What a server leaves
out of its stream is taken from the events that repeat it: the end of a part, of an item, of the response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from typing_extensions import override

from tollway.core.usage import NO_USAGE
from tollway.dialects.generation.answer import (
    Answer,
    Choice,
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
    events_of,
)
from tollway.dialects.generation.decoder import EventStreamDecoder
from tollway.dialects.generation.request import Part, Refusal, Text, Thinking, ToolCall
from tollway.dialects.responses.answer import failed, stop_reason
from tollway.dialects.responses.errors import error_event
from tollway.dialects.responses.items import item_type, output_parts, tool_call
from tollway.dialects.responses.parts import citation, probabilities
from tollway.dialects.responses.thoughts import read_thoughts
from tollway.dialects.responses.wire import (
    DeltaWire,
    ItemEventWire,
    LifecycleWire,
    PartEventWire,
    PartWire,
    TypeWire,
    given,
    read_final,
    read_item,
    read_typed,
    usage_from_wire,
)

_read_type = msgspec.json.Decoder(TypeWire, strict=False).decode
_read_delta = msgspec.json.Decoder(DeltaWire, strict=False).decode
_read_item_event = msgspec.json.Decoder(ItemEventWire, strict=False).decode
_read_part_event = msgspec.json.Decoder(PartEventWire, strict=False).decode
_read_lifecycle = msgspec.json.Decoder(LifecycleWire, strict=False).decode

_SUMMARY = "summary"
_CONTENT = "content"


class _Item:
    """The item whose events come in."""

    __slots__ = ("citations", "has_parts", "has_text", "id", "index", "kind", "open")

    def __init__(self, index: int, kind: str, id: str | None) -> None:
        self.index = index
        self.kind = kind
        self.id = id
        self.open: type[Part] | str | None = None
        """What is open in it: for thoughts whether they are summary or content."""
        self.has_parts = False
        self.has_text = False
        """The open part got text."""
        self.citations = 0
        """Of the open part."""


class ResponsesDecoder(EventStreamDecoder):
    """Reads one stream."""

    def __init__(self, vendor: str = "") -> None:
        """`vendor` names it in errors."""
        super().__init__(vendor)
        self._item: _Item | None = None
        self._waiting: list[tuple[_Handler, Any]] = []
        """Events of items that are not on yet."""
        self._seen: set[int] = set()
        self._parts = 0
        self._has_calls = False
        self._is_started = False

    @override
    def read(self, name: bytes, document: bytes, events: list[Event]) -> None:
        if self.is_done:
            return
        try:
            if not name:
                name = _read_type(document).type.encode() or (b"error" if b'"error"' in document else b"")
            reader = _ITEM_EVENTS.get(name)
            if reader is not None:
                decode, handler = reader
                self._take(handler, decode(document), events)
                return
            lifecycle = _LIFECYCLE.get(name)
            if lifecycle is not None:
                lifecycle(self, document, events)
        except msgspec.DecodeError:
            return  # not what its name says

    def _begin(self, document: bytes, events: list[Event]) -> None:
        if not self._is_started:
            head = read_final(_read_lifecycle(document).response)
            self._start(Started(id=head.id or "", model=head.model or "", created=int(head.created_at or 0)), events)

    def _start(self, event: Started, events: list[Event]) -> None:
        if not self._is_started:
            self._is_started = True
            events.append(event)

    def _finish(self, document: bytes, events: list[Event]) -> None:
        """`response.completed` and `response.incomplete`."""
        response = read_final(_read_lifecycle(document).response)
        started = Started(id=response.id or "", model=response.model or "", created=int(response.created_at or 0))
        self._start(started, events)
        self._end_item(events)
        while self._waiting:
            self._resume(events)
            self._end_item(events)
        for index, raw in enumerate(response.output or ()):
            if index not in self._seen:
                self._whole(raw, events)
        self.is_done = True
        events.append(Stopped(stop_reason(response, has_calls=self._has_calls)))
        wire = response.usage
        usage = usage_from_wire(wire, response.service_tier, response.output) if wire is not None else NO_USAGE
        if usage != NO_USAGE:
            events.append(Metered(usage))

    def _fail(self, document: bytes, events: list[Event]) -> None:
        events.append(Failed(failed(read_final(_read_lifecycle(document).response), self._vendor)))
        self.is_done = True

    def _error(self, document: bytes, events: list[Event]) -> None:
        events.append(Failed(error_event(document, self._vendor)))
        self.is_done = True

    def _take(self, handler: _Handler, wire: Any, events: list[Event]) -> None:
        """An event of an item: now, if it is the item's turn."""
        item = self._item
        if item is not None and item.index != wire.output_index:
            self._waiting.append((handler, wire))
            return
        handler(self, wire, events)

    def _resume(self, events: list[Event]) -> None:
        """The events of the next item that waits."""
        index = min(wire.output_index for _, wire in self._waiting)
        turn = [(handler, wire) for handler, wire in self._waiting if wire.output_index == index]
        self._waiting = [(handler, wire) for handler, wire in self._waiting if wire.output_index != index]
        for handler, wire in turn:
            handler(self, wire, events)

    def _current(self, index: int, kind: str) -> _Item:
        """The item on; begun here if the server did not say so."""
        if self._item is None:
            self._item = _Item(index, kind, None)
            self._seen.add(index)
        return self._item

    def _item_added(self, wire: ItemEventWire, events: list[Event]) -> None:
        head = read_typed(wire.item)
        item = self._item = _Item(wire.output_index, item_type(head), head.id)
        self._seen.add(wire.output_index)
        if item.kind in _CALLS:
            call = tool_call(read_item(wire.item), is_custom=_CALLS[item.kind])
            if call.name:
                call.arguments = ""
                self._open(item, ToolCall, call, events)

    def _item_done(self, wire: ItemEventWire, events: list[Event]) -> None:
        item = self._item
        self._seen.add(wire.output_index)
        if item is None or not item.has_parts:
            self._item = None
            self._whole(wire.item, events)
        else:
            self._complete(item, wire.item, events)
            self._end_item(events)
        while self._waiting and self._item is None:
            self._resume(events)

    def _complete(self, item: _Item, raw: msgspec.Raw, events: list[Event]) -> None:
        """What the whole item has that its events did not."""
        if item.kind in _CALLS and not item.has_text:
            arguments = tool_call(read_item(raw), is_custom=_CALLS[item.kind]).arguments
            self._text(item, arguments, events)
        elif item.kind == "reasoning":
            seal = read_thoughts(read_item(raw).encrypted_content)
            if seal is not None:
                events.append(Sealed(seal))

    def _end_item(self, events: list[Event]) -> None:
        if self._item is not None:
            self._close(self._item, events)
            self._item = None

    def _whole(self, raw: msgspec.Raw, events: list[Event]) -> None:
        """An item that comes all at once."""
        self._start(Started(id="", model=""), events)
        parts = output_parts(raw)
        self._has_calls = self._has_calls or any(isinstance(part, ToolCall) for part in parts)
        answer = Answer(origin="responses", id="", model="", choices=[Choice(parts=parts)])
        for event in events_of(answer)[1:-2]:
            if isinstance(event, PartStarted):
                event.index += self._parts
            events.append(event)
        self._parts += len(parts)

    def _open(self, item: _Item, kind: type[Part] | str, part: Part, events: list[Event]) -> None:
        self._start(Started(id="", model=""), events)
        self._close(item, events)
        item.open = kind
        item.has_parts = True
        item.has_text = False
        item.citations = 0
        if kind is ToolCall:
            self._has_calls = True
        events.append(PartStarted(part, self._parts))
        self._parts += 1

    def _close(self, item: _Item, events: list[Event]) -> None:
        if item.open is not None:
            events.append(PartEnded())
            item.open = None

    def _text(self, item: _Item, text: str | None, events: list[Event]) -> None:
        """A text that is repeated at the end of a part, where its pieces were not sent."""
        if text and not item.has_text and item.open is not None:
            item.has_text = True
            events.append(Delta(text))

    def _part_added(self, wire: PartEventWire, events: list[Event]) -> None:
        kind = wire.part.type if wire.part is not None else None
        item = self._current(wire.output_index, "message")
        if kind == "output_text":
            self._open(item, Text, Text(text=""), events)
        elif kind == "refusal":
            self._open(item, Refusal, Refusal(text=""), events)
        elif kind == "reasoning_text":
            self._open(item, _CONTENT, Thinking(id=item.id), events)

    def _part_done(self, wire: PartEventWire, events: list[Event]) -> None:
        item = self._item
        if item is None or item.kind == "reasoning":
            return  # a seal may follow
        part = wire.part or PartWire()
        self._text(item, part.text or part.refusal, events)
        if item.open is Text:
            rest = (part.annotations or [])[item.citations :]
            events += [Cited(citation(raw)) for raw in rest]
        self._close(item, events)

    def _text_delta(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._item
        if item is None or item.open is not Text:
            item = self._current(wire.output_index, "message")
            self._open(item, Text, Text(text=""), events)
        if wire.delta:
            item.has_text = True
            events.append(Delta(wire.delta, 0, probabilities(wire.logprobs)))

    def _text_done(self, wire: DeltaWire, events: list[Event]) -> None:
        if self._item is not None:
            self._text(self._item, wire.text, events)

    def _annotation(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._item
        annotation = given(wire.annotation)
        if item is not None and item.open is Text and annotation is not None:
            item.citations += 1
            events.append(Cited(citation(annotation)))

    def _refusal_delta(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._current(wire.output_index, "message")
        if item.open is not Refusal:
            self._open(item, Refusal, Refusal(text=""), events)
        self._more(item, wire, events)

    def _refusal_done(self, wire: DeltaWire, events: list[Event]) -> None:
        if self._item is not None:
            self._text(self._item, wire.refusal, events)

    def _call_delta(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._item
        if item is not None and item.open is ToolCall:
            self._more(item, wire, events)

    def _call_done(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._item
        if item is not None and item.open is ToolCall:
            self._text(item, wire.arguments if wire.arguments is not None else wire.input, events)

    def _summary_added(self, wire: PartEventWire, events: list[Event]) -> None:
        item = self._current(wire.output_index, "reasoning")
        self._open(item, _SUMMARY, Thinking(id=item.id, is_summary=True), events)

    def _summary_delta(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._current(wire.output_index, "reasoning")
        if item.open != _SUMMARY:
            self._open(item, _SUMMARY, Thinking(id=item.id, is_summary=True), events)
        self._more(item, wire, events)

    def _thought_delta(self, wire: DeltaWire, events: list[Event]) -> None:
        item = self._current(wire.output_index, "reasoning")
        if item.open != _CONTENT:
            self._open(item, _CONTENT, Thinking(id=item.id), events)
        self._more(item, wire, events)

    def _more(self, item: _Item, wire: DeltaWire, events: list[Event]) -> None:
        if wire.delta:
            item.has_text = True
            events.append(Delta(wire.delta))


_Handler = Callable[[ResponsesDecoder, Any, list[Event]], None]
_CALLS = {"function_call": False, "custom_tool_call": True}
_ITEM_EVENTS: dict[bytes, tuple[Callable[[bytes], Any], _Handler]] = {
    b"response.output_text.delta": (_read_delta, ResponsesDecoder._text_delta),
    b"response.function_call_arguments.delta": (_read_delta, ResponsesDecoder._call_delta),
    b"response.custom_tool_call_input.delta": (_read_delta, ResponsesDecoder._call_delta),
    b"response.reasoning_summary_text.delta": (_read_delta, ResponsesDecoder._summary_delta),
    b"response.reasoning_text.delta": (_read_delta, ResponsesDecoder._thought_delta),
    b"response.refusal.delta": (_read_delta, ResponsesDecoder._refusal_delta),
    b"response.output_item.added": (_read_item_event, ResponsesDecoder._item_added),
    b"response.output_item.done": (_read_item_event, ResponsesDecoder._item_done),
    b"response.content_part.added": (_read_part_event, ResponsesDecoder._part_added),
    b"response.content_part.done": (_read_part_event, ResponsesDecoder._part_done),
    b"response.reasoning_summary_part.added": (_read_part_event, ResponsesDecoder._summary_added),
    b"response.output_text.done": (_read_delta, ResponsesDecoder._text_done),
    b"response.output_text.annotation.added": (_read_delta, ResponsesDecoder._annotation),
    b"response.refusal.done": (_read_delta, ResponsesDecoder._refusal_done),
    b"response.function_call_arguments.done": (_read_delta, ResponsesDecoder._call_done),
    b"response.custom_tool_call_input.done": (_read_delta, ResponsesDecoder._call_done),
    b"response.reasoning_summary_text.done": (_read_delta, ResponsesDecoder._text_done),
    b"response.reasoning_text.done": (_read_delta, ResponsesDecoder._text_done),
}
_LIFECYCLE: dict[bytes, Callable[[ResponsesDecoder, bytes, list[Event]], None]] = {
    b"response.created": ResponsesDecoder._begin,
    b"response.queued": ResponsesDecoder._begin,
    b"response.in_progress": ResponsesDecoder._begin,
    b"response.completed": ResponsesDecoder._finish,
    b"response.incomplete": ResponsesDecoder._finish,
    b"response.failed": ResponsesDecoder._fail,
    b"error": ResponsesDecoder._error,
}
