"""The Responses API on both sides: bytes in, bytes out, apart from the names of the model and of the response.

Only the events that carry the whole response are looked into: the first for its id and the name of its model, the last
for its usage and end. All others pass as they came; bytes may be split anywhere, what is forwarded ends at an event's
end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from tollway.core.errors import Header, InvalidRequest, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.body import Fields, Request, suit
from tollway.dialects.chat.fields import NULL, typed
from tollway.dialects.generation.answer import said
from tollway.dialects.identity import NOTHING_PASSED, Passed, Reply
from tollway.dialects.openai.errors import render_error, upstream_error
from tollway.dialects.responses.billed import may_bill_tools
from tollway.dialects.responses.errors import error_event, error_in, render_error_event, render_failed_event
from tollway.dialects.responses.items import output_parts
from tollway.dialects.responses.naming import ResponseNames
from tollway.dialects.responses.thoughts import own_thoughts
from tollway.dialects.responses.wire import HeadWire, LifecycleWire, read_final, read_head, usage_from_wire
from tollway.dialects.sse import EventReader

_encode = msgspec.json.Encoder().encode
_decode_lifecycle = msgspec.json.Decoder(LifecycleWire, strict=False).decode

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_DELTA = re.compile(rb'"delta"\s*:\s*("(?:[^"\\]|\\.)*")')
_SEQUENCE = re.compile(rb'"sequence_number"\s*:\s*(\d+)')
_EVENT_END = re.compile(rb"\r?\n\r?\n")
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_GOOD_ENDS = frozenset({"response.completed", "response.incomplete"})
_INPUTS = ("input", "prompt", "previous_response_id", "conversation")

_RAW_KEPT_BYTES = 64 * 1024
"""Raw events kept for counting; past this they are boiled down to their text."""


def read_request(fields: Fields) -> Request:
    """Checks the fields the gateway depends on. Raises `InvalidRequest` naming the first that is wrong."""
    model: str | None = typed(fields.get("model", NULL), "model", str | None, "a string")
    if all(fields.get(name, NULL) == NULL for name in _INPUTS):
        raise InvalidRequest("/responses: Missing required parameter: 'input'.", param="input")
    limit: int | None = typed(fields.get("max_output_tokens", NULL), "max_output_tokens", int | None, "an integer")
    if limit is not None and limit < 0:
        raise InvalidRequest("'max_output_tokens' must not be negative.", param="max_output_tokens")
    is_stream: bool | None = typed(fields.get("stream", NULL), "stream", bool | None, "true or false")
    return Request(fields, model, is_stream=bool(is_stream), wants_usage=True, output_limit=limit or None, choices=1)


def render_request(request: Request, deployment: Deployment) -> bytes:
    """The body for a deployment: its model, its defaults and overrides, without what it refuses."""
    fields = request.fields.copy()
    fields["model"] = msgspec.Raw(_encode(deployment.model))
    if "input" in fields:
        fields["input"] = own_thoughts(fields["input"])
    suit(fields, deployment)
    for name, value in deployment.defaults.items():
        fields.setdefault(_FROM_CHAT.get(name, name), value)
    fields.update(deployment.overrides)
    return _encode(fields)


_FROM_CHAT = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
"""Operators set defaults in chat's words."""


def read_reply(body: bytes, public_model: str, names: ResponseNames | None = None) -> Reply:
    """Renames the model of a whole response, and the response itself. Raises `msgspec.DecodeError` if it is not a JSON
    object."""
    response = read_final(body)
    usage = NO_USAGE
    if response.usage is not None:
        output = response.output if may_bill_tools(body) else None
        usage = usage_from_wire(response.usage, response.service_tier, output)
    text = ""
    if not usage.total_tokens:
        text = "".join(_text_of(raw) for raw in response.output or ())
    body = _rename(body, _renames(body, response.model, public_model))
    if names is not None:
        body = names.rename(body, response)
    return Reply(body, response.id or "", usage if usage.total_tokens else None, text)


def _text_of(item: msgspec.Raw) -> str:
    return "".join(said(part) for part in output_parts(item))


def _renames(document: bytes, model: str | None, public_model: str) -> dict[bytes, bytes]:
    """How the model is written in a document, and what to write instead."""
    if not model or model == public_model:
        return {}
    new = _encode(public_model)
    return {
        match.group(): match.group()[: match.start(1) - match.start()] + new
        for match in _MODEL.finditer(document)
        if msgspec.json.decode(match.group(1)) == model
    }


def _rename(block: bytes, renames: dict[bytes, bytes]) -> bytes:
    for old, new in renames.items():
        block = block.replace(old, new)
    return block


class ResponsesRelay:
    """One stream on its way to the client.

    `feed` every chunk and forward what it returns. When `is_done` turns true nothing meaningful follows; when the body
    ends otherwise, forward `end` and then `close`.
    """

    __slots__ = (
        "_end_type",
        "_error",
        "_kept",
        "_kept_bytes",
        "_last",
        "_names",
        "_public_model",
        "_renames",
        "_response",
        "_tail",
        "_text",
        "_vendor",
        "head",
        "is_done",
        "known",
        "response_id",
        "usage",
    )

    def __init__(self, public_model: str, names: ResponseNames | None = None) -> None:
        """`public_model`: what the client calls it; `names`: how it calls the response, if not as the provider does."""
        self._public_model = public_model
        self._names = names
        self._renames: dict[bytes, bytes] = {}
        self._response = b""
        """The response as `response.created` had it, for the client."""
        self._tail = b""
        self._last = b""
        """The last block with a sequence number."""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._text: list[str] = []
        self._end_type = ""
        self._vendor = ""
        self._error = b""
        """The event that the provider ended the stream with."""
        self.is_done = False
        """The stream said itself that it is over: nothing meaningful follows."""
        self.usage: Usage = NO_USAGE
        """What the provider reported at the end."""
        self.known: Usage = NO_USAGE
        """Nothing is said of the prompt before."""
        self.response_id = ""
        self.head: HeadWire | None = None
        """The response without its output, as the event with its usage had it."""

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer."""
        self._vendor = vendor
        if not _says_more(data):
            return None
        return next((error for document in _documents(data) if (error := _error_of(document, vendor))), None)

    def has_begun(self, data: bytes) -> bool:
        """Whether there is an item of the output."""
        return b'"response.output_' in data

    def feed(self, data: bytes) -> bytes:
        """What to forward now: every event that is complete."""
        if self._tail:
            data = self._tail + data
        end = _last_event_end(data)
        self._tail = data[end:]
        return self._relay(data[:end]) if end else b""

    def end(self) -> bytes:
        """The body has ended: what a last event without its blank line still has to say."""
        rest, self._tail = self._tail, b""
        whole = [document for document in _documents(rest) if _is_json(document)]
        return self._relay(rest + b"\n\n") if whole else b""  # half an event would break the client's parser

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes for the client: nothing after a proper end, else `error` and what it makes of the response."""
        if self.is_done or error is None:
            return b""
        numbers = _SEQUENCE.findall(self._last)
        sequence = int(numbers[-1]) + 1 if numbers else 0
        event = render_error_event(error, sequence)
        return event + render_failed_event(error, self._response, sequence + 1) if self._response else event

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self._end_type in _GOOD_ENDS

    @property
    def failure(self) -> UpstreamError | None:
        """The error that the provider ended the stream with, if it did."""
        return _error_of(self._error, self._vendor) if self._error else None

    @property
    def text(self) -> str:
        """Everything the model has said so far, for counting where usage is missing."""
        self._boil_down()
        return "".join(self._text)

    def _relay(self, block: bytes) -> bytes:
        if b'"sequence_number"' in block:
            self._last = block
        self._kept.append(block)
        self._kept_bytes += len(block)
        if self._kept_bytes > _RAW_KEPT_BYTES:
            self._boil_down()
        if _says_more(block):
            block = self._look_into(block)
        return _rename(block, self._renames) if self._renames else block

    def _look_into(self, block: bytes) -> bytes:
        """Learns what a block says of the response; the block with the caller's name for that."""
        named = block
        for document in _documents(block):
            if not _says_more(document):
                continue
            try:
                event = _decode_lifecycle(document)
                head = read_head(event.response)
            except msgspec.DecodeError:
                continue
            kind = event.type or ("error" if b'"error"' in document else "")  # or the bare envelope
            if kind in _LAST_EVENTS and not self.is_done:
                self.is_done = True
                self._end_type = kind
                self._error = b"" if kind in _GOOD_ENDS else document
            self._learn(document, event, head)
            if self._names is not None:
                named = self._names.rename(named, head)
        return named

    def _learn(self, document: bytes, event: LifecycleWire, head: HeadWire) -> None:
        self.response_id = self.response_id or head.id or ""
        self._renames |= _renames(document, head.model, self._public_model)
        if head.usage is not None:
            self.head = head
            output = read_final(event.response).output if may_bill_tools(document) else None
            self.usage = usage_from_wire(head.usage, head.service_tier, output)
        if not self._response and event.type == "response.created":
            response = bytes(event.response)
            if self._names is not None:
                response = self._names.rename(response, head)
            self._response = _rename(response, self._renames)

    def _boil_down(self) -> None:
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        text = _said(b"".join(kept))
        if text:
            self._text.append(text)


def _error_of(document: bytes, vendor: str) -> UpstreamError | None:
    """The error that an event reports, if it does."""
    try:
        event = _decode_lifecycle(document)
        if event.type == "response.failed":
            return error_in(read_head(event.response).error, vendor)
        return error_event(document, vendor) if event.type in ("", "error") and b'"error"' in document else None
    except msgspec.DecodeError:
        return None


def _said(block: bytes) -> str:
    """What the events of a block add to the answer; every kind of it is counted."""
    pieces = _DELTA.findall(block)
    try:
        return "".join(msgspec.json.decode(b"[%s]" % b",".join(pieces), type=list[str]))
    except msgspec.DecodeError:
        return b"".join(pieces).decode("utf-8", "replace")  # a broken escape; it is only counted


class ResponsesIdentity:
    """The format, for callers and providers that both speak it."""

    def __init__(self, names: ResponseNames | None = None) -> None:
        """`names`: how the caller calls responses, if not as the provider does."""
        self._names = names

    def pass_headers(self, headers: Mapping[bytes, bytes], deployment: Deployment) -> Passed:
        """None of the caller's headers is the provider's."""
        return NOTHING_PASSED

    def read_request(self, fields: Fields, *, path_model: str | None, is_stream: bool) -> Request:
        """Checks the fields the gateway depends on."""
        return read_request(fields)

    def render_request(self, request: Request, deployment: Deployment) -> bytes:
        """The body for a deployment."""
        return render_request(request, deployment)

    def read_reply(self, body: bytes, public_model: str) -> Reply:
        """Renames the model of an answer and the response, and leaves the rest byte for byte."""
        return read_reply(body, public_model, self._names)

    def relay(self, public_model: str, *, forwards_usage: bool) -> ResponsesRelay:
        """For one stream. Usage is part of its last event."""
        return ResponsesRelay(public_model, self._names)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...]) -> UpstreamError:
        """What to tell the client about an error answer."""
        return upstream_error(status, body, vendor, headers)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)


def _says_more(data: bytes) -> bool:
    """Whether an event of the response or an error may be in it. Within a text the quotes of these are escaped."""
    return b'"response"' in data or b'"error"' in data


def _is_json(document: bytes) -> bool:
    try:
        msgspec.json.decode(document, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def _documents(block: bytes) -> Iterator[bytes]:
    reader = EventReader()
    yield from (document for _, document in [*reader.feed(block), *reader.end()])


def _last_event_end(data: bytes) -> int:
    """Just behind the last blank line; 0 if there is none."""
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for match in _EVENT_END.finditer(data):
        end = match.end()
    return end
