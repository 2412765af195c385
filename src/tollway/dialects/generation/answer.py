"""An answer in the middle form, whole and as the events of a stream.

Every decoder emits, whatever its vendor sent and however the bytes were split:

    Started  ( PartStarted  (Delta | Sealed | Cited)*  PartEnded )*  Stopped  Metered*

For each choice one part is open at a time, and parts are numbered from 0 in the order they start. Vendors that
interleave are sorted out by the decoder. `Failed` may come at any place and ends everything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tollway.core.errors import UpstreamError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.generation.request import Citation, Json, Part, Refusal, Seal, Text, Thinking, ToolCall

StopReason = Literal["end", "length", "tool_use", "stop_sequence", "content_filter", "refusal", "pause", "context"]
"""`pause`: a server tool's turn is to be continued (Anthropic); `context`: the window is full."""


class TokenProbability(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One token of the answer and what else it might have been."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenProbability, ...] = ()


class Choice(msgspec.Struct, kw_only=True, gc=False):
    """One of the answers asked for."""

    index: int = 0
    parts: list[Part]
    stop: StopReason = "end"
    stop_sequence: str | None = None
    logprobs: list[TokenProbability] | None = None
    stop_details: Json | None = None
    """What the vendor says about a refusal or a filter."""


class Answer(msgspec.Struct, kw_only=True, gc=False):
    """A whole answer."""

    origin: str
    id: str
    model: str
    created: int = 0
    """Epoch seconds; 0: not said."""
    choices: list[Choice]
    usage: Usage = NO_USAGE
    service_tier: str | None = None
    extra: dict[str, Json] = {}
    """Top-level keys that the middle form has no field for, in the dialect `origin`."""


class Started(msgspec.Struct, kw_only=True, gc=False):
    """The answer begins."""

    id: str
    model: str
    created: int = 0
    usage: Usage = NO_USAGE
    """What is known of the prompt already (Anthropic)."""


class PartStarted(msgspec.Struct, gc=False):
    """A part begins; `part` has what is known so far: a tool call its id and name, an opaque part everything."""

    part: Part
    index: int
    choice: int = 0


class Delta(msgspec.Struct, gc=False):
    """More of the open part: of its text, or of a tool call's arguments."""

    text: str
    choice: int = 0
    logprobs: list[TokenProbability] | None = None


class Sealed(msgspec.Struct, gc=False):
    """The open part's seal."""

    seal: Seal
    choice: int = 0


class Cited(msgspec.Struct, gc=False):
    """A citation of the open text."""

    citation: Citation
    choice: int = 0


class PartEnded(msgspec.Struct, gc=False):
    """The open part is complete."""

    choice: int = 0


class Stopped(msgspec.Struct, gc=False):
    """A choice is complete, and why."""

    reason: StopReason
    sequence: str | None = None
    choice: int = 0
    details: Json | None = None


class Metered(msgspec.Struct, gc=False):
    """The usage so far, all of it; the last one counts."""

    usage: Usage


class Failed(msgspec.Struct, gc=False):
    """The vendor ended the stream with an error."""

    error: UpstreamError


class Pinged(msgspec.Struct, gc=False):
    """The vendor says that it is still there."""


Event = Started | PartStarted | Delta | Sealed | Cited | PartEnded | Stopped | Metered | Failed | Pinged


def text_of(answer: Answer) -> str:
    """Everything the model said, thoughts and arguments included: for counting where usage is missing."""
    return "".join(said(part) for choice in answer.choices for part in choice.parts)


def said(part: Part) -> str:
    """What a part counts for: its text, or a call's name and arguments."""
    match part:
        case Text() | Thinking() | Refusal():
            return part.text
        case ToolCall():
            return part.name + part.arguments
    return ""


def events_of(answer: Answer) -> list[Event]:
    """A whole answer as the events of a stream."""
    events: list[Event] = [
        Started(id=answer.id, model=answer.model, created=answer.created, usage=answer.usage),
    ]
    for choice in answer.choices:
        for index, part in enumerate(choice.parts):
            events += _events_of_part(part, index, choice)
        events.append(Stopped(choice.stop, choice.stop_sequence, choice.index, choice.stop_details))
    events.append(Metered(answer.usage))
    return events


def _events_of_part(part: Part, index: int, choice: Choice) -> list[Event]:
    number = choice.index
    match part:
        case Text():
            skeleton: Part = Text(text="")
            text, seal, logprobs = part.text, part.seal, choice.logprobs
        case Refusal():
            skeleton = Refusal(text="")
            text, seal, logprobs = part.text, None, None
        case Thinking():
            skeleton = Thinking(is_redacted=part.is_redacted, id=part.id, is_summary=part.is_summary)
            text, seal, logprobs = part.text, part.seal, None
        case ToolCall():
            skeleton = ToolCall(id=part.id, name=part.name, arguments="", is_custom=part.is_custom)
            text, seal, logprobs = part.arguments, part.seal, None
        case _:
            return [PartStarted(part, index, number), PartEnded(number)]
    events: list[Event] = [PartStarted(skeleton, index, number)]
    if text:
        events.append(Delta(text, number, logprobs))
    if isinstance(part, Text):
        events += [Cited(citation, number) for citation in part.citations]
    if seal is not None:
        events.append(Sealed(seal, number))
    return [*events, PartEnded(number)]


class Assembler:
    """Puts the events of a stream together again. `add` each; then `answer`."""

    def __init__(self, origin: str) -> None:
        """`origin`: the dialect the events were decoded from."""
        self._answer = Answer(origin=origin, id="", model="", choices=[])
        self._choices: dict[int, Choice] = {}
        self._pieces: dict[int, list[str]] = {}

    def add(self, event: Event) -> None:
        """Takes the next event. Raises the `UpstreamError` of a `Failed`."""
        match event:
            case Started():
                answer = self._answer
                answer.id, answer.model, answer.created = event.id, event.model, event.created
                answer.usage = event.usage
            case PartStarted():
                self._choice(event.choice).parts.append(msgspec.structs.replace(event.part))
                self._pieces[event.choice] = []
            case Delta():
                self._pieces[event.choice].append(event.text)
                if event.logprobs is not None:
                    choice = self._choice(event.choice)
                    choice.logprobs = [*(choice.logprobs or ()), *event.logprobs]
            case Sealed():
                part = self._choices[event.choice].parts[-1]
                assert isinstance(part, Text | Thinking | ToolCall)
                part.seal = event.seal
            case Cited():
                part = self._choices[event.choice].parts[-1]
                assert isinstance(part, Text)
                part.citations = (*part.citations, event.citation)
            case PartEnded():
                self._close(event.choice)
            case Stopped():
                choice = self._choice(event.choice)
                choice.stop, choice.stop_sequence, choice.stop_details = event.reason, event.sequence, event.details
            case Metered():
                self._answer.usage = event.usage
            case Failed():
                raise event.error

    def answer(self) -> Answer:
        """The answer so far."""
        for number in list(self._pieces):
            self._close(number)
        self._answer.choices = [self._choices[number] for number in sorted(self._choices)]
        return self._answer

    def _choice(self, number: int) -> Choice:
        if number not in self._choices:
            self._choices[number] = Choice(index=number, parts=[])
        return self._choices[number]

    def _close(self, number: int) -> None:
        text = "".join(self._pieces.pop(number, ()))
        if not text:
            return
        part = self._choices[number].parts[-1]
        if isinstance(part, ToolCall):
            part.arguments += text
        elif isinstance(part, Text | Thinking | Refusal):
            part.text += text
