"""Errors of Bedrock: a message in the body, the exception's name in a header or in the frame of a stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and the errors common to all of
Amazon's services.
"""

from __future__ import annotations

import re

import msgspec

from tollway.core.errors import Header, UpstreamError
from tollway.dialects.openai.errors import upstream_error

_STATUSES = {
    "accessdeniedexception": 403,
    "expiredtokenexception": 401,
    "incompletesignatureexception": 401,
    "internalserverexception": 500,
    "invalidclienttokenid": 401,
    "invalidsignatureexception": 401,
    "missingauthenticationtokenexception": 401,
    "modelerrorexception": 500,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 500,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 429,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "unrecognizedclientexception": 401,
    "validationexception": 400,
}
"""What an exception means to the caller, by its name in lower case. A signature that Amazon refuses is answered with
403 there, though it says nothing of what the caller may do."""

_CONTEXT = re.compile(r"(?i)input is too long|too many (input )?tokens|exceeds? the (model'?s )?(maximum|context)")
_ERROR_TYPE = (b"x-amzn-errortype", b"llm_provider-x-amzn-errortype")


class _Body(msgspec.Struct, gc=False):
    message: str | None = None
    capital_message: str | None = msgspec.field(name="Message", default=None)
    original_message: str | None = msgspec.field(name="originalMessage", default=None)
    original_status_code: int | None = msgspec.field(name="originalStatusCode", default=None)
    type: str | None = msgspec.field(name="__type", default=None)


def parse_error(status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
    """What to tell the client about an error answer."""
    named = next((value.decode("latin-1") for name, value in headers if name in _ERROR_TYPE), "")
    return _error(status, named, body, vendor, headers)


def parse_exception(name: str, payload: bytes, vendor: str) -> UpstreamError:
    """The error that a stream ends with; `name` is the exception's."""
    return _error(0, name, payload, vendor, ())


def read_exception(name: str, payload: bytes) -> tuple[int, str]:
    """The status that an exception stands for, and its message."""
    meant, _, message = _read(0, name, payload)
    return meant, message or payload.decode(errors="replace") or name


def _error(status: int, name: str, body: bytes, vendor: str, headers: tuple[Header, ...]) -> UpstreamError:
    meant, name, message = _read(status, name, body)
    if message is None:
        found = upstream_error(meant, body or name.encode(), vendor, headers)
    else:
        code = "context_length_exceeded" if _CONTEXT.search(message) else name
        document = {"error": {"message": message, "code": code}}
        found = upstream_error(meant, msgspec.json.encode(document), vendor, headers)
    found.upstream_status = status or meant
    return found


def _read(status: int, name: str, body: bytes) -> tuple[int, str, str | None]:
    """The status that is meant, the exception's plain name, and what it says."""
    try:
        wire = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        wire = _Body()
    message = wire.message or wire.capital_message
    # `ValidationException:http://internal.amazon.com/coral/…`, `com.amazon.coral.service#ThrottlingException`
    name = (name or wire.type or "").partition(":")[0].rpartition("#")[2]
    meant = _STATUSES.get(name.lower(), status or 500)
    if 400 <= (wire.original_status_code or 0) < 600:
        meant = wire.original_status_code or meant
    if message is not None and wire.original_message:
        message = f"{message} ({wire.original_message})"
    return meant, name, message
