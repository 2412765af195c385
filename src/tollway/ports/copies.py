"""Copies of principals that processes share, for when the database is away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tollway.core.changes import NumberedChange
from tollway.core.principal import Principal


class PrincipalCopy(msgspec.Struct, frozen=True, array_like=True):
    """A principal as some process loaded it."""

    principal: Principal
    loaded_at: float
    """Epoch seconds."""
    as_of: int
    """The newest change that was committed before it was loaded."""


class PrincipalCopies(Protocol):
    """Where they are. Nothing here raises: without copies a call is where it would be without this."""

    def as_of(self) -> int:
        """The newest change this process knows of; to be asked before a principal is loaded."""
        ...

    def keep(self, key_hash: str, copy: PrincipalCopy) -> None:
        """Keeps a copy soon, if it can."""
        ...

    def forget(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        """Copies made before these changes are good no more. `is_news`: no other process may have said so."""
        ...

    async def find(self, key_hash: str) -> PrincipalCopy | None:
        """A copy that no change has made out of date; None where there is none or nobody can tell. Soon."""
        ...
