"""A stream of the Messages API, written from the events of the middle form.

One block is open at a time and indices rise by one, which the middle form guarantees. `message_delta` has the usage, so
it waits for the last of it: until `close`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Metered,
    PartEnded,
    PartStarted,
    Pinged,
    Sealed,
    Started,
    Stopped,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Refusal, Seal, Text, Thinking, ToolCall
from tollway.dialects.generation.seals import write_seal
from tollway.dialects.messages.answer import WIRE_REASONS, write_part
from tollway.dialects.messages.blocks import OWN, write_citation
from tollway.dialects.messages.errors import render_error_event
from tollway.dialects.messages.render import clean_id
from tollway.dialects.messages.wire import usage_to_wire

_encode = msgspec.json.Encoder().encode

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTAS: dict[type, bytes] = {
    Text: b'{"type":"text_delta","text":',
    Refusal: b'{"type":"text_delta","text":',
    Thinking: b'{"type":"thinking_delta","thinking":',
    ToolCall: b'{"type":"input_json_delta","partial_json":',
}


class MessagesEncoder:
    """Writes one stream. Only the first choice can be told."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._usage: Usage = NO_USAGE
        self._index = 0
        self._kind: type | None = None
        """Of the open block; None: none is open, or what is open cannot be told."""
        self._head = b""
        self._stopped: Stopped | None = None
        self._is_started = False
        self._is_finished = False
        self._has_refused = False
        self._pending: Thinking | None = None
        """Thoughts that may be nothing but a seal: which block they are is known when the first piece comes."""
        self._is_custom = False
        self._custom: list[str] = []

    def push(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events."""
        out: list[bytes] = []
        for event in events:
            kind = event.__class__
            if kind is Delta:
                if event.choice == 0:  # type: ignore[union-attr]  # it is one
                    self._delta(event.text, out)  # type: ignore[union-attr]
            elif kind is Started:
                self._start(event, out)  # type: ignore[arg-type]
            elif kind is Metered:
                self._usage = event.usage  # type: ignore[union-attr]
            elif kind is Pinged:
                if self._is_started:
                    out.append(_PING)
            elif getattr(event, "choice", 0) == 0:
                self._of_choice(event, out)
        return b"".join(out)

    def close(self, error: TollwayError | None) -> bytes:
        """The stop reason with the usage, and the end; or the error. Nothing may be open then that was not closed."""
        if self._is_finished:
            return b""
        self._is_finished = True
        if error is not None:
            return render_error_event(error)
        out: list[bytes] = []
        if not self._is_started:
            self._start(Started(id="", model=""), out)
        if self._kind is not None or self._pending is not None:
            self._end_part(out)
        stopped = self._stopped or Stopped("end")
        reason = "refusal" if self._has_refused and stopped.reason == "end" else WIRE_REASONS[stopped.reason]
        delta: dict[str, Any] = {"stop_reason": reason, "stop_sequence": stopped.sequence}
        out.append(_event("message_delta", {"delta": delta, "usage": usage_to_wire(self._usage)}))
        out.append(_STOP)
        return b"".join(out)

    def _of_choice(self, event: Event, out: list[bytes]) -> None:
        match event:
            case PartStarted():
                self._start_part(event, out)
            case PartEnded():
                self._end_part(out)
            case Sealed():
                self._seal(event.seal, out)
            case Cited():
                wire = write_citation(event.citation)
                if wire is not None and self._kind is Text:
                    out.append(self._block_delta({"type": "citations_delta", "citation": wire}))
            case Stopped():
                self._stopped = event

    def _start(self, event: Started, out: list[bytes]) -> None:
        self._is_started = True
        self._usage = event.usage
        message: dict[str, Any] = {
            "id": event.id or f"msg_{self._options.call_id}",
            "type": "message",
            "role": "assistant",
            "model": self._options.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_to_wire(event.usage),
        }
        out += [_event("message_start", {"message": message}), _PING]

    def _start_part(self, event: PartStarted, out: list[bytes]) -> None:
        part = event.part
        if isinstance(part, Thinking):
            self._pending = part
            return
        if isinstance(part, ToolCall):
            block: Any = {"type": "tool_use", "id": clean_id(part.id), "name": part.name, "input": {}}
            self._is_custom, self._custom = part.is_custom, []
        elif isinstance(part, Text | Refusal):
            block = {"type": "text", "text": ""}
            self._has_refused = self._has_refused or isinstance(part, Refusal)
        else:
            block = write_part(part)
            if block is None:
                return
        self._open(part.__class__, block, out)

    def _open(self, kind: type, block: Any, out: list[bytes]) -> None:
        self._kind = kind
        out.append(_event("content_block_start", {"index": self._index, "content_block": block}))
        delta = _DELTAS.get(kind, b"")
        self._head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%s' % (
            self._index,
            delta,
        )

    def _delta(self, text: str, out: list[bytes]) -> None:
        if self._pending is not None:
            self._pending = None
            self._open(Thinking, {"type": "thinking", "thinking": "", "signature": ""}, out)
        if self._kind is ToolCall and self._is_custom:
            self._custom.append(text)  # a text becomes JSON only when it is whole
        elif self._kind is not None:
            out.append(b"%s%s}}\n\n" % (self._head, _encode(text)))

    def _seal(self, seal: Seal, out: list[bytes]) -> None:
        if self._pending is not None:
            self._pending = None
            self._open(Opaqueless, {"type": "redacted_thinking", "data": write_seal(seal, OWN)}, out)
        elif self._kind is Thinking:
            out.append(self._block_delta({"type": "signature_delta", "signature": write_seal(seal, OWN)}))

    def _end_part(self, out: list[bytes]) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:  # thoughts that say nothing
            return
        if self._kind is None:
            return
        if self._kind is ToolCall and self._is_custom:
            self._is_custom = False
            self._delta(_encode({"input": "".join(self._custom)}).decode(), out)
        self._kind = None
        out.append(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index)
        self._index += 1

    def _block_delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})


class Opaqueless:
    """Stands for a block that takes no deltas."""


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
