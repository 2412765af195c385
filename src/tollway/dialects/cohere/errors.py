"""Errors of Cohere: an object with a `message` and an id, and statuses of the vendor's own.

https://docs.cohere.com/reference/errors
"""

from __future__ import annotations

import msgspec

from tollway.core.errors import Header, UpstreamError
from tollway.dialects.openai.errors import upstream_error

VENDOR = "CohereException"
"""How it is called where nobody said otherwise."""

_STATUSES = {498: 401, 499: 408}
"""Its own statuses: an invalid token, a request that was cancelled."""
_CONTEXT_MARKS = ("too many tokens",)


def parse_error(status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
    """What to tell the client about an error answer."""
    return upstream_error(_STATUSES.get(status, status), body, vendor, headers, context_marks=_CONTEXT_MARKS)


def generation_error(reason: str, message: str | None) -> UpstreamError:
    """An answer that ended with a failure of the vendor's."""
    is_timeout = reason == "TIMEOUT"
    text = message or ("the generation took too long" if is_timeout else "the generation failed")
    return parse_error(504 if is_timeout else 500, msgspec.json.encode({"message": text}), VENDOR)
