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
from tollway.dialects.generation.request import Part, Refusal, Seal, Text, Thinking, ToolCall
from tollway.dialects.generation.seals import write_seal
from tollway.dialects.messages.answer import is_own_details, wire_reason, write_part
from tollway.dialects.messages.blocks import OWN, clean_id, write_citation, write_seal_of, write_thinking
from tollway.dialects.messages.errors import render_error_event
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


_TOLD = frozenset({Text, Refusal, Thinking})
"""Parts whose block begins with its first piece: without one there is none, since the API refuses empty texts in the
next turn's history, and what kind of thoughts they are is known only then."""


class MessagesEncoder:
    """Writes one stream. Only the first choice can be told."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._usage: Usage = NO_USAGE
        self._index = 0
        self._kind: type | None = None
        """Of the open block; None: none is open, or it takes no more pieces."""
        self._is_open = False
        self._head = b""
        self._part: Part | None = None
        """The open part."""
        self._custom: list[str] = []
        """Text for a custom tool: it becomes JSON only when it is whole."""
        self._seal: Seal | None = None
        """Another vendor's, of the open call or text."""
        self._stopped = Stopped("end")
        self._is_started = False
        self._is_finished = False
        self._has_refused = False

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
        """The stop reason with the usage, and the end; or the error, after which nothing comes."""
        if self._is_finished:
            return b""
        self._is_finished = True
        if error is not None:
            return render_error_event(error)
        out: list[bytes] = []
        if not self._is_started:
            self._start(Started(id="", model=""), out)
        self._end_part(out)
        stopped = self._stopped
        delta: dict[str, Any] = {
            "stop_reason": wire_reason(stopped.reason, has_refused=self._has_refused),
            "stop_sequence": stopped.sequence,
        }
        if is_own_details(stopped.details):
            delta["stop_details"] = stopped.details
        out.append(_event("message_delta", {"delta": delta, "usage": usage_to_wire(self._usage)}))
        out.append(_STOP)
        return b"".join(out)

    def _of_choice(self, event: Event, out: list[bytes]) -> None:
        match event:
            case PartStarted():
                self._start_part(event.part, out)
            case PartEnded():
                self._end_part(out)
            case Sealed():
                self._take_seal(event.seal, out)
            case Cited():
                self._cite(event, out)
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

    def _start_part(self, part: Part, out: list[bytes]) -> None:
        self._end_part(out)
        self._part = part
        self._seal = None
        if isinstance(part, Text | Refusal | Thinking):
            self._has_refused = self._has_refused or isinstance(part, Refusal)
            if part.text:
                self._delta(part.text, out)
        elif isinstance(part, ToolCall):
            block = {"type": "tool_use", "id": clean_id(part.id), "name": part.name, "input": {}, **part.extra}
            self._open(ToolCall, block, out)
            self._custom = []
            if part.arguments:
                self._delta(part.arguments, out)
        else:
            whole = write_part(part)
            if whole is not None:
                self._open(None, whole, out)
        if isinstance(part, Text | Thinking | ToolCall) and part.seal is not None:
            self._take_seal(part.seal, out)

    def _open(self, kind: type | None, block: Any, out: list[bytes]) -> None:
        self._kind = kind
        self._is_open = True
        out.append(_event("content_block_start", {"index": self._index, "content_block": block}))
        if kind is not None:
            self._head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%s' % (
                self._index,
                _DELTAS[kind],
            )

    def _delta(self, text: str, out: list[bytes]) -> None:
        if self._kind is None:
            part = self._part
            if self._is_open or part.__class__ not in _TOLD:
                return
            self._open(part.__class__, _EMPTY[part.__class__], out)
        elif self._kind is ToolCall and self._part.is_custom:  # type: ignore[union-attr]  # it is one
            self._custom.append(text)
            return
        out.append(b"%s%s}}\n\n" % (self._head, _encode(text)))

    def _cite(self, event: Cited, out: list[bytes]) -> None:
        wire = write_citation(event.citation)
        if wire is not None and self._kind is Text:
            out.append(self._block_delta({"type": "citations_delta", "citation": wire}))

    def _take_seal(self, seal: Seal, out: list[bytes]) -> None:
        part = self._part
        if isinstance(part, Text | ToolCall):
            self._seal = seal
        if not isinstance(part, Thinking):
            return
        if self._is_open:
            if self._kind is Thinking:
                out.append(self._block_delta({"type": "signature_delta", "signature": write_seal(seal, OWN)}))
            return
        block = write_thinking(Thinking(seal=seal, is_redacted=part.is_redacted))
        if block["type"] == "redacted_thinking":
            self._open(None, block, out)
        else:  # the text is omitted, the signature is all there is
            self._open(Thinking, _EMPTY[Thinking], out)
            self._take_seal(seal, out)

    def _end_part(self, out: list[bytes]) -> None:
        part, self._part = self._part, None
        if self._is_open:
            if self._kind is ToolCall and part.is_custom:  # type: ignore[union-attr]  # it is one
                text = _encode({"input": "".join(self._custom)}).decode()
                out.append(b"%s%s}}\n\n" % (self._head, _encode(text)))
            self._end_block(out)
        seal, self._seal = self._seal, None
        if seal is not None and isinstance(part, Text | ToolCall):
            self._open(None, write_seal_of(part, seal), out)
            self._end_block(out)

    def _end_block(self, out: list[bytes]) -> None:
        self._kind = None
        self._is_open = False
        out.append(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index)
        self._index += 1

    def _block_delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})


_EMPTY: dict[type, dict[str, str]] = {
    Text: {"type": "text", "text": ""},
    Refusal: {"type": "text", "text": ""},
    Thinking: {"type": "thinking", "thinking": "", "signature": ""},
}


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
