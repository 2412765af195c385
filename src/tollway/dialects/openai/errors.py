"""Errors in OpenAI's envelope, both ways.

The envelope and the table of statuses are the wire contract's (LiteLLM 1.106 as observed): `type` by status, `code`
always a string, the vendor's own message kept behind a prefix that clients of the contract know.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import Header, TollwayError, UpstreamError

_encode = msgspec.json.Encoder().encode

_BY_STATUS: dict[int, tuple[int, str, str]] = {
    # vendor's status: (status for the client, type, name in messages and metrics)
    400: (400, "invalid_request_error", "BadRequestError"),
    401: (401, "authentication_error", "AuthenticationError"),
    403: (403, "permission_error", "APIError"),
    404: (404, "invalid_request_error", "NotFoundError"),
    408: (408, "invalid_request_error", "Timeout"),
    413: (413, "invalid_request_error", "BadRequestError"),
    422: (422, "invalid_request_error", "UnprocessableEntityError"),
    429: (429, "throttling_error", "RateLimitError"),
    500: (500, "internal_server_error", "InternalServerError"),
    502: (502, "internal_server_error", "BadGatewayError"),
    503: (503, "internal_server_error", "ServiceUnavailableError"),
    504: (504, "internal_server_error", "Timeout"),
}
_RETRYABLE = frozenset({408, 409, 429})
_LONGEST_MESSAGE = 2_000

_CONTEXT_MARKS = (
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "prompt is too long",
    "exceed context limit",
)
_POLICY_MARKS = (
    "content_policy_violation",
    "content_filter",
    "content management policy",
    "content filtering policy",
)


def render_error(error: TollwayError) -> bytes:
    """The JSON body of an error."""
    return _encode({"error": error_object(error)})


def error_object(error: TollwayError) -> dict[str, Any]:
    """The `error` object: message, type, param, code."""
    return {"message": error.message, "type": error.type, "param": error.param, "code": str(error.status)}


def render_error_event(error: TollwayError) -> bytes:
    """An error in the middle of a stream, and the stream's proper end."""
    return b"data: " + render_error(error) + b"\n\ndata: [DONE]\n\n"


def upstream_error(
    status: int,
    body: bytes,
    provider: str,
    headers: tuple[Header, ...] = (),
    *,
    context_marks: tuple[str, ...] = (),
) -> UpstreamError:
    """What to tell the client about a vendor's error answer. `headers` are passed on with it; `context_marks` are the
    vendor's own words for a prompt that is too long."""
    message, param, hint = _vendor_message(body)
    client_status, error_type, name = _BY_STATUS.get(status) or _unlisted(status)
    if status in (400, 413, 422):
        text = f"{hint} {message}".lower()
        if any(mark in text for mark in (*_CONTEXT_MARKS, *context_marks)):
            name = "ContextWindowExceededError"
        elif any(mark in text for mark in _POLICY_MARKS):
            name = "ContentPolicyViolationError"
    return UpstreamError(
        f"litellm.{name}: {provider} - {message or f'HTTP {status} without a message'}",
        status=client_status,
        type=error_type,
        param=param,
        headers=headers,
        is_retryable=status in _RETRYABLE or status >= 500,
        error_class=name,
        upstream_status=status,
    )


def is_error_document(document: bytes) -> bool:
    """Whether a JSON document is an error envelope rather than an answer."""
    try:
        return bool(_decode_envelope(document).error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def status_in(document: bytes) -> int:
    """The HTTP status an error event names in its `code`, else 500."""
    try:
        code = msgspec.json.decode(document, type=_ErrorCode).error.code
        status = int(code)  # type: ignore[call-overload]  # whatever else it is raises
    except (msgspec.DecodeError, TypeError, ValueError):
        return 500
    return status if 400 <= status < 600 else 500


class _CodeField(msgspec.Struct, frozen=True):
    code: object = None


class _ErrorCode(msgspec.Struct):
    error: _CodeField = _CodeField()


def _unlisted(status: int) -> tuple[int, str, str]:
    if status >= 500:
        return status, "internal_server_error", "InternalServerError"
    return status if status >= 400 else 502, "invalid_request_error", "BadRequestError"


class _Envelope(msgspec.Struct, gc=False):
    error: Any = None
    message: Any = None
    detail: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def _vendor_message(body: bytes) -> tuple[str, str | None, str]:
    """Message, param and code or type of a vendor's error body, whatever its shape."""
    try:
        envelope = _decode_envelope(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:_LONGEST_MESSAGE].decode("utf-8", "replace").strip(), None, ""
    error = envelope.error if envelope.error is not None else envelope.message or envelope.detail
    if isinstance(error, dict):
        param = error.get("param")
        text = error.get("message") or msgspec.json.encode(error).decode()
        hint = f"{error.get('code') or ''} {error.get('type') or ''}"
        return str(text)[:_LONGEST_MESSAGE], param if isinstance(param, str) else None, hint
    if error is None:
        return body[:_LONGEST_MESSAGE].decode("utf-8", "replace"), None, ""
    text = error if isinstance(error, str) else msgspec.json.encode(error).decode()
    return text[:_LONGEST_MESSAGE], None, ""
