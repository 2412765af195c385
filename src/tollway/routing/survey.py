"""Who of a model group can be asked, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from tollway.core.snapshot import Deployment, Operation

Why = Literal["operation", "region", "context", "tags", "cooldown", "probe"]
"""Why a deployment is not asked: it does not offer the operation, it is in another region, its context window
is too small, it is for calls with other tags, it is set aside, its last probe failed."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call asks of a deployment."""

    operation: Operation
    can_serve: Callable[[Deployment], bool]
    """Whether a deployment offers the operation."""
    tags: tuple[str, ...] = ()
    region: str = ""
    """`eu` or `us`; empty: any."""
    prompt_bytes: int = 0
    is_explained: bool = False
    """The caller wants to know about every deployment of the group, and not only about those that are looked at."""
    affinity: str = ""
    """What it has in common with calls that are to go where it goes; empty: nothing."""


class Skipped(msgspec.Struct, frozen=True):
    """A deployment that cannot be asked."""

    deployment: Deployment
    why: Why
    detail: str
    seconds: float = 0.0
    """Until it can be, where that is known."""


class Survey(msgspec.Struct, frozen=True):
    """A group as a call sees it."""

    candidates: tuple[Deployment, ...]
    skipped: tuple[Skipped, ...]
