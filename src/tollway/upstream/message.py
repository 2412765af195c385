"""A request as bytes, and the fields that every request carries."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tollway import __version__
from tollway.core.errors import InvalidRequest, Misconfigured
from tollway.core.snapshot import Endpoint
from tollway.upstream import failure

_DEFAULTS = (("User-Agent", f"tollway/{__version__}"), ("Accept-Encoding", "identity"))

_TARGET = re.compile(r"/[!-~]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\x00\r\n]|[^\x00-\xff]")


def encode_head(endpoint: Endpoint, method: str = "POST", target: str = "") -> bytes:
    """Request line and fixed fields. Raises `InvalidRequest` for what would break the head apart.

    `target`: another path and query than the endpoint's.
    """
    host = failure.authority(endpoint.origin)
    target = target or endpoint.target
    if not _TARGET.fullmatch(target):
        raise Misconfigured(
            f"The path {target.partition('?')[0]!r} for {host} cannot be sent: use printable ASCII without spaces."
        )
    return b"%b %b HTTP/1.1\r\n%b" % (
        method.encode("ascii"),
        target.encode("ascii"),
        encode_fields((("Host", host), *fixed_fields(endpoint))),
    )


def fixed_fields(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """The endpoint's own fields, and our defaults where it has no opinion."""
    given = {name.lower() for name, _ in endpoint.headers}
    return (*((name, value) for name, value in _DEFAULTS if name.lower() not in given), *endpoint.headers)


def encode_fields(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header fields as on the wire. Raises `InvalidRequest` for a value that could smuggle in a field of its own."""
    lines = []
    for name, value in headers:
        if not _FIELD_NAME.fullmatch(name) or _UNSENDABLE.search(value):
            raise InvalidRequest(
                f"The header {name!r} cannot be sent upstream: "
                "remove line breaks and characters that HTTP does not allow."
            )
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
