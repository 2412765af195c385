"""Streams and answers where both sides speak Gemini: bytes in, bytes out, usage read on the way.

Chunks pass through as they came, apart from `modelVersion`, which is the name the caller knows the model by, as `model`
is in the other formats. A stream has no last word: it is complete if a chunk had a finish reason and the body ended
properly. Google is always asked for server-sent events; a caller that did not want them gets the chunks as an array.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.gemini.errors import is_error, parse_error, render_error, status_of
from tollway.dialects.gemini.grounding import search_queries, with_searches
from tollway.dialects.gemini.wire import NOTHING, MeterWire, decode_meter, read_usage, usage_from_wire
from tollway.dialects.identity import Reply
from tollway.dialects.sse import EventReader

_encode = msgspec.json.Encoder().encode
_MODEL = re.compile(rb'("modelVersion"\s*:\s*)("(?:[^"\\]|\\.)*")')
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_RAW_KEPT_BYTES = 64 * 1024
"""Raw chunks kept for counting; past this they are boiled down to their text."""


class _PartWire(msgspec.Struct, gc=False, rename="camel"):
    text: str = ""
    function_call: msgspec.Raw = NOTHING


class _ContentWire(msgspec.Struct, gc=False):
    parts: list[_PartWire] = []


class _CandidateWire(msgspec.Struct, gc=False, rename="camel"):
    content: _ContentWire | None = None
    finish_reason: str | None = None


class _FeedbackWire(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class _TextWire(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_CandidateWire] | None = None
    prompt_feedback: _FeedbackWire | None = None


class _GroundedWire(msgspec.Struct, gc=False, rename="camel"):
    grounding_metadata: msgspec.Raw = NOTHING


class _SearchesWire(msgspec.Struct, gc=False):
    candidates: list[_GroundedWire] | None = None


_decode_grounded = msgspec.json.Decoder(_SearchesWire, strict=False).decode
_decode_text = msgspec.json.Decoder(_TextWire, strict=False).decode


class GeminiRelay:
    """One stream on its way to the client."""

    __slots__ = (
        "_has_ended",
        "_is_finished",
        "_is_sse",
        "_kept",
        "_kept_bytes",
        "_lead",
        "_new_name",
        "_old_name",
        "_public_name",
        "_queries",
        "_tail",
        "_text",
        "failure",
        "is_done",
        "known",
        "response_id",
        "usage",
    )

    def __init__(self, public_model: str, *, is_sse: bool = True) -> None:
        """`is_sse`: the caller wants server-sent events rather than one JSON array."""
        self._public_name = _encode(public_model)
        self._old_name = b""
        self._new_name = b""
        self._is_sse = is_sse
        self._lead = b"["
        self._tail = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._text: list[str] = []
        self._is_finished = False
        self._has_ended = False
        self.is_done = False
        """Never: the body's end is the stream's."""
        self.failure: UpstreamError | None = None
        """The error that the provider ended the stream with."""
        self._queries: frozenset[str] = frozenset()
        self.usage: Usage = NO_USAGE
        """Last usage the provider reported: nearly every chunk has it, of all so far."""
        self.known: Usage = NO_USAGE
        """Never more than `usage`."""
        self.response_id = ""

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer."""
        if b'"error"' not in data:
            return None
        bare = data.strip()
        documents = [bare] if bare[:1] in (b"{", b"[") else [document for _, document in EventReader().feed(data)]
        return next((_failure(document, vendor) for document in documents if is_error(document)), None)

    def has_begun(self, data: bytes) -> bool:
        """Whether a candidate says something, or why it does not."""
        return b'"parts"' in data or b"inishReason" in data or b"promptFeedback" in data

    def feed(self, data: bytes) -> bytes:
        """What to forward now: every chunk that is complete."""
        if self._tail:
            data = self._tail + data
        end = _last_end(data)
        self._tail = data[end:]
        return self._relay(data[:end]) if end else b""

    def end(self) -> bytes:
        """The body has ended: what a last chunk without its blank line still has to say."""
        self._has_ended = True
        rest, self._tail = self._tail, b""
        if not rest.strip():
            return b""
        if rest.lstrip()[:1] in (b"{", b"["):  # an error that is not sent as an event
            rest = b"data: " + b"".join(rest.split(b"\n"))
        return self._relay(rest.rstrip() + b"\r\n\r\n")

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes: nothing after a proper end, else the error if that is news."""
        document = b"" if error is None or self.failure is not None else render_error(error)
        if self._is_sse:
            return b"data: %s\r\n\r\n" % document if document else b""
        return self._in_array([document] if document else []) + (b"]" if self._lead != b"[" else b"[]")

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self._has_ended and self._is_finished

    @property
    def has_error(self) -> bool:
        """Whether the provider itself sent an error."""
        return self.failure is not None

    @property
    def text(self) -> str:
        """What the model has said so far, for counting where usage is missing; empty where it is not."""
        self._boil_down()
        return "".join(self._text)

    def _relay(self, block: bytes) -> bytes:
        self._kept.append(block)
        self._kept_bytes += len(block)
        at = block.rfind(b'"usageMetadata"')
        if at >= 0 or not self.response_id:
            self._read_meter(block, at)
        if b'"webSearchQueries"' in block:
            self._read_queries(block)
        if self._kept_bytes > _RAW_KEPT_BYTES:
            self._boil_down()
        if b'"finishReason"' in block or b'"blockReason"' in block:
            self._is_finished = self._is_finished or any(read_text(document)[1] for document in _documents(block))
        if b'"error"' in block:
            self._read_error(block)
        block = self._rename(block)
        return block if self._is_sse else self._in_array(_documents(block))

    def _rename(self, block: bytes) -> bytes:
        if not self._old_name:
            match = _MODEL.search(block)
            if match is None:
                return block
            new = match.group(1) + self._public_name
            self._old_name, self._new_name = match.group(), new
        if self._new_name == self._old_name:
            return block
        return block.replace(self._old_name, self._new_name)

    def _in_array(self, documents: list[bytes]) -> bytes:
        out: list[bytes] = []
        for document in documents:
            out += (self._lead, document)
            self._lead = b",\r\n"
        return b"".join(out)

    def _read_meter(self, block: bytes, at: int) -> None:
        """Reads the chunk around `at`: a JSON document has no line end in it, if not for its looks."""
        line = block[block.rfind(b"\n", 0, max(at, 0)) + 1 : block.find(b"\n", max(at, 0))]
        try:
            meter = decode_meter(line[5:])
        except msgspec.DecodeError:
            meter = _meter(_documents(block))
        self.response_id = self.response_id or meter.response_id or ""
        usage = usage_from_wire(meter.usage_metadata) if meter.usage_metadata is not None else NO_USAGE
        if usage.total_tokens:
            self.usage = with_searches(usage, self._queries)

    def _read_queries(self, block: bytes) -> None:
        for document in _documents(block):
            self._queries |= queries_in(document)
        self.usage = with_searches(self.usage, self._queries)

    def _read_error(self, block: bytes) -> None:
        for document in _documents(block):
            if self.failure is None and is_error(document):
                self.failure = _failure(document, "")

    def _boil_down(self) -> None:
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        if self.usage.output_tokens:
            return  # Google counts as it goes
        for document in _documents(b"".join(kept)):
            self._text.append(read_text(document)[0])


def read_text(document: bytes) -> tuple[str, bool]:
    """The text of an answer or a chunk, and whether it is finished. Empty for anything else."""
    try:
        wire = _decode_text(document)
    except msgspec.DecodeError:
        return "", False
    candidates = wire.candidates or []
    pieces: list[str] = []
    for candidate in candidates:
        for part in candidate.content.parts if candidate.content is not None else ():
            pieces.append(part.text)
            if part.function_call is not NOTHING:
                pieces.append(bytes(part.function_call).decode())
    is_blocked = wire.prompt_feedback is not None and wire.prompt_feedback.block_reason is not None
    return "".join(pieces), is_blocked or any(candidate.finish_reason for candidate in candidates)


def queries_in(document: bytes) -> frozenset[str]:
    """What was searched for in the web for an answer or a chunk."""
    try:
        found = [one.grounding_metadata for one in _decode_grounded(document).candidates or []]
    except msgspec.DecodeError:
        return frozenset()
    return frozenset().union(*(search_queries(each) for each in found if each is not NOTHING))


def render_reply(body: bytes, public_model: str) -> Reply:
    """A whole answer under the caller's name of the model. Raises `msgspec.DecodeError` if it is none."""
    meter = decode_meter(body)
    if meter.model_version is not None:
        old, name = _encode(meter.model_version), _encode(public_model)
        body = _MODEL.sub(lambda match: match.group(1) + (name if match.group(2) == old else match.group(2)), body)
    usage = read_usage(body)
    if usage is not None and b'"webSearchQueries"' in body:
        usage = with_searches(usage, queries_in(body))
    return Reply(body, meter.response_id or "", usage, "" if usage is not None else read_text(body)[0])


def _meter(documents: list[bytes]) -> MeterWire:
    """What the last of these documents says that can be read."""
    for document in reversed(documents):
        with suppress(msgspec.DecodeError):
            return decode_meter(document)
    return MeterWire()


def _failure(document: bytes, vendor: str) -> UpstreamError:
    return parse_error(status_of(document), document, vendor)


def _last_end(data: bytes) -> int:
    end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\r") + 2)
    carriage = data.rfind(b"\r\n\r\n")
    return max(end if end > 1 else 0, carriage + 4 if carriage >= 0 else 0)


def _first_document(data: bytes) -> bytes:
    match = _END.search(data)
    found = _documents(data[: match.end()] if match is not None else data + b"\n\n")
    return found[0] if found else b""


def _documents(block: bytes) -> list[bytes]:
    """The data of a block's events."""
    reader = EventReader()
    return [data for _, data in (*reader.feed(block), *reader.end())]
