"""Headers for the provider that a caller puts into the body (`extra_headers`), where its client cannot send them.

The gateway speaks to the provider in its own name: a caller adds flags of an API, not credentials, and nothing that
the connection, a signature or a proxy goes by.
"""

from __future__ import annotations

import re

import msgspec

from tollway.core.errors import InvalidRequest

_FIELD = "extra_headers"
_MOST = 32
_LONGEST = 8 * 1024
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

DENIED: dict[str, str] = {
    # hop by hop, framing and coding: the connection's own
    **dict.fromkeys(
        ("connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive", "te",
         "trailer", "transfer-encoding", "upgrade", "accept-encoding", "http2-settings", "via"),
        "is written by the connection",
    ),
    # who asks, and who pays
    **dict.fromkeys(
        ("authorization", "api-key", "cookie", "ocp-apim-subscription-key", "openai-organization", "openai-project",
         "set-cookie", "x-api-key", "x-auth-token", "x-goog-api-key", "x-goog-iam-authorization-token",
         "x-goog-user-project", "x-litellm-api-key"),
        "says who asks or pays, which is the deployment's to say",
    ),
    **dict.fromkeys(("forwarded", "x-real-ip"), "says where a request comes from"),
}  # fmt: skip
"""Names in lower case, and why a caller cannot set them."""
DENIED_PREFIXES: dict[str, str] = {
    "proxy-": DENIED["connection"],
    "x-amz-": "is a part of the signature",
    "x-forwarded-": DENIED["forwarded"],
}


def read_extra_headers(raw: msgspec.Raw) -> tuple[tuple[str, str], ...]:
    """Names and values. Raises `InvalidRequest` naming the header that cannot be sent."""
    try:
        given = msgspec.json.decode(raw, type=dict[str, str | int | float | bool | None] | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest(f"'{_FIELD}' must be an object of names and texts.", param=_FIELD) from None
    headers = {name.lower(): (name, _text(value)) for name, value in (given or {}).items() if value is not None}
    if len(headers) > _MOST or sum(len(name) + len(value) for name, value in headers.values()) > _LONGEST:
        raise InvalidRequest(f"'{_FIELD}' must be at most {_MOST} headers of {_LONGEST} bytes.", param=_FIELD)
    for lower, (name, value) in headers.items():
        _check(lower, name, value)
    return tuple(headers.values())


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip(" \t")


def _check(lower: str, name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        shown = re.sub(r"[^\x21-\x7e]", "?", name[:64])
        raise InvalidRequest(
            f"'{_FIELD}': the header '{shown}' has a character that HTTP does not allow.", param=_FIELD
        )
    why = DENIED.get(lower) or next((why for start, why in DENIED_PREFIXES.items() if lower.startswith(start)), None)
    if why is not None:
        raise InvalidRequest(f"'{_FIELD}': '{name}' {why}; leave it out.", param=f"{_FIELD}.{lower}")
