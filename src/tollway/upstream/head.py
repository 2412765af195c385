"""The head of an answer: which fields are for us, which for the caller, and what they say of the body and connection.

RFC 9112 sections 6.3 (length of a body) and 9.3 (persistence), RFC 9110 section 7.6.1 (hop-by-hop fields).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from tollway.core.errors import Header
from tollway.upstream.decoding import Decoder, decoder_for

BODILESS = (204, 304)

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_FOR_US = HOP_BY_HOP | {b"content-encoding"}
_KEEP_ALIVE_TIMEOUT = re.compile(rb"\btimeout\s*=\s*(\d{1,6})\b", re.IGNORECASE)


class Refused(Exception):
    """An answer that a lenient reader would take, and we do not."""


class Terms:
    """What an answer says of its body and its connection."""

    __slots__ = ("decoder", "max_idle_s")

    def __init__(self) -> None:
        self.decoder: Decoder | None = None
        self.max_idle_s = math.inf
        """How long the server promises to keep the connection, less a second for the way."""


def read_head(fields: Sequence[Header]) -> tuple[Sequence[Header], Terms | None]:
    """The fields for the caller (names in lower case, hop-by-hop fields left out) and the terms, if any are stated.

    Raises `Refused` for codings that cannot be undone.
    """
    headers: list[Header] = []
    ours: list[Header] = []
    for name, value in fields:
        name = name.lower()
        if name in _FOR_US:
            ours.append((name, value))
        else:
            headers.append((name, value))
    return _read_terms(headers, ours) if ours else (headers, None)


def ends_at_close(status: int, http_version: str, fields: Sequence[Header]) -> bool:
    """Whether the end of the connection marks the end of the body.

    Raises `Refused` when it would have to, although the server did not say that it closes: an end like that cannot be
    told from a cut.
    """
    known = _joined((name.lower(), value) for name, value in fields)
    if status in BODILESS or b"content-length" in known or b"transfer-encoding" in known:
        return False
    if http_version != "1.0" and b"close" not in _options(known.get(b"connection", b"")):
        raise Refused("neither a length nor a closing connection marks the end of its body")
    return True


def size_of(fields: Sequence[Header]) -> int:
    """Bytes of the fields on the wire, about."""
    return sum(len(name) + len(value) + len(": \r\n") for name, value in fields)


def _read_terms(headers: list[Header], ours: list[Header]) -> tuple[list[Header], Terms]:
    terms = Terms()
    hidden: set[bytes] = set()
    for name, value in _joined(ours).items():
        match name:
            case b"transfer-encoding" if value.strip().lower() != b"chunked":
                raise Refused(f"its transfer coding {value.decode('latin-1')!r} is not `chunked`")
            case b"connection":
                hidden |= _options(value)
            case b"keep-alive":
                timeout = _KEEP_ALIVE_TIMEOUT.search(value)
                terms.max_idle_s = int(timeout[1]) - 1.0 if timeout else math.inf
            case b"content-encoding":
                terms.decoder = _decoder_for(value)
                if terms.decoder is not None:
                    hidden.add(b"content-length")
    return [field for field in headers if field[0] not in hidden] if hidden else headers, terms


def _joined(fields: Iterable[Header]) -> dict[bytes, bytes]:
    """Fields of one name are one list (RFC 9110 section 5.3)."""
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


def _options(connection: bytes) -> set[bytes]:
    return {option.strip() for option in connection.lower().split(b",")}


def _decoder_for(coding: bytes) -> Decoder | None:
    try:
        return decoder_for(coding)
    except ValueError as error:
        raise Refused(str(error)) from None
