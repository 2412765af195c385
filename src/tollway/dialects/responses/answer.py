"""Whole responses, read into the middle form and written from it."""

from __future__ import annotations

import msgspec

from tollway.core.errors import UpstreamError
from tollway.core.usage import NO_USAGE
from tollway.dialects.generation.answer import Answer, Choice, StopReason, TokenProbability, events_of
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import ToolCall
from tollway.dialects.responses.encode import ResponsesEncoder
from tollway.dialects.responses.errors import error_in
from tollway.dialects.responses.items import output_parts
from tollway.dialects.responses.parts import probabilities
from tollway.dialects.responses.wire import (
    HeadWire,
    PartWire,
    given,
    read_item,
    read_response,
    read_typed,
    usage_from_wire,
)

STOP_REASONS: dict[str | None, StopReason] = {
    # incomplete_details.reason
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


def parse_answer(body: bytes, vendor: str = "") -> Answer:
    """Raises `msgspec.DecodeError` if it is not a response, and the `UpstreamError` of one that failed."""
    wire = read_response(body)
    if wire.status == "failed":
        raise failed(wire, vendor)
    parts = [part for raw in wire.output for part in output_parts(raw)]
    return Answer(
        origin="responses",
        id=wire.id or "",
        model=wire.model or "",
        created=int(wire.created_at or 0),
        choices=[
            Choice(
                parts=parts,
                stop=stop_reason(wire, has_calls=any(isinstance(part, ToolCall) for part in parts)),
                logprobs=_logprobs(wire.output),
            )
        ],
        usage=usage_from_wire(wire.usage, wire.service_tier, wire.output) if wire.usage is not None else NO_USAGE,
        service_tier=wire.service_tier,
    )


def failed(wire: HeadWire, vendor: str) -> UpstreamError:
    """The error of a failed response."""
    return error_in(wire.error, vendor)


def stop_reason(wire: HeadWire, *, has_calls: bool) -> StopReason:
    """Why the answer stopped."""
    if wire.status == "incomplete":
        reason = wire.incomplete_details.reason if wire.incomplete_details is not None else None
        return STOP_REASONS.get(reason, "end")
    return "tool_use" if has_calls else "end"


def _logprobs(output: list[msgspec.Raw]) -> list[TokenProbability] | None:
    found: list[TokenProbability] = []
    for raw in output:
        if read_typed(raw).type != "message":
            continue
        content = given(read_item(raw).content)
        for part in _parts(content) if content is not None else ():
            found += probabilities(part.logprobs) or ()
    return found or None


def _parts(content: msgspec.Raw) -> list[PartWire]:
    try:
        return msgspec.json.decode(content, type=list[PartWire])
    except msgspec.DecodeError:
        return []


def render_answer(answer: Answer, options: StreamOptions) -> bytes:
    """A whole response: what its stream would have ended with."""
    encoder = ResponsesEncoder(options)
    encoder.push(events_of(answer))
    return encoder.response(answer.service_tier)
