"""A stream of generateContent, read into the events of the middle form.

Every chunk is an answer of its own, with what is new; texts that follow each other are one part, a call of a function
comes whole. A stream has no last word: it is over when its body ends, and complete if each answer gave a finish reason.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any
from zlib import crc32

import msgspec
from typing_extensions import override

from tollway.core.errors import InvalidRequest
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.gemini.errors import parse_error, status_in
from tollway.dialects.gemini.finish import PLAIN, stop_reason
from tollway.dialects.gemini.grounding import read_citations, search_queries, with_searches
from tollway.dialects.gemini.parts import made_up_id, read_part
from tollway.dialects.gemini.signature import read_signature, write_signature
from tollway.dialects.gemini.wire import (
    NOTHING,
    CandidateWire,
    ChunkWire,
    LogprobsWire,
    TextPartWire,
    TokenWire,
    decode_chunk,
    decode_text_part,
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
    Sealed,
    Started,
    Stopped,
    TokenProbability,
)
from tollway.dialects.generation.decoder import EventStreamDecoder
from tollway.dialects.generation.request import Json, Opaque, Part, Text, Thinking, ToolCall

CANDIDATE = "candidate."
"""How the kind of an `Opaque` begins that is said about an answer as a whole."""

_ABOUT: tuple[tuple[str, str], ...] = (
    ("groundingMetadata", "grounding_metadata"),
    ("citationMetadata", "citation_metadata"),
    ("urlContextMetadata", "url_context_metadata"),
    ("safetyRatings", "safety_ratings"),
    ("finishMessage", "finish_message"),
    ("avgLogprobs", "avg_logprobs"),
    ("tokenCount", "token_count"),
)
_get_about = attrgetter(*(attribute for _, attribute in _ABOUT))
_NOTHING_SAID = (NOTHING,) * len(_ABOUT)
_WHY = ("finishMessage", "safetyRatings")
"""What belongs to a finish reason that is not a plain end."""
_encode = msgspec.json.Encoder().encode


class _Choice:
    """What is open in one answer."""

    __slots__ = ("about", "finish", "has_calls", "index", "is_sealed", "open", "parts", "text")

    def __init__(self, index: int) -> None:
        self.index = index
        self.open: type[Part] | None = None
        self.is_sealed = False
        """The open part has its signature: what follows is another."""
        self.parts = 0
        self.text: list[str] = []
        """Of the open part."""
        self.has_calls = False
        self.finish: str | None = None
        self.about: dict[str, Json] = {}


class GeminiDecoder(EventStreamDecoder):
    """Reads one stream."""

    def __init__(self, vendor: str = "") -> None:
        """`vendor` names it in errors."""
        super().__init__(vendor)
        self._choices: dict[int, _Choice] = {}
        self._is_started = False
        self._turn = ""
        self._calls = 0
        self._feedback: Json | None = None
        self._usage: Usage = NO_USAGE
        self._queries: frozenset[str] = frozenset()

    @override
    def end(self) -> list[Event]:
        """The body has ended: the answers that gave a finish reason are complete."""
        rest = self._reader.rest.strip()
        events = super().end()
        if rest[:1] in (b"{", b"["):  # an error that is not sent as an event
            self.read(b"", rest.removeprefix(b"[").removesuffix(b"]"), events)
        self.finish(events)
        return events

    @override
    def read(self, name: bytes, document: bytes, events: list[Event]) -> None:
        """One chunk, or a whole answer."""
        if self.is_done:
            return
        try:
            chunk = decode_chunk(document)
        except msgspec.DecodeError:
            return
        if chunk.error is not None:
            self.is_done = True
            events.append(Failed(parse_error(status_in(chunk.error), document, self._vendor)))
            return
        usage = usage_from_wire(chunk.usage_metadata) if chunk.usage_metadata is not None else self._usage
        if not self._is_started:
            self._start(chunk, document, usage, events)
        for candidate in chunk.candidates or ():
            self._candidate(candidate, events)
            if candidate.grounding_metadata is not NOTHING:
                self._queries |= search_queries(candidate.grounding_metadata)
        usage = with_searches(usage, self._queries)
        if chunk.prompt_feedback is not NOTHING:
            self._feedback = chunk.prompt_feedback
        if usage != self._usage:
            self._usage = usage
            events.append(Metered(usage))

    def finish(self, events: list[Event], *, otherwise: str | None = None) -> None:
        """Ends the answers. `otherwise`: the reason of those that gave none."""
        if self.is_done or not self._is_started:
            return
        if not self._choices and self._feedback is not None:
            details = Json(b'{"promptFeedback":%s}' % bytes(self._feedback))
            events.append(Stopped("content_filter", None, 0, details))
        for choice in self._choices.values():
            reason = choice.finish or otherwise
            if reason is not None:
                self._stop(choice, reason, events)

    def _start(self, chunk: ChunkWire, document: bytes, usage: Usage, events: list[Event]) -> None:
        self._is_started = True
        self._turn = chunk.response_id or str(crc32(document))
        events.append(Started(id=chunk.response_id or "", model=chunk.model_version or "", usage=usage))

    def _candidate(self, wire: CandidateWire, events: list[Event]) -> None:
        choice = self._choices.get(wire.index)
        if choice is None:
            choice = self._choices[wire.index] = _Choice(wire.index)
        about = _get_about(wire)
        if about != _NOTHING_SAID:
            choice.about |= {
                name: value for (name, _), value in zip(_ABOUT, about, strict=True) if value is not NOTHING
            }
        logprobs = probabilities(wire.logprobs_result) if wire.logprobs_result is not None else None
        if wire.content is not None:
            for raw in wire.content.parts:
                try:
                    part = decode_text_part(raw)
                except msgspec.DecodeError:
                    self._other(choice, raw, events)
                    continue
                self._text(choice, part, logprobs, events)
                logprobs = None if part.text and not part.thought else logprobs
        if wire.finish_reason is not None:
            choice.finish = wire.finish_reason

    def _text(
        self, choice: _Choice, part: TextPartWire, logprobs: list[TokenProbability] | None, events: list[Event]
    ) -> None:
        kind: type[Part] = Thinking if part.thought else Text
        if part.text:
            if choice.open is not kind or choice.is_sealed:
                self._open(choice, Thinking() if part.thought else Text(text=""), events)
            choice.text.append(part.text)
            events.append(Delta(part.text, choice.index, None if part.thought else logprobs))
        if part.thought_signature:
            if choice.open is not kind or choice.is_sealed:
                self._open(choice, Thinking() if part.thought else Text(text=""), events)
            choice.is_sealed = True
            events.append(Sealed(read_signature(part.thought_signature), choice.index))

    def _other(self, choice: _Choice, raw: Json, events: list[Event]) -> None:
        """Anything but a text alone: it comes whole."""
        try:
            parts = read_part(raw, "content.parts", self._call_id)
        except InvalidRequest:
            return
        for part in parts:
            match part:
                case Text() | Thinking(is_redacted=False):
                    thought = isinstance(part, Thinking)
                    signature = write_signature(part.seal) if part.seal is not None else None
                    self._text(choice, TextPartWire(part.text, thought, signature), None, events)
                case ToolCall():
                    choice.has_calls = True
                    self._open(choice, ToolCall(id=part.id, name=part.name, arguments=""), events)
                    events.append(Delta(part.arguments, choice.index))
                    if part.seal is not None:
                        events.append(Sealed(part.seal, choice.index))
                    self._close(choice, events)
                case Thinking(seal=seal) if seal is not None:
                    self._open(choice, Thinking(is_redacted=True), events)
                    events.append(Sealed(seal, choice.index))
                    self._close(choice, events)
                case _:
                    self._open(choice, part, events)
                    self._close(choice, events)

    def _call_id(self) -> str:
        call_id = made_up_id(self._turn, self._calls)
        self._calls += 1
        return call_id

    def _open(self, choice: _Choice, part: Part, events: list[Event]) -> None:
        self._close(choice, events)
        choice.open = part.__class__
        choice.text = []
        events.append(PartStarted(part, choice.parts, choice.index))
        choice.parts += 1

    def _close(self, choice: _Choice, events: list[Event]) -> None:
        if choice.open is None:
            return
        if choice.open is Text and choice.about:
            grounding, sources = choice.about.get("groundingMetadata"), choice.about.get("citationMetadata")
            if grounding is not None or sources is not None:
                found = read_citations("".join(choice.text), grounding, sources)
                events += [Cited(citation, choice.index) for citation in found]
        events.append(PartEnded(choice.index))
        choice.open = None
        choice.is_sealed = False

    def _stop(self, choice: _Choice, reason: str, events: list[Event]) -> None:
        self._close(choice, events)
        details: dict[str, Any] = {}
        if reason not in PLAIN:
            details = {"finishReason": reason}
            details |= {name: choice.about.pop(name) for name in _WHY if name in choice.about}
        for name, raw in choice.about.items():
            opaque = Opaque(origin="gemini", kind=CANDIDATE + name, raw=raw)
            events += [PartStarted(opaque, choice.parts, choice.index), PartEnded(choice.index)]
            choice.parts += 1
        stop = stop_reason(reason, has_calls=choice.has_calls)
        events.append(Stopped(stop, None, choice.index, Json(_encode(details)) if details else None))


def probabilities(wire: LogprobsWire) -> list[TokenProbability]:
    """`logprobsResult`."""
    tops = [*wire.top_candidates, *[None] * len(wire.chosen_candidates)]
    return [
        TokenProbability(
            token=token.token,
            logprob=token.log_probability,
            top=tuple(_probability(other) for other in top.candidates) if top is not None else (),
        )
        for token, top in zip(wire.chosen_candidates, tops, strict=False)
    ]


def _probability(wire: TokenWire) -> TokenProbability:
    return TokenProbability(token=wire.token, logprob=wire.log_probability)
