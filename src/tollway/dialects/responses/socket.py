"""WebSocket mode of the Responses API: messages instead of requests and event streams. Pure; who sends is elsewhere.

Source: OpenAI, WebSocket mode of the Responses API, and the types of its SDK (`responses_client_event`,
`responses_server_event`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields, read_fields
from tollway.dialects.chat.fields import NULL, typed
from tollway.dialects.responses.state import ResponseState, ended_with, extend, input_of, previous_id, remember

_TRANSPORT = frozenset({"type", "response", "stream_id", "generate", "stream", "stream_options", "background"})
"""Fields that are the connection's rather than the response's; whether it is streamed is not a question here."""
_LANE_LENGTH = 256

_NO_PREVIOUS = re.compile(rb'"previous_response_id"\s*:\s*null')
"""Within texts the quotes are escaped."""

_encode = msgspec.json.Encoder().encode


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A `response.create`."""

    fields: Fields
    """As the body of `POST /v1/responses` would have them."""
    lane: str
    """Its `stream_id`: turns of one lane follow each other, those of several do not wait; empty: it names none."""
    is_generated: bool
    """False: the response is only to be prepared."""


def read_turn(message: bytes) -> Turn | bytes:
    """What a client's message asks for; or the answer to it, for what cannot be had here.

    Raises `InvalidRequest` for one that is not understood.
    """
    fields = read_fields(message)
    kind: str | None = typed(fields.get("type", NULL), "type", str | None, "a string")
    if kind == "response.steer":
        return _steering_refused(fields)
    if kind != "response.create":
        raise InvalidRequest(
            f"type: {kind!r} is not understood here. Send 'response.create', with the fields of a request to "
            "/v1/responses.",
            param="type",
        )
    nested = fields.get("response")
    if nested is not None:  # as in the Realtime API
        fields = {**fields, **read_fields(bytes(nested))}
    lane: str | None = typed(fields.get("stream_id", NULL), "stream_id", str | None, "a string")
    if lane is not None and len(lane) > _LANE_LENGTH:
        raise InvalidRequest(f"stream_id: longer than {_LANE_LENGTH} characters.", param="stream_id")
    generate: bool | None = typed(fields.get("generate", NULL), "generate", bool | None, "true or false")
    own = {name: raw for name, raw in fields.items() if name not in _TRANSPORT}
    return Turn(fields=own, lane=lane or "", is_generated=generate is not False)


def body_of(fields: Fields) -> bytes:
    """The request that a turn stands for."""
    return _encode({**fields, "stream": True})


def in_lane(event: bytes, lane: str) -> bytes:
    """An event as it is sent: with the lane it belongs to, where it belongs to one."""
    return b'%b,"stream_id":%b}' % (event.rstrip()[:-1], _encode(lane)) if lane else event


def going_on_from(event: bytes, previous: str) -> bytes:
    """An event of a response whose conversation was sent along, as that of one that goes on from `previous`."""
    return _NO_PREVIOUS.sub(lambda _: b'"previous_response_id":%b' % _encode(previous), event, count=1)


def error_message(status: int, body: bytes) -> bytes:
    """The event for an error that came instead of a stream. `body`: the error as HTTP would have it."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        found = {}
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        detail = found.get("detail") if isinstance(found, dict) else None
        error = {"message": str(detail or "the call failed"), "type": "invalid_request_error", "param": None}
    return _encode({"type": "error", "status": status, "error": error})


class Memory:
    """Responses of a connection that are stored nowhere, so that what follows them can go on from them.

    The last few are kept, and no more than `max_bytes` of them: the rest is forgotten, oldest first.
    """

    def __init__(self, max_bytes: int, *, most: int = 16) -> None:
        self._max_bytes = max_bytes
        self._most = most
        self._chains: OrderedDict[str, tuple[ResponseState, ...]] = OrderedDict()
        """By the id of the last response of each."""

    def extend(self, fields: Fields) -> tuple[Fields, tuple[ResponseState, ...]]:
        """A request with what is remembered of the conversation before it, and what that is."""
        previous = previous_id(fields)
        chain = self._chains.get(previous, ()) if previous is not None else ()
        if not chain:
            return fields, ()
        extended = extend(fields, chain)
        earlier = chain[0].previous  # stored somewhere: it is for others to know
        return {**extended, "previous_response_id": msgspec.Raw(_encode(earlier))} if earlier else extended, chain

    def add(self, fields: Fields, chain: tuple[ResponseState, ...], event: bytes) -> None:
        """Remembers a response that `event` has ended, if it is not to be stored."""
        if not _is_unstored(fields):
            return
        answer = ended_with(b"data: %b\n\n" % event)
        if answer is not None:
            self._keep((*chain, remember(_encode(fields), answer)))

    def prepare(self, fields: Fields, chain: tuple[ResponseState, ...], *, id: str, now: int) -> list[bytes]:
        """The events of a response that is only prepared: nothing is generated, and what was sent is remembered."""
        response = {**_prepared(fields), "id": id, "created_at": now}
        answer = _encode({**response, "status": "completed", "usage": _NOTHING_USED})
        self._keep((*chain, remember(_encode(fields), answer)))
        created = {"type": "response.created", "response": {**response, "status": "in_progress"}, "sequence_number": 0}
        completed = {"type": "response.completed", "response": msgspec.Raw(answer), "sequence_number": 1}
        return [_encode(created), _encode(completed)]

    def _keep(self, chain: tuple[ResponseState, ...]) -> None:
        self._chains[chain[-1].id] = chain
        while len(self._chains) > self._most or sum(map(_size, self._chains.values())) > self._max_bytes:
            self._chains.popitem(last=False)


_NOTHING_USED = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def _prepared(fields: Fields) -> dict[str, Any]:
    input_of(fields)  # what could not be used later is refused now
    defaults: dict[str, Any] = {
        "object": "response",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
    }
    return {name: fields.get(name, default) for name, default in defaults.items()} | {"output": []}


def _is_unstored(fields: Fields) -> bool:
    return bytes(fields.get("store", b"")).strip() == b"false"


def _size(chain: tuple[ResponseState, ...]) -> int:
    return sum(len(raw) for state in chain for raw in (*state.input, *state.output, state.response))


def _steering_refused(fields: Fields) -> bytes:
    error = {
        "code": "steering_not_supported",
        "message": "Responses cannot be steered through this gateway. Wait for the end, and send a response.create.",
        "type": "invalid_request_error",
    }
    steer = {name: fields.get(name) for name in ("input", "previous_response_id")}
    return _encode({"type": "response.steer.failed", "error": error, "steer": steer, "sequence_number": 0})
