"""Cross-origin requests from browsers: any origin by default (contract). Source: WHATWG Fetch, "CORS protocol"."""

from __future__ import annotations

from tollway.core.errors import Header
from tollway.core.snapshot import Settings

_METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_MAX_AGE_S = b"600"
_EXPOSED = b"*"


def cors_headers(request_headers: dict[bytes, bytes], settings: Settings) -> tuple[Header, ...]:
    """Headers of an ordinary response: none unless a browser asked from an origin that is allowed."""
    origin = request_headers.get(b"origin")
    if origin is None:
        return ()
    allowed = _allowed(origin, settings)
    if allowed is None:
        return ()
    return ((b"access-control-allow-origin", allowed), (b"access-control-expose-headers", _EXPOSED))


def preflight_headers(request_headers: dict[bytes, bytes], settings: Settings) -> list[Header]:
    """Headers of the answer to a preflight request."""
    allowed = _allowed(request_headers.get(b"origin", b""), settings)
    if allowed is None:
        return [(b"vary", b"Origin")]
    wanted = request_headers.get(b"access-control-request-headers", b"*")
    return [
        (b"access-control-allow-origin", allowed),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", _MAX_AGE_S),
        (b"vary", b"Origin"),
    ]


def _allowed(origin: bytes, settings: Settings) -> bytes | None:
    if "*" in settings.cors_origins:
        return b"*"
    return origin if origin.decode("latin-1") in settings.cors_origins else None
