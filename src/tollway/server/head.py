"""Heads of responses as bytes.

A response carries some 35 fields, so nothing here runs per field in Python unless a field is out of the ordinary.
Source: RFC 9110 section 5, RFC 9112 sections 4 to 6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus

Header = tuple[bytes, bytes]

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus if status >= HTTPStatus.OK}
_STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, phrase) for status, phrase in _PHRASES.items()}
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_FRAMING = frozenset((b"connection", b"transfer-encoding"))
_ONLY_ONCE = frozenset((b"content-length", b"date"))
_MOST_NAMES = 1024
_ordinary_names: set[bytes] = set()
"""Names seen before: lower case, well formed, and of no meaning for the connection. A bounded memo."""


class UnsendableResponse(RuntimeError):
    """The application asks for a response that HTTP cannot carry."""


def encode_head(status: int, given: Iterable[Header], defaults: Sequence[Header]) -> tuple[bytes, int | None, bool]:
    """The status line and fields, without the empty line that ends them; the declared length; whether to close.

    `given` are the application's, `defaults` the server's, which yield to the former. Fields about the connection are
    left out: they are the server's to write. Raises `UnsendableResponse` for a name or value that would break the
    head apart, and for lengths that contradict each other.
    """
    line = _STATUS_LINES.get(status) or _unlisted(status)
    headers = [*defaults, *given]
    if not headers:
        return line, None, False
    fields = dict(headers)
    closes = False
    if not _ordinary_names.issuperset(fields):
        headers, closes = _in_order(headers)
        fields = dict(headers)
    if len(fields) != len(headers):
        headers = _without_repeats(headers)
    block = b"\r\n".join(map(b": ".join, headers))
    breaks = len(headers) - 1
    # The line breaks between fields are ours: one more would begin a field that somebody smuggled in with a value.
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks or b"\0" in block:
        raise UnsendableResponse("A header value contains a line break or NUL: remove it.")
    length = fields.get(b"content-length")
    if length is not None:
        if not length.isdigit():
            raise UnsendableResponse(f"content-length is {length!r}: give a number of bytes.")
        if status == HTTPStatus.NO_CONTENT:
            return encode_head(status, [item for item in headers if item[0] != b"content-length"], ())
    return b"%b%b\r\n" % (line, block), None if length is None else int(length), closes


Head = tuple[bytes, int | None, bool]
"""What `encode_head` returns."""

_bare: dict[int, tuple[Sequence[Header], Head]] = {}
"""By status: heads of the server's fields alone, and the fields they were made of. As many as there are statuses."""


def bare_head(status: int, defaults: Sequence[Header]) -> Head:
    """`encode_head` with nothing given; made anew when `defaults` are another object, with the next second's date."""
    known = _bare.get(status)
    if known is None or known[0] is not defaults:
        known = _bare[status] = (defaults, encode_head(status, (), defaults))
    return known[1]


def error_response(status: int, message: str, defaults: Sequence[Header]) -> tuple[bytes, bytes]:
    """Head and body of a response with OpenAI's error envelope, after which the connection is closed."""
    kind = "internal_server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": str(status)}
    body = json.dumps({"error": error}).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    head, _, _ = encode_head(status, fields, defaults)
    return head + b"connection: close\r\n\r\n", body


def _unlisted(status: int) -> bytes:
    if not HTTPStatus.OK <= status <= 999:
        raise UnsendableResponse(f"The status {status} is none of a final response.")
    return b"HTTP/1.1 %d \r\n" % status


def _in_order(headers: Iterable[Header]) -> tuple[list[Header], bool]:
    """The same fields with names in lower case, without those about the connection; whether one asks to close it."""
    kept: list[Header] = []
    closes = False
    for given, value in headers:
        name = given.lower()
        if name == b"connection":
            closes = closes or b"close" in [token.strip() for token in value.lower().split(b",")]
        if name in _FRAMING:
            continue
        if not _NAME.fullmatch(name):
            raise UnsendableResponse(f"The header name {given!r} is not one: use letters, digits and hyphens.")
        _remember(name)
        kept.append((name, value))
    return kept, closes


def _remember(name: bytes) -> None:
    if len(_ordinary_names) >= _MOST_NAMES:
        _ordinary_names.clear()
    _ordinary_names.add(name)


def _without_repeats(headers: Iterable[Header]) -> list[Header]:
    """The same fields, those that may occur once with their last value. Raises if two lengths differ."""
    headers = list(headers)
    lengths = {value for name, value in headers if name == b"content-length"}
    if len(lengths) > 1:
        raise UnsendableResponse("Two values of content-length differ: give one.")
    last = dict(headers)
    once = [(name, last[name]) for name in _ONLY_ONCE if name in last]
    return [*once, *(item for item in headers if item[0] not in _ONLY_ONCE)]
