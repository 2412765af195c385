"""Errors in Anthropic's envelope, both ways.

The table of types by status is the wire contract's; https://platform.claude.com/docs/en/api/errors has the vendor's.
"""

from __future__ import annotations

import msgspec

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.dialects.messages.wire import UNREADABLE
from tollway.dialects.openai.errors import upstream_error

_encode = msgspec.json.Encoder().encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def type_for(status: int) -> str:
    """Anthropic's type of error for a status."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_object(error: TollwayError) -> dict[str, object]:
    """The whole envelope. `code` is the gateway's own word, for clients that tell a budget from a rate limit by it."""
    return {"type": "error", "error": {"type": type_for(error.status), "message": error.message, "code": error.type}}


def render_error(error: TollwayError) -> bytes:
    """The JSON body of an error."""
    return _encode(error_object(error))


def render_error_event(error: TollwayError) -> bytes:
    """An error in the middle of a stream, which it ends."""
    return b"event: error\ndata: " + render_error(error) + b"\n\n"


class _Inner(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class _Envelope(msgspec.Struct, gc=False):
    error: _Inner = _Inner()


def status_in(document: bytes) -> int:
    """The status that an error event stands for."""
    try:
        kind = msgspec.json.decode(document, type=_Envelope).error.type
    except UNREADABLE:
        return 500
    return _STATUSES.get(kind, 500)


def parse_error(status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
    """What to tell the client about an error answer."""
    return upstream_error(status, body, vendor, headers)
