"""Anthropic's Messages format as Amazon Bedrock serves it (InvokeModel).

The body says its version and has the flags of the beta; model and streaming are the path's. An answer is as at
Anthropic. A stream is Amazon's, with an event of Anthropic's as base64 in each frame:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html.
"""

from __future__ import annotations

from base64 import b64decode

import msgspec

from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.usage import Usage
from tollway.dialects.converse.errors import read_exception
from tollway.dialects.eventstream import Frame, FrameReader
from tollway.dialects.identity import Relay
from tollway.dialects.messages.errors import type_for

_BETA_HEADER = "anthropic-beta"
_BETA_FIELD = "anthropic_beta"

_encode = msgspec.json.Encoder().encode


class _Chunk(msgspec.Struct, gc=False):
    bytes: str = ""
    type: str = ""
    """Of an event; some servers that imitate Amazon put it into the frame as it is."""


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def move_betas(
    headers: tuple[tuple[str, str], ...], fields: dict[str, msgspec.Raw]
) -> tuple[tuple[tuple[str, str], ...], dict[str, msgspec.Raw]]:
    """Headers without the flags of the beta, and the body's field that has them; it is empty where there are none."""
    flags = next((value for name, value in headers if name == _BETA_HEADER), None)
    if flags is None:
        return headers, {}
    try:
        of_body = msgspec.json.decode(fields.get(_BETA_FIELD, b"[]"), type=list[str])
    except msgspec.DecodeError:
        of_body = []
    merged = list(dict.fromkeys((*of_body, *flags.split(","))))
    rest = tuple(header for header in headers if header[0] != _BETA_HEADER)
    return rest, {_BETA_FIELD: msgspec.Raw(_encode(merged))}


class Unwrapper:
    """Frames become the server-sent events that Anthropic would have sent."""

    __slots__ = ("_frames", "_has_failed")

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._has_failed = False

    def feed(self, data: bytes) -> bytes:
        """The events that these bytes complete. A damaged stream, or an exception in it, becomes an error event."""
        events = b""
        for frame in self._frames.feed(data):
            if self._has_failed:
                break
            events += self._event(frame)
        if self._frames.fault is not None and not self._has_failed:
            self._has_failed = True
            events += _error(502, f"The stream cannot be read: {self._frames.fault}")
        return events

    def _event(self, frame: Frame) -> bytes:
        headers = frame.headers
        if headers.get(":message-type") == "event":
            return _unpack(frame.payload)
        self._has_failed = True
        name = headers.get(":exception-type") or headers.get(":error-code") or ""
        return _error(*read_exception(name, frame.payload or headers.get(":error-message", "").encode()))


def _unpack(payload: bytes) -> bytes:
    try:
        chunk = _decode_chunk(payload)
        document = payload if chunk.type else b64decode(chunk.bytes)
        kind = chunk.type or _decode_chunk(document).type
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return b""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), document) if kind else b""


def _error(status: int, message: str) -> bytes:
    document = {"type": "error", "error": {"type": type_for(status), "message": message}}
    return b"event: error\ndata: %b\n\n" % _encode(document)


class UnwrappingRelay:
    """A relay of Anthropic's events for a stream that Amazon has wrapped."""

    __slots__ = ("_inner", "_unwrapper")

    def __init__(self, inner: Relay) -> None:
        self._inner = inner
        self._unwrapper = Unwrapper()

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer."""
        return self._inner.opening_error(Unwrapper().feed(data), vendor)

    def has_begun(self, data: bytes) -> bool:
        """Whether the answer itself has begun in this opening."""
        return self._inner.has_begun(Unwrapper().feed(data))

    def feed(self, data: bytes) -> bytes:
        """What to forward now."""
        events = self._unwrapper.feed(data)
        return self._inner.feed(events) if events else b""

    def end(self) -> bytes:
        """The body has ended."""
        return self._inner.end()

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes for the client."""
        return self._inner.close(error)

    @property
    def is_done(self) -> bool:
        """The stream said itself that it is over."""
        return self._inner.is_done

    @property
    def usage(self) -> Usage:
        """Last usage the provider reported."""
        return self._inner.usage

    @property
    def known(self) -> Usage:
        """What the provider said of the prompt before the answer."""
        return self._inner.known

    @property
    def response_id(self) -> str:
        """The answer's id."""
        return self._inner.response_id

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self._inner.is_complete

    @property
    def failure(self) -> UpstreamError | None:
        """The error that the provider ended the stream with, if it did."""
        return self._inner.failure

    @property
    def text(self) -> str:
        """Everything the model has said so far."""
        return self._inner.text
