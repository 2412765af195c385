"""What the operator decided about keeping answers, as data."""

from __future__ import annotations

from typing import Literal

import msgspec

CacheScope = Literal["global", "team", "key", "end_user"]
"""Who shares answers: everybody, the keys of a team, the calls of a key, or those of a key for one end user."""


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """When questions in other words are as good as the same."""

    model: str
    """Public name of the model that turns words into vectors."""
    threshold: float
    """The least cosine of two vectors whose words are alike."""
    timeout_s: float = 1.0
    """The longest wait of a call for its vector and for what is near."""


class Caching(msgspec.Struct, frozen=True, kw_only=True):
    """Which answers are kept, and for how long."""

    operations: frozenset[str] = frozenset()
    """Operations whose answers are kept."""
    is_on_by_default: bool = True
    """False: only for calls that ask for it."""
    ttl_s: float = 86_400.0
    max_messages: int | None = 4
    """Longer conversations are neither looked for nor kept; None: no limit."""
    namespace: str = ""
    scope: CacheScope = "global"
    groups: tuple[frozenset[str], ...] = ()
    """Models that share answers."""
    is_single_flight: bool = False
    """Calls that are alike and come while the first is on its way wait for its answer."""
    max_answer_bytes: int = 1024 * 1024
    likeness: Likeness | None = None
    """None: only the same question gets the same answer."""


class CacheControl(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a caller wants; None: as configured."""

    skips_read: bool = False
    skips_write: bool = False
    ttl_s: float | None = None
    max_age_s: float | None = None
    """An older answer is none."""
    namespace: str = ""
    opts_in: bool | None = None


NO_CACHE_CONTROL = CacheControl()
