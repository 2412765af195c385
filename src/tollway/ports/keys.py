"""Looking up virtual keys."""

from __future__ import annotations

from typing import Protocol

from tollway.core.principal import Principal


class KeyStore(Protocol):
    """Where virtual keys live."""

    async def find(self, key_hash: str) -> Principal | None:
        """The principal behind a key hash; None if there is no such key.

        Raises `StoreUnavailable` when the database cannot answer, so that nobody takes an outage for a wrong key.
        """
        ...
