"""The head of an answer: which fields are for us, which for the caller, and what they say of the body and connection.

RFC 9112 sections 6.3 (length of a body) and 9.3 (persistence), RFC 9110 section 7.6.1 (hop-by-hop fields).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    """A head that a lenient reader would take, and we do not."""


class Head:
    """What the header fields of an answer mean."""

    __slots__ = ("connection", "decoder", "headers", "is_delimited", "max_idle_s")

    def __init__(self, headers: list[Header]) -> None:
        self.headers: Sequence[Header] = headers
        """For the caller: names in lower case, hop-by-hop fields left out."""
        self.connection: frozenset[bytes] = frozenset()
        """Options of the `Connection` field, in lower case."""
        self.is_delimited = False
        """The end of the body can be told without waiting for the connection to close."""
        self.decoder: Decoder | None = None
        self.max_idle_s: float | None = None
        """How long the server promises to keep the connection, less a second for the way."""

    def check_end_at_close(self, http_version: str) -> None:
        """Raises `Refused` unless the server announced that it closes the connection after this body."""
        if http_version != "1.0" and b"close" not in self.connection:
            raise Refused("neither a length nor a closing connection marks the end of its body")


def read_head(fields: Sequence[Header]) -> Head:
    """Sorts the fields of an answer. Raises `Refused` for codings that cannot be undone."""
    headers: list[Header] = []
    ours: dict[bytes, bytes] = {}
    head = Head(headers)
    for name, value in fields:
        name = name.lower()
        if name in _FOR_US:
            ours[name] = ours[name] + b"," + value if name in ours else value
        else:
            headers.append((name, value))
            if name == b"content-length":
                head.is_delimited = True
    if ours:
        _apply(ours, head)
    return head


def size_of(fields: Sequence[Header]) -> int:
    """Bytes of the fields on the wire, about."""
    return sum(len(name) + len(value) + len(": \r\n") for name, value in fields)


def _apply(ours: dict[bytes, bytes], head: Head) -> None:
    transfer_coding = ours.get(b"transfer-encoding")
    if transfer_coding is not None:
        if transfer_coding.strip().lower() != b"chunked":
            raise Refused(f"its transfer coding {transfer_coding.decode('latin-1')!r} is not `chunked`")
        head.is_delimited = True
    if b"connection" in ours:
        head.connection = frozenset(option.strip() for option in ours[b"connection"].lower().split(b","))
        _drop(head, head.connection)
    if b"keep-alive" in ours:
        timeout = _KEEP_ALIVE_TIMEOUT.search(ours[b"keep-alive"])
        head.max_idle_s = int(timeout[1]) - 1.0 if timeout else None
    if b"content-encoding" in ours:
        try:
            head.decoder = decoder_for(ours[b"content-encoding"])
        except ValueError as error:
            raise Refused(str(error)) from None
        if head.decoder is not None:
            _drop(head, {b"content-length"})


def _drop(head: Head, names: frozenset[bytes] | set[bytes]) -> None:
    head.headers = [field for field in head.headers if field[0] not in names]
