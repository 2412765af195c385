"""Identifiers: records and calls (UUIDv7, RFC 9562 section 5.7), virtual keys."""

from __future__ import annotations

import hashlib
import re
import secrets
from random import getrandbits

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_record_id(now_ms: int) -> str:
    """A UUIDv7: sorts by the millisecond it was made in. Not a secret, so the fast generator will do."""
    return record_id_of(now_ms, getrandbits(74))


def record_id_of(now_ms: int, bits: int) -> str:
    """The same with these bits, of which 74 are used, in place of chance."""
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - twice as fast as an f-string here
        now_ms >> 16 & 0xFFFFFFFF,
        now_ms & 0xFFFF,
        bits & 0xFFF,
        0x8000 | bits >> 12 & 0x3FFF,
        bits >> 26,
    )


def made_at_ms(record_id: str) -> int | None:
    """The millisecond a record id was made in; None if the text is not a UUIDv7."""
    if _UUID7.fullmatch(record_id) is None:
        return None
    return int(record_id[:8] + record_id[9:13], 16)


def new_virtual_key(bytes_of_entropy: int = 16) -> str:
    """A virtual key in the contract's format: `sk-` and 22 URL-safe characters for 16 bytes."""
    return f"sk-{secrets.token_urlsafe(bytes_of_entropy)}"


def hash_key(key: str) -> str:
    """Lower-case hex SHA-256 of the whole plaintext key: what is stored, logged and shown instead of it."""
    return hashlib.sha256(key.encode()).hexdigest()


def abbreviate_key(key: str) -> str:
    """The public name of a key: `sk-...` and its last four characters, or `sk-...` for a short one."""
    return f"sk-...{key[-4:]}" if len(key) >= 16 else "sk-..."
