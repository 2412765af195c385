"""A stream of generateContent, written from the events of the middle form.

Each chunk is a whole answer with what is new. A call of a function is written when its arguments are complete; the last
chunk has the finish reasons and the usage. Streams are server-sent events, or one JSON array (without `alt=sse`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.gemini.answer import logprobs_result
from tollway.dialects.gemini.decode import CANDIDATE
from tollway.dialects.gemini.errors import render_error
from tollway.dialects.gemini.finish import finish_fields, prompt_feedback
from tollway.dialects.gemini.grounding import Grounding
from tollway.dialects.gemini.parts import answer_part, signed
from tollway.dialects.gemini.wire import usage_to_wire
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
from tollway.dialects.generation.request import Json, Opaque, Part, Refusal, Text, Thinking, ToolCall

_encode = msgspec.json.Encoder().encode
_UNFINISHED: dict[str, Any] = {"finishReason": "OTHER"}


class _Choice:
    """What is open in one answer, and how its pieces are written."""

    __slots__ = ("about", "finish", "grounding", "head", "part", "parts", "tail", "text")

    def __init__(self) -> None:
        self.part: Part | None = None
        self.parts = -1
        """The number of the open part."""
        self.head = b""
        """Before the text of a piece."""
        self.tail = b""
        self.text: list[str] = []
        """Of the open part: arguments, or what citations count in."""
        self.grounding = Grounding()
        self.about: dict[str, Json] = {}
        self.finish: Stopped | None = None


class GeminiEncoder:
    """Writes one stream."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage = NO_USAGE
        self._id = options.call_id
        self._is_sse = options.is_sse
        self._lead, self._end = (b"data: ", b"\r\n\r\n") if options.is_sse else (b"[", b"")
        self._tail = b""
        self._is_finished = False

    def push(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events."""
        out: list[bytes] = []
        for event in events:
            kind = event.__class__
            if kind is Delta:
                self._delta(event, out)  # type: ignore[arg-type]  # it is one
            elif kind is PartStarted:
                self._start_part(event)  # type: ignore[arg-type]
            elif kind is PartEnded:
                self._end_part(event, out)  # type: ignore[arg-type]
            elif kind is Sealed:
                self._seal(event, out)  # type: ignore[arg-type]
            elif kind is Cited:
                choice = self._choices[event.choice]  # type: ignore[union-attr]
                citation = event.citation  # type: ignore[union-attr]
                if citation.origin != "gemini":
                    choice.grounding.add(citation, "".join(choice.text), choice.parts)
            elif kind is Stopped:
                self._choice(event.choice).finish = event  # type: ignore[assignment,union-attr]
            elif kind is Metered:
                self._usage = event.usage  # type: ignore[union-attr]
            elif kind is Started:
                self._start(event)  # type: ignore[arg-type]
        return b"".join(out)

    def close(self, error: TollwayError | None) -> bytes:
        """The chunk with finish reasons and usage; or the error, after whatever was sent so far."""
        if self._is_finished:
            return b""
        self._is_finished = True
        out: list[bytes] = []
        if error is not None:
            self._write(render_error(error), out)
        else:
            self._write(self._last_chunk(), out)
        return b"".join(out) if self._is_sse else b"".join(out) + b"]"

    def _start(self, event: Started) -> None:
        self._id = event.id or self._options.call_id
        self._usage = event.usage

    def _suffix(self) -> bytes:
        """Of every chunk: the model and the answer's id."""
        if not self._tail:
            self._tail = b'],"modelVersion":%s,"responseId":%s}' % (_encode(self._options.model), _encode(self._id))
        return self._tail

    def _write(self, document: bytes, out: list[bytes]) -> None:
        out += (self._lead, document, self._end)
        if not self._is_sse:
            self._lead = b",\r\n"

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
        return choice

    def _start_part(self, event: PartStarted) -> None:
        choice = self._choice(event.choice)
        part = event.part
        choice.part = part
        choice.parts += 1
        choice.text = []
        if isinstance(part, Text | Refusal | Thinking):
            thought = b'"thought":true,' if isinstance(part, Thinking) else b""
            choice.head = b'{"candidates":[{"content":{"parts":[{%s"text":' % thought
            choice.tail = b'}],"role":"model"},"index":%d}%s' % (event.choice, self._suffix())

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        choice = self._choices[event.choice]
        choice.text.append(event.text)
        if choice.part.__class__ is ToolCall:
            return
        if event.logprobs is not None:
            more = {"logprobsResult": logprobs_result(event.logprobs)}
            self._part({"text": event.text}, event.choice, out, more)
            return
        self._write(choice.head + _encode(event.text) + choice.tail, out)

    def _end_part(self, event: PartEnded, out: list[bytes]) -> None:
        choice = self._choices[event.choice]
        part, choice.part = choice.part, None
        if isinstance(part, ToolCall):
            call = msgspec.structs.replace(part, arguments=part.arguments + "".join(choice.text))
            self._part(answer_part(call, self._id), event.choice, out)
        elif isinstance(part, Opaque) and part.origin == "gemini" and part.kind.startswith(CANDIDATE):
            choice.about[part.kind.removeprefix(CANDIDATE)] = part.raw
        elif part is not None and not isinstance(part, Text | Refusal | Thinking):
            self._part(answer_part(part, self._id), event.choice, out)

    def _seal(self, event: Sealed, out: list[bytes]) -> None:
        """The signature of a text follows it in a part without text, as Gemini 3 sends it."""
        choice = self._choices[event.choice]
        part = choice.part
        if isinstance(part, ToolCall):
            part = choice.part = msgspec.structs.replace(part, seal=event.seal)
        elif isinstance(part, Thinking):
            is_bare = part.is_redacted and not choice.text
            self._part(
                signed({"thought": True} if is_bare else {"text": "", "thought": True}, event.seal), event.choice, out
            )
        else:
            self._part(signed({"text": ""}, event.seal), event.choice, out)

    def _part(self, wire: Any, number: int, out: list[bytes], more: dict[str, Any] | None = None) -> None:
        if wire is None:
            return
        candidate = {"content": {"parts": [wire], "role": "model"}, "index": number, **(more or {})}
        self._write(b'{"candidates":[' + _encode(candidate) + self._suffix(), out)

    def _last_chunk(self) -> bytes:
        usage = b',"usageMetadata":%s}' % _encode(usage_to_wire(self._usage))
        first = self._choices.get(0)
        if first is not None and first.finish is not None:
            feedback = prompt_feedback(first.finish.details)
            if feedback is not None:
                body = {"promptFeedback": feedback, "modelVersion": self._options.model, "responseId": self._id}
                return _encode(body)[:-1] + usage
        choices = self._choices or {0: _Choice()}
        candidates = b",".join(_encode(_last(number, choice)) for number, choice in sorted(choices.items()))
        return b'{"candidates":[' + candidates + self._suffix()[:-1] + usage


def _last(number: int, choice: _Choice) -> dict[str, Any]:
    """What is said of an answer at its end. `OTHER` is what Google says where it does not know a reason."""
    finish = choice.finish
    wire: dict[str, Any] = {"content": {"parts": [{"text": ""}], "role": "model"}}
    wire |= finish_fields(finish.reason, finish.details) if finish is not None else _UNFINISHED
    wire["index"] = number
    metadata = choice.grounding.metadata()
    if metadata is not None:
        wire["groundingMetadata"] = metadata
    return wire | choice.about
