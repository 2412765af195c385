"""Whole answers of Cohere, read into the middle form."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import NO_USAGE
from tollway.dialects.cohere.errors import generation_error
from tollway.dialects.cohere.wire import (
    FAILURES,
    STOP_REASONS,
    AnswerWire,
    CitationWire,
    FunctionWire,
    LogProbsWire,
    MessageWire,
    ToolCallWire,
    usage_from_wire,
)
from tollway.dialects.generation.answer import Answer, Choice, StopReason, TokenProbability
from tollway.dialects.generation.request import Citation, Part, Text, Thinking, ToolCall

_decode = msgspec.json.Decoder(AnswerWire, strict=False).decode
_decode_citation = msgspec.json.Decoder(CitationWire, strict=False).decode

_OF_TEXT = (None, "TEXT_CONTENT")
"""Citations of plans and thoughts have no place in other formats."""


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not one, and the `UpstreamError` that the vendor ended it with."""
    wire = _decode(body)
    reason = wire.finish_reason or "COMPLETE"
    if reason in FAILURES:
        raise generation_error(reason, None)
    parts = _parts(wire.message, wire.id or "")
    choice = Choice(
        parts=parts,
        stop=stop_reason(reason, has_calls=any(isinstance(part, ToolCall) for part in parts)),
        logprobs=[each for chunk in wire.logprobs for each in probabilities(chunk)] if wire.logprobs else None,
    )
    usage = usage_from_wire(wire.usage) if wire.usage is not None else NO_USAGE
    return Answer(origin="cohere", id=wire.id or "", model="", choices=[choice], usage=usage)


def stop_reason(reason: str, *, has_calls: bool) -> StopReason:
    """Why an answer ended."""
    found = STOP_REASONS.get(reason, "end")
    return "tool_use" if has_calls and found == "end" else found


def _parts(message: MessageWire, answer_id: str) -> list[Part]:
    parts: list[Part] = []
    texts: dict[int, Text] = {}
    for number, content in enumerate(message.content or ()):
        if content.thinking:
            parts.append(Thinking(text=content.thinking))
        if content.text:
            texts[number] = Text(text=content.text)
            parts.append(texts[number])
    for raw in message.citations or ():
        number, found = citations(raw)
        text = texts.get(number) or next(iter(texts.values()), None)
        if text is not None:
            text.citations += found
    if message.tool_plan:
        parts.append(Thinking(text=message.tool_plan))
    parts += [tool_call(call, answer_id, number) for number, call in enumerate(message.tool_calls or ())]
    return parts


def tool_call(wire: ToolCallWire, answer_id: str, number: int) -> ToolCall:
    """The `number`th call of an answer."""
    function = wire.function or FunctionWire()
    return ToolCall(
        id=wire.id or f"call_{answer_id}_{number}", name=function.name or "", arguments=function.arguments or ""
    )


def probabilities(wire: LogProbsWire) -> list[TokenProbability]:
    """The probability of a piece of text: of all its tokens together, as the vendor does not say which is which."""
    if not wire.logprobs:
        return []
    return [TokenProbability(token=wire.text or "", logprob=sum(wire.logprobs))]


def citations(raw: msgspec.Raw) -> tuple[int, tuple[Citation, ...]]:
    """The content that a citation is in, and one citation for each of its sources."""
    wire = _decode_citation(raw)
    if wire.type not in _OF_TEXT:
        return 0, ()
    return wire.content_index or 0, tuple(_citation(source, wire, raw) for source in wire.sources or ({},))


def _citation(source: dict[str, Any], wire: CitationWire, raw: msgspec.Raw) -> Citation:
    found = source.get("document") or source.get("tool_output") or {}
    return Citation(
        url=_first(found, "url"),
        title=_first(found, "title", "name") or _first(source, "id"),
        cited_text=_first(found, "text", "snippet", "content"),
        start=wire.start,
        end=wire.end,
        origin="cohere",
        raw=raw,
    )


def _first(found: Any, *names: str) -> str | None:
    """The first of these keys that has a text: what documents hold is the caller's choice."""
    if not isinstance(found, dict):
        return None
    return next((value for name in names if isinstance(value := found.get(name), str) and value), None)
