"""A vendor's response headers, as the client gets them."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.errors import Header

_PLAIN = frozenset({b"retry-after", b"x-request-id", b"request-id"})


def passed_on(headers: Sequence[Header]) -> tuple[Header, ...]:
    """A vendor's headers as the client gets them: prefixed, and those that clients act on under their own name too."""
    return tuple((passed, value) for name, value in headers for passed in names_passed_on(name))


def names_passed_on(name: bytes) -> tuple[bytes, ...]:
    """The names under which the client gets a vendor's header."""
    prefixed = b"llm_provider-" + name
    if name in _PLAIN or name.startswith(b"x-ratelimit-"):
        return prefixed, b"request-id" if name == b"x-request-id" else name
    return (prefixed,)
