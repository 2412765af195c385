"""Answers that are kept, so that a conversation can go on from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One answer as the database has it. Moments are microseconds since the epoch."""

    id: str
    owner: str
    """Who may use it."""
    previous: str = ""
    """The answer that it went on from; empty: it began a conversation."""
    deployment_id: str
    upstream_id: str = ""
    """What the provider calls it."""
    status: str
    created_at: int
    expires_at: int
    content: bytes
    """Sealed."""


class ConversationStore(Protocol):
    """Where answers are kept. Every method raises `StoreUnavailable` while that cannot be reached."""

    async def add(self, responses: Sequence[StoredResponse]) -> None:
        """Keeps all of them, or none. One that is kept already stays as it is."""
        ...

    async def chain(self, id: str, owner: str | None, *, now: int, longest: int) -> list[StoredResponse]:
        """An answer and those before it, newest first; empty if there is none of that owner (None: of anybody).

        It ends early where one is no longer kept.
        """
        ...

    async def delete(self, id: str, owner: str | None, *, now: int) -> bool:
        """Whether there was such an answer."""
        ...
