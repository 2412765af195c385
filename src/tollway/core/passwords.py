"""Passwords as they are stored: scrypt with a salt of their own, and the cost written next to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_COST, _BLOCK, _LANES = 2**14, 8, 5
_SALT_BYTES = 16
_MEMORY_BYTES = 64 * 1024 * 1024


def hash_password(password: str) -> str:
    """What to store instead of a password. Takes a tenth of a second and 16 MiB on purpose: not for an event loop."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _derive(password, salt, _COST, _BLOCK, _LANES)
    return f"scrypt${_COST}${_BLOCK}${_LANES}${_text(salt)}${_text(digest)}"


def is_password(password: str, stored: str) -> bool:
    """Whether this is the password behind what is stored. As slow as `hash_password`."""
    try:
        name, cost, block, lanes, salt, digest = stored.split("$")
        if name != "scrypt":
            return False
        derived = _derive(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
        return hmac.compare_digest(derived, base64.b64decode(digest))
    except ValueError:  # not of ours: it opens nothing
        return False


def _derive(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
