"""Identifiers: call ids (UUIDv4), record ids (UUIDv7, RFC 9562 section 5.7) and virtual keys."""

from __future__ import annotations

import hashlib
import secrets
from random import getrandbits


def _hyphenate(value: int) -> str:
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_call_id() -> str:
    """A random UUIDv4. Not a secret, so the fast generator will do."""
    return _hyphenate(getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | (0x4 << 76) | (0x2 << 62))


def new_record_id(now_ms: int) -> str:
    """A UUIDv7: sorts by the millisecond it was made in."""
    return _hyphenate(now_ms << 80 | 0x7 << 76 | getrandbits(12) << 64 | 0x2 << 62 | getrandbits(62))


def new_virtual_key(bytes_of_entropy: int = 16) -> str:
    """A virtual key in the contract's format: `sk-` and 22 URL-safe characters for 16 bytes."""
    return f"sk-{secrets.token_urlsafe(bytes_of_entropy)}"


def hash_key(key: str) -> str:
    """Lower-case hex SHA-256 of the whole plaintext key: what is stored, logged and shown instead of it."""
    return hashlib.sha256(key.encode()).hexdigest()


def abbreviate_key(key: str) -> str:
    """The public name of a key: `sk-...` and its last four characters, or `sk-...` for a short one."""
    return f"sk-...{key[-4:]}" if len(key) >= 16 else "sk-..."
