"""A stream of the Converse API, read into the events of the middle form.

Texts and thoughts begin without an event that says so; a block's kind is that of its first delta.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from tollway.dialects.converse.answer import SEALED_BY, STOP_REASONS
from tollway.dialects.converse.errors import parse_exception
from tollway.dialects.converse.wire import (
    NULL,
    ContentBlockDelta,
    ContentBlockStart,
    MessageStop,
    Metadata,
    ReasoningDelta,
    read_citation,
    usage_from_wire,
)
from tollway.dialects.eventstream import Frame, FrameReader
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
)
from tollway.dialects.generation.request import Media, Opaque, Part, Seal, Text, Thinking, ToolCall

_encode = msgspec.json.Encoder().encode
_delta = msgspec.json.Decoder(ContentBlockDelta, strict=False).decode
_start = msgspec.json.Decoder(ContentBlockStart, strict=False).decode
_stop = msgspec.json.Decoder(MessageStop, strict=False).decode
_metadata = msgspec.json.Decoder(Metadata, strict=False).decode


class _Held(msgspec.Struct, gc=False):
    """A block that is emitted when it is whole: of a tool that the provider runs, or an image."""

    kind: str
    fields: dict[str, Any]
    pieces: list[Any]


class ConverseDecoder:
    """Reads one stream."""

    def __init__(self, vendor: str = "BedrockException") -> None:
        """`vendor` names it in errors."""
        self._vendor = vendor
        self._reader = FrameReader()
        self._parts = 0
        self._open: Part | None = None
        self._block = -1
        """The number of the block that is open."""
        self._held: _Held | None = None
        self._has_input = False
        """Some of the open call's arguments have come."""
        self._is_started = False
        self._is_stopped = False
        self.is_done = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        for frame in self._reader.feed(data):
            self._read(frame, events)
        if self._reader.fault is not None and not self.is_done:
            payload = _encode({"message": f"The answer cannot be read: {self._reader.fault}."})
            self._fail("", payload, events)
        return events

    def end(self) -> list[Event]:
        """The body has ended."""
        return []

    def _read(self, frame: Frame, events: list[Event]) -> None:
        if self.is_done:
            return
        headers = frame.headers
        reader = _READERS.get(headers.get(":event-type", ""))
        if reader is not None:
            try:
                reader(self, frame.payload, events)
            except msgspec.DecodeError:
                return  # nothing that we know of; the rest may well be read
        elif headers.get(":message-type") == "exception":
            self._fail(headers.get(":exception-type", ""), frame.payload, events)
        elif headers.get(":message-type") == "error":
            message = headers.get(":error-message") or headers.get(":error-code", "")
            self._fail(headers.get(":error-code", ""), _encode({"message": message}), events)

    def _fail(self, name: str, payload: bytes, events: list[Event]) -> None:
        self.is_done = True
        events.append(Failed(parse_exception(name, payload, self._vendor)))

    def _begin(self, events: list[Event]) -> None:
        if not self._is_started:
            self._is_started = True
            events.append(Started(id="", model=""))  # only a header has an id

    def _message_start(self, payload: bytes, events: list[Event]) -> None:
        self._begin(events)

    def _block_start(self, payload: bytes, events: list[Event]) -> None:
        wire = _start(payload)
        if self._is_stopped:
            return
        self._turn_to(wire.content_block_index, events)
        start = wire.start
        if start.tool_use is not None and start.tool_use.type is None:
            self._open_part(ToolCall(id=start.tool_use.tool_use_id, name=start.tool_use.name, arguments=""), events)
        elif start.tool_use is not None:
            self._held = _Held("toolUse", _fields(start.tool_use), [])
        elif start.tool_result is not None:
            self._held = _Held("toolResult", _fields(start.tool_result), [])
        elif start.image is not None:
            self._held = _Held("image", {"format": start.image.format}, [])

    def _block_delta(self, payload: bytes, events: list[Event]) -> None:
        wire = _delta(payload)
        if wire.content_block_index != self._block or not self._is_started:
            self._turn_to(wire.content_block_index, events)
        delta = wire.delta
        if self._is_stopped:
            return
        if delta.text is not None:
            if self._open.__class__ is not Text:
                self._open_part(Text(text=""), events)
            if delta.text:
                events.append(Delta(delta.text))
        elif self._held is not None:
            self._hold(wire)
        elif delta.tool_use is not None:
            if delta.tool_use.input and self._open.__class__ is ToolCall:
                self._has_input = True
                events.append(Delta(delta.tool_use.input))
        elif delta.reasoning_content is not None:
            self._reason(delta.reasoning_content, events)
        elif delta.citation != NULL:
            cited = read_citation(delta.citation)
            if self._open.__class__ is not Text:
                self._open_part(Text(text=""), events)
            events.append(Cited(cited))

    def _reason(self, wire: ReasoningDelta, events: list[Event]) -> None:
        is_redacted = wire.redacted_content is not None
        opened = self._open
        if opened.__class__ is not Thinking:
            self._open_part(Thinking(is_redacted=is_redacted), events)
        if wire.text:
            events.append(Delta(wire.text))
        seal = wire.redacted_content or wire.signature
        if seal:
            events.append(Sealed(Seal(SEALED_BY, seal)))

    def _hold(self, wire: ContentBlockDelta) -> None:
        held, delta = self._held, wire.delta
        assert held is not None
        if delta.tool_use is not None:
            held.pieces.append(delta.tool_use.input)
        elif delta.tool_result is not None:
            held.pieces += delta.tool_result
        elif delta.image is not None and delta.image.source is not None and delta.image.source.bytes is not None:
            held.pieces.append(delta.image.source.bytes)

    def _block_stop(self, payload: bytes, events: list[Event]) -> None:
        self._close(events)

    def _turn_to(self, block: int, events: list[Event]) -> None:
        self._begin(events)
        if block != self._block:
            self._close(events)
            self._block = block

    def _open_part(self, part: Part, events: list[Event]) -> None:
        self._close(events)
        events.append(PartStarted(part, self._parts))
        self._parts += 1
        self._open, self._has_input = part, False

    def _close(self, events: list[Event]) -> None:
        held, self._held = self._held, None
        if held is not None:
            events += [PartStarted(_whole(held), self._parts), PartEnded()]
            self._parts += 1
        elif self._open is not None:
            if self._open.__class__ is ToolCall and not self._has_input:
                events.append(Delta("{}"))  # a tool without arguments: nothing comes, where a whole answer has `{}`
            self._open = None
            events.append(PartEnded())

    def _message_stop(self, payload: bytes, events: list[Event]) -> None:
        if self._is_stopped:
            return
        wire = _stop(payload)
        self._begin(events)
        self._close(events)
        self._is_stopped = True
        more = wire.additional_model_response_fields
        sequence = more.stop_sequence if more is not None else None
        events.append(Stopped(STOP_REASONS.get(wire.stop_reason, "end"), sequence))

    def _metadata(self, payload: bytes, events: list[Event]) -> None:
        metadata = _metadata(payload)
        if metadata.usage is not None:
            events.append(Metered(usage_from_wire(metadata.usage, metadata.service_tier)))
        self.is_done = self._is_stopped


_READERS: dict[str, Callable[[ConverseDecoder, bytes, list[Event]], None]] = {
    "messageStart": ConverseDecoder._message_start,
    "contentBlockStart": ConverseDecoder._block_start,
    "contentBlockDelta": ConverseDecoder._block_delta,
    "contentBlockStop": ConverseDecoder._block_stop,
    "messageStop": ConverseDecoder._message_stop,
    "metadata": ConverseDecoder._metadata,
}


def _fields(wire: msgspec.Struct) -> dict[str, Any]:
    """As on the wire, without what was not said."""
    fields: dict[str, Any] = msgspec.json.decode(_encode(wire))
    return {name: value for name, value in fields.items() if value is not None}


def _whole(held: _Held) -> Part:
    """The block with everything that came for it."""
    if held.kind == "image":
        data = held.pieces[0] if len(held.pieces) == 1 else _joined(held.pieces)
        return Media(kind="image", media_type=f"image/{held.fields['format']}", data=data)
    fields = dict(held.fields)
    if held.kind == "toolResult":
        fields["content"] = held.pieces
    elif held.pieces:
        fields["input"] = msgspec.Raw("".join(held.pieces).encode())
    return Opaque(origin="converse", kind=held.kind, raw=msgspec.Raw(_encode({held.kind: fields})))


def _joined(pieces: list[str]) -> str:
    """Base64 of what pieces of base64 hold together."""
    try:
        return b64encode(b"".join(b64decode(piece) for piece in pieces)).decode()
    except ValueError:  # a damaged image is no reason to lose the answer
        return "".join(pieces)
