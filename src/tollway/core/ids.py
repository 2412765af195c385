"""Identifiers: records and calls (UUIDv7, RFC 9562 section 5.7), virtual keys."""

from __future__ import annotations

import hashlib
import secrets
from random import getrandbits


def new_record_id(now_ms: int) -> str:
    """A UUIDv7: sorts by the millisecond it was made in. Not a secret, so the fast generator will do."""
    bits = getrandbits(74)
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - twice as fast as an f-string here
        now_ms >> 16 & 0xFFFFFFFF,
        now_ms & 0xFFFF,
        bits & 0xFFF,
        0x8000 | bits >> 12 & 0x3FFF,
        bits >> 26,
    )


def new_virtual_key(bytes_of_entropy: int = 16) -> str:
    """A virtual key in the contract's format: `sk-` and 22 URL-safe characters for 16 bytes."""
    return f"sk-{secrets.token_urlsafe(bytes_of_entropy)}"


def hash_key(key: str) -> str:
    """Lower-case hex SHA-256 of the whole plaintext key: what is stored, logged and shown instead of it."""
    return hashlib.sha256(key.encode()).hexdigest()


def abbreviate_key(key: str) -> str:
    """The public name of a key: `sk-...` and its last four characters, or `sk-...` for a short one."""
    return f"sk-...{key[-4:]}" if len(key) >= 16 else "sk-..."
