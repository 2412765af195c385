"""The stream that a response would have come as, for whoever asks for it later."""

from __future__ import annotations

import re

import msgspec

from tollway.dialects.generation.answer import events_of
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.responses.answer import parse_answer
from tollway.dialects.responses.encode import ResponsesEncoder
from tollway.dialects.responses.parse import parse_request
from tollway.dialects.responses.state import ResponseState

_EVENT = re.compile(rb"[^\n]+\n[^\n]+\n\n")
_NO_INPUT = msgspec.Raw(b"[]")


def replay(state: ResponseState, starting_after: int = -1) -> bytes:
    """The events after the one with this sequence number."""
    fields = {**state.echo, "input": _NO_INPUT}
    request = parse_request(fields, model=state.model, is_stream=True)
    options = StreamOptions(model=state.model, id=state.id, created=state.created, request=request)
    encoder = ResponsesEncoder(options)
    stream = encoder.push(events_of(parse_answer(bytes(state.response)))) + encoder.close(None)
    return b"".join(_EVENT.findall(stream)[starting_after + 1 :])
