"""Whole answers of generateContent, read into the middle form and written from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import UpstreamError
from tollway.dialects.gemini.decode import CANDIDATE, GeminiDecoder
from tollway.dialects.gemini.finish import finish_fields, prompt_feedback
from tollway.dialects.gemini.grounding import Grounding
from tollway.dialects.gemini.parts import ABOUT, answer_part
from tollway.dialects.gemini.wire import usage_to_wire
from tollway.dialects.generation.answer import Answer, Assembler, Choice, Event, TokenProbability
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Opaque, Part, Text

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_MARKS = frozenset({"candidates", "promptFeedback", "usageMetadata", "error"})


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not an answer. It is read as the only chunk of a stream would be."""
    if not _MARKS & _decode(body).keys():
        raise msgspec.ValidationError("Object missing the field `candidates`")
    decoder = GeminiDecoder()
    events: list[Event] = []
    decoder.read(b"", body, events)
    decoder.finish(events, otherwise="STOP")
    assembler = Assembler("gemini")
    try:
        for event in events:
            assembler.add(event)
    except UpstreamError as error:
        raise msgspec.ValidationError(error.message) from None
    answer = assembler.answer()
    if not answer.choices:
        answer.choices = [Choice(parts=[])]
    return answer


def render_answer(answer: Answer, options: StreamOptions) -> bytes:
    """A whole answer. One that was refused before it began has no candidates, as at Google."""
    body: dict[str, Any] = {}
    feedback = prompt_feedback(answer.choices[0].stop_details) if answer.choices else None
    if feedback is not None:
        body["promptFeedback"] = feedback
    else:
        body["candidates"] = [_candidate(choice, answer.id) for choice in answer.choices]
    body["usageMetadata"] = usage_to_wire(answer.usage)
    body["modelVersion"] = options.model
    body["responseId"] = answer.id or options.call_id
    return _encode(body)


def _candidate(choice: Choice, response_id: str) -> dict[str, Any]:
    parts: list[Any] = []
    about: dict[str, Any] = {}
    grounding = Grounding()
    for part in choice.parts:
        _add(part, parts, about, grounding, response_id)
    wire: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    wire |= finish_fields(choice.stop, choice.stop_details)
    wire["index"] = choice.index
    metadata = grounding.metadata()
    if metadata is not None and "groundingMetadata" not in about:
        wire["groundingMetadata"] = metadata
    if choice.logprobs is not None:
        wire["logprobsResult"] = logprobs_result(choice.logprobs)
    return wire | about


def _add(part: Part, parts: list[Any], about: dict[str, Any], grounding: Grounding, response_id: str) -> None:
    if isinstance(part, Opaque) and part.origin == "gemini":
        if part.kind.startswith(CANDIDATE):
            about[part.kind.removeprefix(CANDIDATE)] = part.raw
            return
        if part.kind.startswith(ABOUT) and parts and isinstance(parts[-1], dict):
            parts[-1] |= _decode(part.raw)
            return
    if isinstance(part, Text):
        for citation in part.citations:
            if citation.origin != "gemini":
                grounding.add(citation, part.text, len(parts))
    wire = answer_part(part, response_id)
    if wire is not None:
        parts.append(wire)


def logprobs_result(tokens: Sequence[TokenProbability]) -> dict[str, Any]:
    """`logprobsResult`."""
    return {
        "chosenCandidates": [_token(token) for token in tokens],
        "topCandidates": [{"candidates": [_token(other) for other in token.top]} for token in tokens],
    }


def _token(token: TokenProbability) -> dict[str, Any]:
    return {"token": token.token, "logProbability": token.logprob}
