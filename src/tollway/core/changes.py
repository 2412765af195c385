"""Word that something is not what it was: what travels to everyone who may have kept a copy of it."""

from __future__ import annotations

from typing import Literal

import msgspec

ChangeKind = Literal[
    "key",
    "user",
    "team",
    "organization",
    "project",
    "budget",
    "customer",
    "tag",
    "access_group",
    "model_access_group",
    "model",
    "credential",
    "setting",
]

SERVED: frozenset[ChangeKind] = frozenset({"model", "credential", "model_access_group", "setting"})
"""What the snapshot is made of: a change of these makes a new one."""


class Change(msgspec.Struct, frozen=True):
    """What was created, changed or deleted."""

    kind: ChangeKind
    id: str
    """For a key its hash, which need not exist any more."""
