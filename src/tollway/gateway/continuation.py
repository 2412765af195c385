"""A stream that broke off in the middle of its answer, taken up by another deployment.

    received so far ── decoded ── what was said ── asked to go on after it ── decoded ── written on from there

The bytes of a stream pass untouched until it breaks off. Only then are they read once more, which leaves an encoder of
the caller's format exactly where the caller's stream stands: what the next deployment says is written by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from typing_extensions import override

from tollway.core.errors import InvalidRequest
from tollway.core.snapshot import Operation
from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Event, Stopped
from tollway.dialects.generation.dialect import ClientSide, ProviderSide, StreamEncoder
from tollway.dialects.identity import Relay
from tollway.dialects.registry import find_dialect
from tollway.gateway.call import Call
from tollway.gateway.conversation import TranslatingRelay, stream_options, unwrapped, vendor_name
from tollway.gateway.resumption import Resumption

GO_ON = (
    "Your answer was interrupted after its last word above. Go on from exactly there, as if nothing had happened: "
    "do not repeat, sum up or comment on what you have said already."
)
"""What the next deployment is told, after the answer so far."""
MOST = 3
"""Times that one stream is taken up."""

_encode = msgspec.json.Encoder().encode
_decode_turns = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_mapping = msgspec.json.Decoder(dict[str, Any]).decode


class _Resumable(msgspec.Struct, frozen=True):
    """How a format writes what an unfinished answer is continued from."""

    turns: str
    """Field of the conversation."""
    model_role: str
    contents: Literal["content", "parts"]
    limits: tuple[str, ...]
    """Fields that limit the answer's length."""
    limits_in: str = ""
    """The field that these are part of; empty: they stand at the top."""

    def turn(self, role: str, text: str) -> dict[str, Any]:
        return {"role": role, self.contents: text if self.contents == "content" else [{"text": text}]}


_FORMATS: Mapping[Operation, _Resumable] = {
    "chat": _Resumable("messages", "assistant", "content", ("max_tokens", "max_completion_tokens")),
    "messages": _Resumable("messages", "assistant", "content", ("max_tokens",)),
    "gemini": _Resumable("contents", "model", "parts", ("maxOutputTokens",), "generationConfig"),
}
"""Formats whose streams can be taken up."""


class _Reading(TranslatingRelay):
    """Reads what was received, and writes it to nobody."""

    __slots__ = ("encoder", "said")

    def __init__(self, provider: ProviderSide, encoder: StreamEncoder, vendor: str) -> None:
        super().__init__(provider, encoder, vendor)
        self.encoder = encoder
        self.said: list[Event] = []

    @override
    def _render(self, events: list[Event]) -> bytes:
        self.said += events
        return super()._render(events)


class _Resumed(TranslatingRelay):
    """The stream of the next deployment."""

    __slots__ = ("_before", "_resumption")

    def __init__(self, provider: ProviderSide, resumption: Resumption, vendor: str, before: Usage) -> None:
        super().__init__(provider, resumption.encoder, vendor)
        self._resumption = resumption
        self._before = before

    @override
    def _render(self, events: list[Event]) -> bytes:
        return super()._render(self._resumption.go_on(events, self._before))


def can_be_taken_up(call: Call) -> bool:
    """Whether the stream of a call may be: one answer, in words."""
    if call.operation not in _FORMATS or (call.resumption is not None and call.resumption.taken_up >= MOST):
        return False
    client: ClientSide = find_dialect(call.operation)
    try:
        asked = client.parse_request(call.request.fields, model=call.requested_model, is_stream=True)
    except (InvalidRequest, UnicodeDecodeError):
        return False
    is_free = asked.format is None or asked.format.kind == "text"
    is_plain = asked.logprobs is None and asked.audio is None and not call.controls.mock_response
    return is_free and is_plain and asked.choices in (None, 1)


def interrupt(call: Call, received: bytes, *, has_ended: bool) -> str:
    """Reads what a stream has said before it broke off, and remembers on the call where it stands.

    The text so far; empty if nobody can go on from it. `received`: everything that came from the provider, unless the
    stream has been taken up before; `has_ended`: properly, as far as the connection is concerned.
    """
    if call.resumption is None:
        reading = _read(call, received, has_ended=has_ended)
        call.resumption = Resumption(reading.encoder, call.request.fields)
        call.resumption.note(reading.said)
        if any(isinstance(event, Stopped) for event in _read(call, received, has_ended=True).said):
            return ""  # a format that says only by its end that an answer is whole
    return call.resumption.interrupt()


def _read(call: Call, received: bytes, *, has_ended: bool) -> _Reading:
    conversation, deployment = call.conversation, call.deployment
    assert conversation is not None
    assert deployment is not None
    provider: ProviderSide = find_dialect(conversation.operation)
    client: ClientSide = find_dialect(call.operation)
    reading = _Reading(provider, client.encoder(stream_options(call)), vendor_name(deployment))
    relay = unwrapped(reading, deployment.endpoints.get(conversation.operation))
    relay.feed(received)
    if has_ended:
        relay.end()
    return reading


def ask_to_go_on(call: Call, said: str) -> None:
    """Makes the call one that asks for the rest of its answer. `said`: the text so far."""
    resumption, request = call.resumption, call.request
    assert resumption is not None
    resumption.taken_up += 1
    form = _FORMATS[call.operation]
    turns = _decode_turns(resumption.fields[form.turns])
    turns += [msgspec.Raw(_encode(turn)) for turn in (form.turn(form.model_role, said), form.turn("user", GO_ON))]
    fields = {**resumption.fields, form.turns: msgspec.Raw(_encode(turns))}
    used = call.accrued_usage.output_tokens
    if form.limits_in and form.limits_in in fields:
        inner = _decode_mapping(fields[form.limits_in])
        inner.update({name: _rest(inner[name], used) for name in form.limits if isinstance(inner.get(name), int)})
        fields[form.limits_in] = msgspec.Raw(_encode(inner))
    elif request.output_limit is not None:
        for name in fields.keys() & set(form.limits):
            fields[name] = msgspec.Raw(_encode(_rest(request.output_limit, used)))
    limit = None if request.output_limit is None else _rest(request.output_limit, used)
    call.request = msgspec.structs.replace(request, fields=fields, output_limit=limit)
    call.raw_body = _encode(fields)


def resumed_relay(call: Call) -> Relay:
    """For the stream of the deployment that goes on."""
    resumption, conversation, deployment = call.resumption, call.conversation, call.deployment
    assert resumption is not None
    assert conversation is not None
    assert deployment is not None
    provider: ProviderSide = find_dialect(conversation.operation)
    relay = _Resumed(provider, resumption, vendor_name(deployment), call.accrued_usage)
    return unwrapped(relay, deployment.endpoints.get(conversation.operation))


def _rest(limit: int, used: int) -> int:
    return max(1, limit - used)
