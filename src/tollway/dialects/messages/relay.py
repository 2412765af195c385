"""The Messages API passing through: bytes in, bytes out, the model renamed and the usage read on the way."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.core.errors import Header, InvalidRequest, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.body import Fields, Request
from tollway.dialects.identity import Reply
from tollway.dialects.messages.errors import parse_error, render_error, render_error_event, status_in
from tollway.dialects.messages.wire import NULL, EventWire, MessageWire, UsageWire, usage_from_wire
from tollway.dialects.sse import EventReader

_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(EventWire, strict=False).decode
_decode_message = msgspec.json.Decoder(MessageWire, strict=False).decode

_MODEL = re.compile(rb'("model"\s*:\s*)("(?:[^"\\]|\\.)*")')
_EVENT_END = b"\n\n"


class MessagesRelay:
    """One stream on its way to the client."""

    __slots__ = (
        "_has_error",
        "_kept",
        "_public_name",
        "_start",
        "_tail",
        "is_done",
        "known",
        "response_id",
        "usage",
    )

    def __init__(self, public_model: str) -> None:
        self._public_name = _encode(public_model)
        self._tail = b""
        self._kept: list[bytes] = []
        self._start: UsageWire | None = None
        self._has_error = False
        self.is_done = False
        self.usage: Usage = NO_USAGE
        self.known: Usage = NO_USAGE
        self.response_id = ""

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that the stream begins with; None if it begins well."""
        for _, document in EventReader().feed(data)[:1]:
            if b'"error"' in document and _type_of(document) == "error":
                return parse_error(status_in(document), document, vendor)
        return None

    def feed(self, data: bytes) -> bytes:
        """What to forward now: every event that is complete."""
        if self._tail:
            data = self._tail + data
        end = data.rfind(_EVENT_END)
        if end < 0 and b"\r\n\r\n" in data:
            end = data.rfind(b"\r\n\r\n") + 2
        if end < 0:
            self._tail = data
            return b""
        end += 2
        self._tail, block = data[end:], data[:end]
        return self._relay(block)

    def end(self) -> bytes:
        """The body has ended: what a last event without its blank line still has to say."""
        rest, self._tail = self._tail, b""
        return self._relay(rest + _EVENT_END) if rest.strip() else b""

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes: nothing after a proper end or the vendor's own error, else the error."""
        if self.is_done or self._has_error:
            return b""
        return render_error_event(error) if error is not None else b""

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self.is_done or bool(self.usage.total_tokens)

    @property
    def failure(self) -> UpstreamError | None:
        """The error event that the vendor ended the stream with."""
        if not self._has_error:
            return None
        return UpstreamError("The provider ended the stream with an error.", upstream_status=200)

    @property
    def text(self) -> str:
        """Everything the model has said so far."""
        pieces: list[str] = []
        for _, document in EventReader().feed(b"".join(self._kept)):
            try:
                delta = _decode_event(document).delta
            except msgspec.DecodeError:
                continue
            if delta is not None:
                pieces.append(delta.text or delta.thinking or delta.partial_json or "")
        return "".join(pieces)

    def _relay(self, block: bytes) -> bytes:
        if not self.response_id and b"message_start" in block:
            block = self._meet(block)
        elif b"message_delta" in block:
            self._meter(block)
        if b"message_stop" in block[-160:]:
            self.is_done = True
        elif b"error" in block and any(
            _type_of(document) == "error" for _, document in EventReader().feed(block) if b'"error"' in document
        ):
            self._has_error = True
        if not self.usage.total_tokens:
            self._kept.append(block)
        return block

    def _meet(self, block: bytes) -> bytes:
        """The first event: it names the model, and says what is known of the prompt."""
        for _, document in EventReader().feed(block):
            if b"message_start" not in document:
                continue
            try:
                message = _decode_event(document).message
            except msgspec.DecodeError:
                continue
            if message is not None:
                self.response_id = message.id or "-"
                self._start = message.usage
                self.known = usage_from_wire(message.usage) if message.usage is not None else NO_USAGE
        if b"message_delta" in block:
            self._meter(block)
        return _MODEL.sub(lambda match: match[1] + self._public_name, block, count=1)

    def _meter(self, block: bytes) -> None:
        for _, document in EventReader().feed(block):
            if b"message_delta" not in document:
                continue
            try:
                usage = _decode_event(document).usage
            except msgspec.DecodeError:
                continue
            if usage is not None:
                self.usage = usage_from_wire(usage, self._start)
                self._kept.clear()


def _type_of(document: bytes) -> str:
    try:
        return _decode_event(document).type
    except msgspec.DecodeError:
        return ""


def read_request(fields: Fields) -> Request:
    """Checks the fields the gateway depends on. Raises `InvalidRequest` naming the first that is wrong."""
    if "messages" not in fields:
        raise InvalidRequest("messages: Field required", param="messages")
    limit = _typed(fields, "max_tokens", int | None, "an integer")
    if limit is None:
        raise InvalidRequest("max_tokens: Field required", param="max_tokens")
    if limit < 1:
        raise InvalidRequest("max_tokens: must be greater than or equal to 1", param="max_tokens")
    model = _typed(fields, "model", str | None, "a string")
    is_stream = bool(_typed(fields, "stream", bool | None, "true or false"))
    return Request(fields, model, is_stream, is_stream, limit, 1)


def _typed(fields: Fields, name: str, type_: Any, expected: str) -> Any:
    try:
        return msgspec.json.decode(fields.get(name, NULL), type=type_)
    except msgspec.DecodeError:
        raise InvalidRequest(f"{name}: must be {expected}", param=name) from None


class MessagesIdentity:
    """The format, for callers and providers that both speak it."""

    passed_headers: tuple[bytes, ...] = (b"anthropic-beta",)

    def read_request(self, fields: Fields, *, path_model: str | None, is_stream: bool) -> Request:
        """Checks the fields the gateway depends on."""
        return read_request(fields)

    def render_request(self, request: Request, deployment: Deployment) -> bytes:
        """The body for a deployment."""
        fields = request.fields.copy()
        fields["model"] = msgspec.Raw(_encode(deployment.model))
        for name in deployment.dropped:
            fields.pop(name, None)
        for name, value in deployment.defaults.items():
            fields.setdefault(name, value)
        fields.update(deployment.overrides)
        return _encode(fields)

    def read_reply(self, body: bytes, public_model: str) -> Reply:
        """Renames the model of an answer, and leaves the rest byte for byte."""
        message = _decode_message(body)
        name = _encode(public_model)
        if message.model is not None:
            old = _encode(message.model)
            body = _rename(body, old, name)
        usage = usage_from_wire(message.usage) if message.usage is not None else None
        return Reply(body, message.id or "", usage if usage is not None and usage.total_tokens else None)

    def relay(self, public_model: str, *, forwards_usage: bool) -> MessagesRelay:
        """For one stream."""
        return MessagesRelay(public_model)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...]) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)


def _rename(body: bytes, old: bytes, new: bytes) -> bytes:
    """Replaces the first `"model": old` of the top level: a tool's input may hold the same, but later."""
    for separator in (b":", b": "):
        token = b'"model"' + separator + old
        at = body.find(token)
        if at >= 0:
            return body[:at] + b'"model"' + separator + new + body[at + len(token) :]
    return body
