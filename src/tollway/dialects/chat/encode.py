"""A chat stream, written from the events of the middle form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.chat.answer import FINISH_REASONS, render_citation, render_image, render_probabilities
from tollway.dialects.chat.render import thinking_block
from tollway.dialects.chat.wire import usage_to_wire
from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Metered,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stopped,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Media, Refusal, Text, Thinking, ToolCall
from tollway.dialects.generation.seals import write_seal
from tollway.dialects.openai.errors import render_error_event

_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"


def chunk_head(event: Started, options: StreamOptions, *, kind: bytes, id_prefix: str) -> bytes:
    """How every chunk of a stream begins, up to its choices."""
    return b'data: {"id":%s,"object":"%s","created":%d,"model":%s,"choices":' % (
        _encode(event.id or f"{id_prefix}-{options.call_id}"),
        kind,
        event.created or options.created,
        _encode(options.model),
    )


class _Choice:
    """What is open in one choice, and how its pieces are written."""

    __slots__ = ("calls", "has_role", "head", "images", "is_redacted", "kind", "tail", "text")

    def __init__(self) -> None:
        self.kind: type | None = None
        self.head = b""
        """Before the text of a piece."""
        self.tail = b""
        """After it, up to the choice."""
        self.calls = 0
        self.images = 0
        self.has_role = False
        self.is_redacted = False
        """The open thoughts are a seal and nothing else."""
        self.text: list[str] = []
        """Thoughts so far: their signature is sent with all of them."""


class ChatEncoder:
    """Writes one stream."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage = NO_USAGE
        self._prefix = b""
        self._usage_null = b',"usage":null' if options.wants_usage else b""
        self._is_finished = False

    def push(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events."""
        out: list[bytes] = []
        for event in events:
            kind = event.__class__
            if kind is Delta:
                self._delta(event, out)  # type: ignore[arg-type]  # it is one
            elif kind is Started:
                self._start(event)  # type: ignore[arg-type]
            elif kind is PartStarted:
                self._start_part(event, out)  # type: ignore[arg-type]
            elif kind is PartEnded:
                self._end_part(event, out)  # type: ignore[arg-type]
            elif kind is Sealed:
                self._seal(event, out)  # type: ignore[arg-type]
            elif kind is Cited:
                self._cite(event, out)  # type: ignore[arg-type]
            elif kind is Stopped:
                self._stop(event, out)  # type: ignore[arg-type]
            elif kind is Metered:
                self._usage = event.usage  # type: ignore[union-attr]
        return b"".join(out)

    def close(self, error: TollwayError | None) -> bytes:
        """The usage, if it was asked for, and `[DONE]`; or the error, and `[DONE]`."""
        if self._is_finished:
            return b""
        self._is_finished = True
        if error is not None:
            return render_error_event(error)
        if not self._options.wants_usage:
            return _DONE
        usage = _encode(usage_to_wire(self._usage))
        return b'%s[],"usage":%s}\n\n%s' % (self._head(), usage, _DONE)

    def _start(self, event: Started) -> None:
        self._prefix = chunk_head(event, self._options, kind=b"chat.completion.chunk", id_prefix="chatcmpl")

    def _head(self) -> bytes:
        if not self._prefix:
            self._start(Started(id="", model=""))
        return self._prefix

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
        return choice

    def _chunk(self, number: int, delta: Any, out: list[bytes], extra: bytes = b'"finish_reason":null') -> None:
        choice = self._choice(number)
        if not choice.has_role:
            choice.has_role = True
            delta = {"role": "assistant", "content": "", **delta}
        out.append(
            b'%s[{"index":%d,"delta":%s,%s}]%s}\n\n' % (self._head(), number, _encode(delta), extra, self._usage_null)
        )

    def _start_part(self, event: PartStarted, out: list[bytes]) -> None:
        choice = self._choice(event.choice)
        part = event.part
        choice.kind = part.__class__
        head = b'%s[{"index":%d,"delta":{' % (self._head(), event.choice)
        end = b'},"finish_reason":null}]%s}\n\n' % self._usage_null
        if isinstance(part, ToolCall):
            self._chunk(event.choice, {"tool_calls": [_call(part, choice.calls)]}, out)
            field = b'"custom":{"input":' if part.is_custom else b'"function":{"arguments":'
            choice.head = b'%s"tool_calls":[{"index":%d,%s' % (head, choice.calls, field)
            choice.tail = b"}}]" + end
            choice.calls += 1
        elif isinstance(part, Media):
            self._chunk(event.choice, {"images": [render_image(part, choice.images)]}, out)
            choice.images += 1
        elif isinstance(part, Text | Refusal | Thinking):
            if not choice.has_role:
                self._chunk(event.choice, {}, out)
            choice.head = head + _FIELDS[part.__class__]
            choice.tail = end
            choice.text = []
            choice.is_redacted = isinstance(part, Thinking) and part.is_redacted

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        choice = self._choices[event.choice]
        if choice.kind is Thinking:
            choice.text.append(event.text)
        if event.logprobs is None:
            out.append(choice.head + _encode(event.text) + choice.tail)
            return
        logprobs = _encode({"content": render_probabilities(event.logprobs), "refusal": None})
        field = "refusal" if choice.kind is Refusal else "content"
        self._chunk(event.choice, {field: event.text}, out, b'"logprobs":%s,"finish_reason":null' % logprobs)

    def _end_part(self, event: PartEnded, out: list[bytes]) -> None:
        self._choices[event.choice].kind = None

    def _seal(self, event: Sealed, out: list[bytes]) -> None:
        choice = self._choices[event.choice]
        if choice.kind is Thinking:
            thought = Thinking(text="".join(choice.text), seal=event.seal, is_redacted=choice.is_redacted)
            self._chunk(event.choice, {"thinking_blocks": [thinking_block(thought)]}, out)
        elif choice.kind is ToolCall:
            signature = write_seal(event.seal, "gemini")
            call = {
                "index": choice.calls - 1,
                "extra_content": {"google": {"thought_signature": signature}},
                "provider_specific_fields": {"thought_signature": signature},
            }
            self._chunk(event.choice, {"tool_calls": [call]}, out)

    def _cite(self, event: Cited, out: list[bytes]) -> None:
        annotation = render_citation(event.citation)
        if annotation is not None:
            self._chunk(event.choice, {"annotations": [annotation]}, out)

    def _stop(self, event: Stopped, out: list[bytes]) -> None:
        reason = b'"finish_reason":%s' % _encode(FINISH_REASONS[event.reason])
        self._chunk(event.choice, {}, out, reason)


_FIELDS: dict[type, bytes] = {Text: b'"content":', Refusal: b'"refusal":', Thinking: b'"reasoning_content":'}


def _call(call: ToolCall, index: int) -> dict[str, Any]:
    if call.is_custom:
        return {"index": index, "id": call.id, "type": "custom", "custom": {"name": call.name, "input": ""}}
    return {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
