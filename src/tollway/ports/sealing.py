"""Encrypting what is kept, under a key that all processes of a gateway have."""

from __future__ import annotations

from typing import Protocol


class Seal(Protocol):
    """Encrypts under a key that all processes have."""

    async def ready(self) -> None:
        """To be called first. Raises `Misconfigured` without a key."""
        ...

    def seal_bytes(self, data: bytes, *place: str) -> bytes:
        """What only `open_bytes` for the same place opens."""
        ...

    def open_bytes(self, data: bytes, *place: str) -> bytes | None:
        """What was sealed; None if it was not, or elsewhere."""
        ...
