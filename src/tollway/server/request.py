"""What is asked of a request's head beyond its syntax, which llhttp holds in its strict mode.

Source: RFC 9112 sections 2.3, 3.2 and 6.1.
"""

from __future__ import annotations

from http import HTTPStatus

from httptools import HttpParserError, parse_url

from tollway.server.head import Header

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and fields; also of anything else between two pieces of body."""


class Refused(Exception):
    """A request that is not served; the connection is closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check(method: bytes, version: str, headers: list[Header], fields: dict[bytes, bytes]) -> None:
    """Raises `Refused` for what no server may let through. `fields` are the headers without repetitions."""
    if version not in ("1.1", "1.0"):
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if method == b"CONNECT":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "This server is no proxy: CONNECT is not offered.")
    if b"host" not in fields and version == "1.1":
        raise Refused(HTTPStatus.BAD_REQUEST, "The request has no Host header.")
    if len(fields) != len(headers) and sum(name == b"host" for name, _ in headers) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, "The request has more than one Host header.")
    coding = fields.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
        raise Refused(HTTPStatus.BAD_REQUEST, "The only transfer coding understood is chunked, in HTTP/1.1.")


def size(url: bytes, headers: list[Header]) -> int:
    """Bytes of a head, as good as exactly."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def too_long() -> Refused:
    """For a head above the limit."""
    return Refused(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head is longer than {MAX_HEAD_BYTES:,} bytes."
    )


def reason(error: HttpParserError) -> Refused:
    """Why parsing stopped: our own refusal, or llhttp's."""
    cause = error.__context__
    if isinstance(cause, Refused):
        return cause
    return Refused(HTTPStatus.BAD_REQUEST, f"The request is not proper HTTP/1.1: {error}.")


def origin_form(url: bytes) -> bytes:
    """Path and query of a target that was given as a whole URL; `*` stays."""
    if url == b"*":
        return url
    parsed = parse_url(url)
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
