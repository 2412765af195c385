"""A stream of the Messages API, read into the events of the middle form."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
from typing_extensions import override

from tollway.core.usage import NO_USAGE
from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Failed,
    Metered,
    PartEnded,
    PartStarted,
    Pinged,
    Sealed,
    Started,
    Stopped,
)
from tollway.dialects.generation.decoder import EventStreamDecoder
from tollway.dialects.generation.request import Json, Media, Part, Text, Thinking, ToolCall
from tollway.dialects.generation.seals import read_seal
from tollway.dialects.messages.answer import STOP_REASONS
from tollway.dialects.messages.blocks import OWN, read_block, read_citation
from tollway.dialects.messages.errors import parse_error, status_in
from tollway.dialects.messages.wire import NULL, UNREADABLE, Block, EventWire, UsageWire, usage_from_wire

_decode = msgspec.json.Decoder(EventWire, strict=False).decode
_encode = msgspec.json.Encoder().encode


class MessagesDecoder(EventStreamDecoder):
    """Reads one stream."""

    def __init__(self, vendor: str = "AnthropicException") -> None:
        """`vendor` names it in errors."""
        super().__init__(vendor)
        self._usage: UsageWire | None = None
        self._parts = 0
        self._open: Part | None = None
        self._held: Block | None = None
        """A block of a server's tool, whose input is still coming: it is emitted when it is whole."""
        self._input: list[str] = []
        self._is_started = False
        self._is_stopped = False

    @override
    def read(self, name: bytes, document: bytes, events: list[Event]) -> None:
        """One event's JSON, which clouds wrap in frames of their own."""
        if self.is_done:
            return
        try:
            wire = _decode(document)
        except UNREADABLE:
            return
        reader = _READERS.get(wire.type)
        if wire.type == "error":
            self.is_done = True
            events.append(Failed(parse_error(status_in(document), document, self._vendor)))
        elif reader is not None:
            reader(self, wire, events)

    def _start(self, wire: EventWire, events: list[Event]) -> None:
        message = wire.message
        if message is None or self._is_started:
            return
        self._is_started = True
        self._usage = message.usage
        usage = usage_from_wire(message.usage) if message.usage is not None else NO_USAGE
        events.append(Started(id=message.id or "", model=message.model or "", usage=usage))

    def _start_block(self, wire: EventWire, events: list[Event]) -> None:
        block = wire.content_block
        if block is None or not self._is_started or self._is_stopped:
            return
        self._close(events)
        part = read_block(block)
        if not isinstance(part, Text | Thinking | ToolCall | Media):
            self._held, self._input = block, []
            return
        seal = part.seal if isinstance(part, Thinking) else None
        if isinstance(part, ToolCall):
            part.arguments = ""  # `input` is empty here, and follows in pieces
        text = part.text if isinstance(part, Text | Thinking) else ""
        if isinstance(part, Text | Thinking):
            part.text = ""
        if isinstance(part, Thinking):
            part.seal = None
        events.append(PartStarted(part, self._parts))
        self._parts += 1
        self._open = part
        if text:
            events.append(Delta(text))
        if seal is not None:
            events.append(Sealed(seal))
        if isinstance(part, Media):
            self._close(events)

    def _delta(self, wire: EventWire, events: list[Event]) -> None:
        delta = wire.delta
        if delta is None:
            return
        if self._held is not None:
            if delta.partial_json:
                self._input.append(delta.partial_json)
            elif delta.content is not None:
                self._held["content"] = msgspec.Raw(_encode(delta.content))
            return
        if self._open is None:
            return
        kind = self._open.__class__
        text = getattr(delta, _PIECES[kind])
        if text:
            events.append(Delta(text))
        elif delta.signature and kind is Thinking:
            events.append(Sealed(read_seal(delta.signature, OWN)))
        elif delta.citation != NULL and kind is Text:
            with suppress(*UNREADABLE):
                events.append(Cited(read_citation(delta.citation)))

    def _end_block(self, wire: EventWire, events: list[Event]) -> None:
        self._close(events)

    def _close(self, events: list[Event]) -> None:
        held, self._held = self._held, None
        if held is not None:
            whole = _value("".join(self._input))
            if whole is not None:
                held["input"] = whole
            events += [PartStarted(read_block(held), self._parts), PartEnded()]
            self._parts += 1
        elif self._open is not None:
            self._open = None
            events.append(PartEnded())

    def _message_delta(self, wire: EventWire, events: list[Event]) -> None:
        if not self._is_started:
            return
        delta = wire.delta
        if delta is not None and delta.stop_reason and not self._is_stopped:
            self._close(events)
            self._is_stopped = True
            details = None if delta.stop_details == NULL else delta.stop_details
            events.append(Stopped(STOP_REASONS.get(delta.stop_reason, "end"), delta.stop_sequence, 0, details))
        if wire.usage is not None:
            events.append(Metered(usage_from_wire(wire.usage, self._usage)))

    def _stop(self, wire: EventWire, events: list[Event]) -> None:
        self.is_done = True
        self._close(events)
        if self._is_started and not self._is_stopped:
            events.append(Stopped("end"))

    def _ping(self, wire: EventWire, events: list[Event]) -> None:
        events.append(Pinged())


_PIECES: dict[type, str] = {Text: "text", Thinking: "thinking", ToolCall: "partial_json"}
"""Where a delta has the text for a part. One for another kind of part is passed over."""


def _value(text: str) -> Json | None:
    """JSON text as a value; None if it is none, as when the answer was cut within a server's tool."""
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return None
    return msgspec.Raw(text.encode())


_READERS: dict[str, Callable[[MessagesDecoder, EventWire, list[Event]], None]] = {
    "message_start": MessagesDecoder._start,
    "content_block_start": MessagesDecoder._start_block,
    "content_block_delta": MessagesDecoder._delta,
    "content_block_stop": MessagesDecoder._end_block,
    "message_delta": MessagesDecoder._message_delta,
    "message_stop": MessagesDecoder._stop,
    "ping": MessagesDecoder._ping,
}
