"""The many ways in which a database says that it is away, or that a value is not for it. Imports no SQLAlchemy."""

from __future__ import annotations

from tollway.core.errors import StoreUnavailable

_AWAY = ("08", "25006", "25P03", "28", "3D000", "40", "53", "55P03", "57", "58", "XX")
"""Beginnings of Postgres' error codes: connection broken, read-only or idle too long, not let in, no such database,
deadlock, out of resources, lock or statement timed out, shutting down or starting up, input/output, damage."""

_REFUSED = "22"
"""Values that a type cannot hold: NUL in a text, a number too large."""


def unavailable(error: BaseException) -> StoreUnavailable:
    """What callers are told. The driver's words may contain addresses: they go to the log, with the cause."""
    return StoreUnavailable(
        f"The database cannot be reached right now ({type(error).__name__}). Try again shortly.",
        headers=((b"retry-after", b"5"),),
    )


def is_outage(code: str) -> bool:
    """Whether an error code of Postgres means that the same may succeed later."""
    return code.startswith(_AWAY)


def is_refusal(code: str) -> bool:
    """Whether an error code of Postgres means that it will never store this value."""
    return code.startswith(_REFUSED)
