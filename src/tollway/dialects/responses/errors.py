"""Errors of the Responses API: OpenAI's envelope, and what stands for it in the middle of a stream.

The documented `error` event has its fields at the top level, while the official SDKs raise on an `error` object; OpenAI
sends the latter. Both are written. Codex CLI reads neither, but `response.failed`, so that follows.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import TollwayError, UpstreamError
from tollway.dialects.body import read_fields
from tollway.dialects.openai.errors import error_object, upstream_error

_encode = msgspec.json.Encoder().encode

_STATUS: dict[str, int] = {
    # code or type of an error in a stream: the status it would have had
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "vector_store_timeout": 504,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "bio_policy": 400,
    "data_residency_mismatch": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
}
_CODES: dict[int, str] = {
    400: "invalid_prompt",
    413: "invalid_prompt",
    422: "invalid_prompt",
    429: "rate_limit_exceeded",
}
"""`response.error.code` by status; everything else is a `server_error`."""


def render_error_event(error: TollwayError, sequence: int) -> bytes:
    """The `error` event."""
    wire = error_object(error)
    fields = {"type": "error", "sequence_number": sequence, "error": wire}
    fields |= {"code": failure(error)["code"], "message": error.message, "param": error.param}
    return b"event: error\ndata: %s\n\n" % _encode(fields)


def failure(error: TollwayError) -> dict[str, str]:
    """`response.error`. Agents act on its code: Codex compacts the conversation on `context_length_exceeded`."""
    if isinstance(error, UpstreamError) and error.error_class == "ContextWindowExceededError":
        code = "context_length_exceeded"
    else:
        code = _CODES.get(error.status, "server_error")
    return {"code": code, "message": error.message}


def render_failed_event(error: TollwayError, response: bytes, sequence: int) -> bytes:
    """`response.failed` for a response that was begun elsewhere: `response` as `response.created` had it."""
    fields: dict[str, Any] = {**read_fields(response), "status": "failed", "error": failure(error)}
    event = {"type": "response.failed", "response": fields, "sequence_number": sequence}
    return b"event: response.failed\ndata: %s\n\n" % _encode(event)


class _ErrorWire(msgspec.Struct, gc=False):
    code: Any = None
    type: Any = None
    message: Any = None
    param: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_ErrorWire, strict=False).decode


def error_event(document: bytes, vendor: str) -> UpstreamError:
    """What an `error` event says. Raises `msgspec.DecodeError` if it is no JSON object."""
    wire = _decode(document)
    if isinstance(wire.error, dict):
        return error_in(wire.error, vendor)
    return error_in({"code": wire.code, "message": wire.message, "param": wire.param}, vendor)


def error_in(error: Any, vendor: str) -> UpstreamError:
    """An error object of a stream or a failed response, as if it had come with its status."""
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    known = (_status(fields.get(name)) for name in ("code", "type"))
    status = next((found for found in known if found is not None), 500)
    body = {"error": fields if fields.get("message") else {**fields, "message": "the response failed"}}
    return upstream_error(status, _encode(body), vendor)


def _status(code: Any) -> int | None:
    if isinstance(code, str) and code in _STATUS:
        return _STATUS[code]
    if isinstance(code, str) and code.startswith(("invalid_", "image_", "unsupported_")):
        return 400
    text = str(code)
    return int(text) if text.isdecimal() and 400 <= int(text) < 600 else None
