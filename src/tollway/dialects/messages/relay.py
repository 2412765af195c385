"""The Messages API passing through: bytes in, bytes out, the model renamed and the usage read on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.core.errors import Header, InvalidRequest, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.body import Fields, Request, adapt, read_fields, shape
from tollway.dialects.generation.answer import text_of as text_of_answer
from tollway.dialects.identity import NOTHING_PASSED, Passed, Reply
from tollway.dialects.messages.answer import parse_answer
from tollway.dialects.messages.beta import filter_betas
from tollway.dialects.messages.blocks import text_of
from tollway.dialects.messages.errors import parse_error, render_error, render_error_event, status_in
from tollway.dialects.messages.history import drop_foreign_seals
from tollway.dialects.messages.instructions import as_users_words, without_billing
from tollway.dialects.messages.wire import NULL, UNREADABLE, EventWire, MessageWire, UsageWire, usage_from_wire
from tollway.dialects.sse import EventReader

_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(EventWire, strict=False).decode
_decode_message = msgspec.json.Decoder(MessageWire, strict=False).decode

_BETA = b"anthropic-beta"
_MODEL = re.compile(rb'("model"\s*:\s*)("(?:[^"\\]|\\.)*")')
_EVENT_END = b"\n\n"
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_RAW_KEPT_BYTES = 64 * 1024
"""Raw events kept for counting; past this they are boiled down to their text."""


class MessagesRelay:
    """One stream on its way to the client. Only the events that begin and end it are read."""

    __slots__ = (
        "_has_error",
        "_is_met",
        "_is_stopped",
        "_kept",
        "_kept_bytes",
        "_public_name",
        "_start",
        "_tail",
        "_text",
        "is_done",
        "known",
        "response_id",
        "usage",
    )

    def __init__(self, public_model: str) -> None:
        self._public_name = _encode(public_model)
        self._tail = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._text: list[str] = []
        self._start: UsageWire | None = None
        self._is_met = False
        """The stream's first event has come."""
        self._is_stopped = False
        self._has_error = False
        self.is_done = False
        self.usage: Usage = NO_USAGE
        self.known: Usage = NO_USAGE
        self.response_id = ""

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer."""
        for _, document in EventReader().feed(data):
            if b'"error"' in document and _read(document).type == "error":
                return parse_error(status_in(document), document, vendor)
        return None

    def has_begun(self, data: bytes) -> bool:
        """Whether there is a block of content, or the end of a message that has none."""
        return b"content_block_" in data or b"message_delta" in data

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
        """The last bytes: nothing after a proper end or the vendor's own error, else the error, or the end itself if
        that is all that is missing."""
        if self.is_done or self._has_error:
            return b""
        if error is not None:
            return render_error_event(error)
        return _STOP if self._is_stopped else b""

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self.is_done or self._is_stopped

    @property
    def failure(self) -> UpstreamError | None:
        """The error event that the vendor ended the stream with."""
        if not self._has_error:
            return None
        return UpstreamError("The provider ended the stream with an error.", upstream_status=200)

    @property
    def text(self) -> str:
        """Everything the model has said so far."""
        self._boil_down()
        return "".join(self._text)

    def _relay(self, block: bytes) -> bytes:
        if not self._is_met and b"message_start" in block:
            block = self._meet(block)
        if b"message_delta" in block or b"message_stop" in block or b'"error"' in block:
            self._read_end(block)
        if not self.usage.total_tokens:
            self._keep(block)
        return block

    def _meet(self, block: bytes) -> bytes:
        """The first event: it names the model, and says what is known of the prompt."""
        for _, document in EventReader().feed(block):
            message = _read(document).message if b"message_start" in document else None
            if message is not None:
                self._is_met = True
                self.response_id = message.id or ""
                self._start = message.usage
                self.known = usage_from_wire(message.usage) if message.usage is not None else NO_USAGE
                return _MODEL.sub(lambda match: match[1] + self._public_name, block, count=1)
        return block

    def _read_end(self, block: bytes) -> None:
        """The events that end the stream; a text that only speaks of them is told apart by the event's type."""
        for _, document in EventReader().feed(block):
            if b"message_" not in document and b'"error"' not in document:
                continue
            event = _read(document)
            if event.type == "message_delta":
                self._is_stopped = self._is_stopped or (event.delta is not None and bool(event.delta.stop_reason))
                if event.usage is not None:
                    self.usage = usage_from_wire(event.usage, self._start)
                    self._kept, self._kept_bytes = [], 0
            elif event.type == "message_stop":
                self.is_done = True
            elif event.type == "error":
                self._has_error = True

    def _keep(self, block: bytes) -> None:
        self._kept.append(block)
        self._kept_bytes += len(block)
        if self._kept_bytes > _RAW_KEPT_BYTES:
            self._boil_down()

    def _boil_down(self) -> None:
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        for _, document in EventReader().feed(b"".join(kept)):
            event = _read(document)
            if event.delta is not None:
                self._text.append(event.delta.text or event.delta.thinking or event.delta.partial_json or "")
            elif event.content_block is not None:
                self._text.append(text_of(event.content_block.get("name")))


_UNREADABLE = EventWire(type="")


def _read(document: bytes) -> EventWire:
    try:
        return _decode_event(document)
    except UNREADABLE:
        return _UNREADABLE


def read_request(fields: Fields) -> Request:
    """Checks the fields the gateway depends on. Raises `InvalidRequest` naming the first that is wrong."""
    if "messages" not in fields:
        raise InvalidRequest("messages: Field required", param="messages")
    if memoryview(fields["messages"])[0] != 0x5B:
        raise InvalidRequest("messages: must be a list of messages", param="messages")
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
    except UNREADABLE:
        raise InvalidRequest(f"{name}: must be {expected}", param=name) from None


class MessagesIdentity:
    """The format, for callers and providers that both speak it."""

    def pass_headers(self, headers: Mapping[bytes, bytes], deployment: Deployment) -> Passed:
        """The flags of the beta that the deployment's cloud knows."""
        flags = headers.get(_BETA)
        if flags is None:
            return NOTHING_PASSED
        kept, dropped = filter_betas(flags.decode("latin-1"), deployment.cloud)
        passed = (("anthropic-beta", ",".join(kept)),) if kept else ()
        return passed, tuple(f"anthropic-beta.{flag}" for flag in dropped)

    def read_request(self, fields: Fields, *, path_model: str | None, is_stream: bool) -> Request:
        """Checks the fields the gateway depends on."""
        return read_request(fields)

    def render_request(self, request: Request, deployment: Deployment) -> bytes:
        """The body for a deployment."""
        fields = request.fields.copy()
        fields["messages"] = as_users_words(drop_foreign_seals(fields["messages"]), deployment.model)
        if deployment.cloud != "anthropic" and "system" in fields:
            fields["system"] = without_billing(fields["system"])
        fields["model"] = msgspec.Raw(_encode(deployment.model))
        adapt(fields, deployment)
        shape(fields, deployment.endpoints.get("messages"))
        return _encode(fields)

    def read_reply(self, body: bytes, public_model: str) -> Reply:
        """Renames the model of an answer, and leaves the rest byte for byte."""
        try:
            message = _decode_message(body)
        except UnicodeDecodeError as error:
            raise msgspec.DecodeError(str(error)) from None
        if message.model is not None and message.model != public_model:
            body = _rename(body, _encode(message.model), _encode(public_model))
        usage = usage_from_wire(message.usage) if message.usage is not None else None
        if usage is None or not usage.total_tokens:
            return Reply(body, message.id or "", None, text_of_answer(parse_answer(body)))
        return Reply(body, message.id or "", usage)

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
    """Replaces the first `"model": old`, so that the rest stays byte for byte what the vendor sent: a tool's input may
    hold the same, but later."""
    for separator in (b":", b": "):
        token = b'"model"' + separator + old
        at = body.find(token)
        if at >= 0:
            return body[:at] + b'"model"' + separator + new + body[at + len(token) :]
    return _encode({**read_fields(body), "model": msgspec.Raw(new)})
