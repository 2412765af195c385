"""Word that something is not what it was: what travels to everyone who may have kept a copy of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class Change(msgspec.Struct, frozen=True, array_like=True):
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


class NumberedChange(msgspec.Struct, frozen=True, array_like=True):
    """A change as it was noted, with its number: the order in which changes were committed."""

    number: int
    change: Change


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What one process tells the others."""

    told_by: str
    """The process, so that it need not listen to itself."""
    changes: tuple[NumberedChange, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Word)


def encode_words(told_by: str, changes: Sequence[NumberedChange], *, most_bytes: int = 1 << 20) -> Iterator[bytes]:
    """These changes as JSON, in as few messages as there can be. One change that is too long for a message is left out:
    whoever needs it reads it."""
    message = _encoder.encode(Word(told_by, tuple(changes)))
    if len(message) <= most_bytes:
        yield message
    elif len(changes) > 1:
        middle = len(changes) // 2
        yield from encode_words(told_by, changes[:middle], most_bytes=most_bytes)
        yield from encode_words(told_by, changes[middle:], most_bytes=most_bytes)


def decode_word(message: bytes | str) -> Word | None:
    """What a message says; None for one that says nothing to this version."""
    try:
        return _decoder.decode(message)
    except msgspec.DecodeError:
        return None
