"""A stream of Ollama, read into the events of the middle form: one JSON object a line."""

from __future__ import annotations

import msgspec

from tollway.core.usage import NO_USAGE
from tollway.dialects.generation.answer import (
    Delta,
    Event,
    Failed,
    Metered,
    PartEnded,
    PartStarted,
    Started,
    Stopped,
)
from tollway.dialects.generation.request import Part, Text, Thinking
from tollway.dialects.ollama.errors import VENDOR, parse_error
from tollway.dialects.ollama.wire import (
    AnswerWire,
    MessageWire,
    ProbabilityWire,
    ToolCallWire,
    epoch_seconds,
    probabilities,
    stop_reason,
    tool_call,
    usage_from_wire,
)
from tollway.dialects.openai.errors import status_in

_decode = msgspec.json.Decoder(AnswerWire, strict=False).decode


class OllamaDecoder:
    """Reads one stream."""

    def __init__(self, vendor: str = VENDOR) -> None:
        """`vendor` names it in errors."""
        self._vendor = vendor
        self._rest = b""
        self._created_at = ""
        """Of the first line: what ids of calls are made from."""
        self._is_started = False
        self._open: type[Part] | None = None
        self._parts = 0
        self._calls = 0
        self.is_done = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        lines = (self._rest + data).split(b"\n") if self._rest else data.split(b"\n")
        self._rest = lines.pop()
        events: list[Event] = []
        for line in lines:
            self._read(line, events)
        return events

    def end(self) -> list[Event]:
        """The body has ended: the last line, if its end is missing."""
        rest, self._rest = self._rest, b""
        events: list[Event] = []
        self._read(rest, events)
        return events

    def _read(self, line: bytes, events: list[Event]) -> None:
        if self.is_done or not line:
            return
        try:
            wire = _decode(line)
        except msgspec.DecodeError:
            return
        if wire.error:
            self.is_done = True
            events.append(Failed(parse_error(status_in(line), line, self._vendor)))
            return
        message = wire.message
        if not self._is_started:
            if message is None and not wire.done:
                return
            self._start(wire, events)
        if message is not None:
            self._take(message, wire.logprobs, events)
        if wire.done:
            self._stop(wire, events)

    def _start(self, wire: AnswerWire, events: list[Event]) -> None:
        self._is_started = True
        self._created_at = wire.created_at or ""
        events.append(Started(id="", model=wire.model or "", created=epoch_seconds(self._created_at)))

    def _take(self, message: MessageWire, logprobs: list[ProbabilityWire] | None, events: list[Event]) -> None:
        if message.thinking:
            if self._open is not Thinking:
                self._begin(Thinking(), events)
            events.append(Delta(message.thinking))
        if message.content:
            if self._open is not Text:
                self._begin(Text(text=""), events)
            events.append(Delta(message.content, 0, probabilities(logprobs) if logprobs else None))
        if message.tool_calls:
            for call in message.tool_calls:
                self._call(call, events)

    def _call(self, wire: ToolCallWire, events: list[Event]) -> None:
        call = tool_call(wire, self._created_at, self._calls)
        self._calls += 1
        arguments, call.arguments = call.arguments, ""
        self._begin(call, events)
        events.append(Delta(arguments))
        self._close(events)

    def _begin(self, part: Part, events: list[Event]) -> None:
        self._close(events)
        self._open = part.__class__
        events.append(PartStarted(part, self._parts))
        self._parts += 1

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            self._open = None
            events.append(PartEnded())

    def _stop(self, wire: AnswerWire, events: list[Event]) -> None:
        self.is_done = True
        self._close(events)
        events.append(Stopped(stop_reason(wire, has_calls=self._calls > 0)))
        usage = usage_from_wire(wire)
        if usage != NO_USAGE:
            events.append(Metered(usage))
