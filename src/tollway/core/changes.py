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
    "session",
]

SERVED: frozenset[ChangeKind] = frozenset({"model", "credential", "model_access_group", "setting"})
"""What the snapshot is made of: a change of these makes a new one."""


class Change(msgspec.Struct, frozen=True):
    """What was created, changed or deleted."""

    kind: ChangeKind
    id: str
    """For a key its hash, which need not exist any more; for a session what `session_name` makes of it."""


def session_name(spend_id: str, session_id: str) -> str:
    """One session of one key. Keys never share one, whatever their callers name it."""
    return f"{spend_id}:{session_id}"


def session_of(name: str) -> tuple[str, str]:
    """The key's spend id and the session's own id in such a name."""
    spend_id, _, session_id = name.partition(":")
    return spend_id, session_id
