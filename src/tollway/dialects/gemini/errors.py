"""Errors in Google's envelope, both ways.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193, checked 2026-11-26. Beside
Google's `code`, `message` and `status` stand the gateway's own `type` and `param`, so that clients can tell a spent
budget from a wrong field.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.dialects.openai.errors import upstream_error

_encode = msgspec.json.Encoder().encode

STATUSES: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CODES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_CONTEXT_MARKS = ("exceeds the maximum number of tokens", "input token count", "maximum number of tokens allowed")
_POLICY_MARKS = ("blocked by safety", "safety settings", "prohibited content", "prohibited_content", "blocked by the")
_KEY_MARK = "API_KEY_INVALID"
"""A wrong key is a 400 at Google."""


def render_error(error: TollwayError) -> bytes:
    """The JSON body of an error."""
    return _encode({"error": error_object(error)})


def error_object(error: TollwayError) -> dict[str, Any]:
    """The `error` object."""
    fallback = "INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT"
    return {
        "code": error.status,
        "message": error.message,
        "status": STATUSES.get(error.status, fallback),
        "type": error.type,
        "param": error.param,
    }


class _ErrorWire(msgspec.Struct, gc=False):
    code: Any = None
    message: str = ""
    status: str = ""
    details: list[Any] = []


class _Envelope(msgspec.Struct, gc=False):
    error: _ErrorWire


def parse_error(status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
    """What to tell the client about an error answer: an object, or a list of one as streams without SSE send it."""
    document = _document(body)
    try:
        wire = msgspec.json.decode(document, type=_Envelope).error
    except msgspec.DecodeError:
        return upstream_error(status, document, vendor, headers)
    delay = _retry_delay(wire.details)
    if delay is not None and not any(name.lower() == b"retry-after" for name, _ in headers):
        headers = (*headers, (b"retry-after", b"%d" % delay))
    is_bad_key = status == 400 and _KEY_MARK in str(wire.details)
    error = upstream_error(401 if is_bad_key else status, document, vendor, headers)
    name = _error_class(status, wire)
    if is_bad_key or name is None or error.error_class == name:
        return error
    return UpstreamError(
        error.message.replace(f"litellm.{error.error_class}:", f"litellm.{name}:", 1),
        status=error.status,
        type=error.type,
        param=error.param,
        headers=headers,
        is_retryable=error.is_retryable,
        error_class=name,
        upstream_status=status,
    )


def is_error(document: bytes) -> bool:
    """Whether a JSON document is an error rather than an answer."""
    try:
        msgspec.json.decode(_document(document), type=_Envelope)
    except msgspec.DecodeError:
        return False
    return True


def status_in(error: Any) -> int:
    """The HTTP status that the `error` of a stream names."""
    if isinstance(error, dict):
        code = error.get("code")
        if isinstance(code, int) and 400 <= code < 600:
            return code
        return _CODES.get(str(error.get("status")), 500)
    return 500


def status_of(document: bytes) -> int:
    """The same of a document for which `is_error` holds."""
    wire = msgspec.json.decode(_document(document), type=_Envelope).error
    return status_in({"code": wire.code, "status": wire.status})


def _document(body: bytes) -> bytes:
    try:
        found = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return body
    return bytes(found[0]) if found else body


def _error_class(status: int, wire: _ErrorWire) -> str | None:
    if status != 400:
        return None
    message = wire.message.lower()
    if any(mark in message for mark in _CONTEXT_MARKS):
        return "ContextWindowExceededError"
    if any(mark in message for mark in _POLICY_MARKS):
        return "ContentPolicyViolationError"
    return None


def _retry_delay(details: list[Any]) -> int | None:
    """`google.rpc.RetryInfo`: seconds as `"34.07s"`, rounded up."""
    for detail in details:
        text = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(text, str) and text.endswith("s"):
            try:
                return max(0, -int(-float(text[:-1]) // 1))
            except ValueError:
                return None
    return None
