"""Streams: bytes in, bytes out, usage read on the way. A state machine without I/O.

Events pass through as they came, apart from the model's name. Bytes may be split anywhere; what is forwarded always
ends at an event's end. A usage event that only the gateway asked for is removed. A stream ends properly with `[DONE]`,
or with a finish reason and the proper end of the body; everything else is a cut and becomes an error event.
"""

from __future__ import annotations

import re

import msgspec

from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.usage import NO_USAGE, Usage, in_tier, service_tier_of
from tollway.dialects.openai.errors import is_error_document, render_error_event, status_in, upstream_error
from tollway.dialects.openai.wire import read_answer, read_text, read_usage

_encode = msgspec.json.Encoder().encode

_MODEL = re.compile(rb'(?P<key>"model"\s*:\s*)("(?:[^"\\]|\\.)+")')
_EVENT_END = re.compile(rb"\r?\n\r?\n")
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_CONTENT = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|text|name|arguments|data|finish_reason)"\s*:\s*"[^"]'
)
_DONE = b"data: [DONE]"
_DONE_EVENT = b"data: [DONE]\n\n"

_RAW_KEPT_BYTES = 64 * 1024
"""Raw events kept for counting; past this they are boiled down to their text."""


class StreamRelay:
    """One stream on its way to the client.

    `feed` every chunk and forward what it returns. When `is_done` turns true nothing meaningful follows; when the body
    ends otherwise, forward `end` and then `close`.
    """

    __slots__ = (
        "_forwards_usage",
        "_has_error",
        "_is_finished",
        "_kept",
        "_kept_bytes",
        "_new_name",
        "_old_name",
        "_public_name",
        "_tail",
        "_text",
        "is_done",
        "known",
        "response_id",
        "usage",
    )

    def __init__(self, public_model: str, *, forwards_usage: bool) -> None:
        """`forwards_usage`: the client asked for the usage event."""
        self._public_name = _encode(public_model)
        self._old_name = b""
        self._new_name = b""
        self._forwards_usage = forwards_usage
        self._tail = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._text: list[str] = []
        self._is_finished = False
        self._has_error = False
        self.is_done = False
        """The stream said so itself: nothing meaningful follows."""
        self.usage: Usage = NO_USAGE
        """Last usage the provider reported."""
        self.known: Usage = NO_USAGE
        """The service tier alone, where the first event names one."""
        self.response_id = ""

    def feed(self, data: bytes) -> bytes:
        """What to forward now: every event that is complete."""
        if self._tail:
            data = self._tail + data
        end = _last_event_end(data)
        if end == len(data):
            self._tail = b""
        else:
            self._tail = data[end:]
            data = data[:end]
            if not data:
                return b""
        return self._relay(data)

    def end(self) -> bytes:
        """The body has ended: what a last event without its blank line still has to say."""
        rest, self._tail = self._tail, b""
        return self._relay(rest + b"\n\n") if rest.strip() else b""

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes for the client: nothing after a proper `[DONE]`, else one, behind `error` if that is news."""
        if self.is_done:
            return b""
        return _DONE_EVENT if error is None or self.has_error else render_error_event(error)

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer."""
        document = first_error(data) if b'"error"' in data else None
        return upstream_error(status_in(document), document, vendor) if document is not None else None

    def has_begun(self, data: bytes) -> bool:
        """Whether there is a text that is not empty, a call of a tool, or a finish reason."""
        return _CONTENT.search(data) is not None

    @property
    def failure(self) -> UpstreamError | None:
        """The error event that a provider ended the stream with, where it reported no usage after it."""
        if self.usage.total_tokens or not self.has_error:
            return None
        return UpstreamError("The provider ended the stream with an error.", upstream_status=200)

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end: `[DONE]` or a finish reason."""
        if not self.is_done:
            self._boil_down()
        return self.is_done or self._is_finished

    @property
    def has_error(self) -> bool:
        """Whether the provider itself sent an error event."""
        self._boil_down()
        return self._has_error

    @property
    def text(self) -> str:
        """Everything the model has said so far, for counting where usage is missing."""
        self._boil_down()
        return "".join(self._text)

    def _relay(self, block: bytes) -> bytes:
        self._keep(block)
        block = self._rename(block)
        at = max(block.rfind(b'"usage":{'), block.rfind(b'"usage": {'))
        if at >= 0:
            block = self._take_usage(block, at)
        self.is_done = block[-32:].rstrip().endswith(_DONE)
        return block

    def _keep(self, block: bytes) -> None:
        self._kept.append(block)
        self._kept_bytes += len(block)
        if self._kept_bytes > _RAW_KEPT_BYTES:
            self._boil_down()

    def _rename(self, block: bytes) -> bytes:
        if not self._old_name:
            self._learn_name(block)
        if self._new_name:
            return block.replace(self._old_name, self._new_name)
        return block

    def _learn_name(self, block: bytes) -> None:
        """Learns how this provider writes the model; an empty name, as Azure's first event has, is not it yet."""
        match = _MODEL.search(block)
        if match is None:
            return
        self._old_name = match.group()
        new = match["key"] + self._public_name
        self._new_name = b"" if new == self._old_name else new
        try:
            event = block[block.rfind(b"data:", 0, match.start()) + 5 : block.find(b"\n", match.end())]
            first = read_answer(event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self.response_id = first.id or ""
        if first.service_tier is not None:
            self.known = Usage(service_tier=service_tier_of(first.service_tier))

    def _take_usage(self, block: bytes, at: int) -> bytes:
        """Reads the event around `at`, the last with usage; removes it if only the gateway asked for it."""
        start = _last_event_end(block[:at])
        match = _EVENT_END.search(block, at)
        end = match.end() if match else len(block)
        event = block[start:end]
        usage = read_usage(_document(event))
        if usage.total_tokens:
            self.usage = in_tier(usage, self.known.service_tier)
        if self._forwards_usage or _NO_CHOICES.search(event) is None:
            return block
        return block[:start] + block[end:]

    def _boil_down(self) -> None:
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        for document in _documents(b"".join(kept)):
            text, is_finished = read_text(document)
            if text:
                self._text.append(text)
            self._is_finished = self._is_finished or is_finished
            if not text and not is_finished and b'"error"' in document and is_error_document(document):
                self._has_error = True


def first_error(block: bytes) -> bytes | None:
    """The JSON of the first error that a provider sent as an event of a stream; None if it sent none."""
    documents = (document for document in _documents(block) if b'"error"' in document)
    return next((document for document in documents if is_error_document(document)), None)


def _last_event_end(data: bytes) -> int:
    """Just behind the last blank line; 0 if there is none."""
    newline = data.rfind(b"\n\n")
    end = newline + 2 if newline >= 0 else 0
    if b"\r" in data[-4096:]:
        carriage = data.rfind(b"\r\n\r\n")
        end = max(end, carriage + 4 if carriage >= 0 else 0)
    return end


def _events(block: bytes) -> list[bytes]:
    """A block cut behind each blank line, nothing lost."""
    events: list[bytes] = []
    start = 0
    for match in _EVENT_END.finditer(block):
        events.append(block[start : match.end()])
        start = match.end()
    if start < len(block):
        events.append(block[start:])
    return events


def _document(event: bytes) -> bytes:
    """The data of one event: its `data:` lines joined, comments and other fields left out (WHATWG HTML 9.2.6)."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


def _documents(block: bytes) -> list[bytes]:
    """The JSON documents of a block."""
    documents = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
    if any(document[-1:] != b"}" and document != b"[DONE]" for document in documents):
        documents = [_document(event) for event in _events(block)]  # a document over several lines
    return [document for document in documents if document.startswith(b"{")]
