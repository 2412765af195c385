"""Looking up what a single call names: end users, tags, access groups, and whether its session was stopped."""

from __future__ import annotations

from typing import Literal, Protocol

from tollway.core.principal import Entity

EntityKind = Literal["end_user", "tag", "model_access_group", "session"]
"""`session`: the stopped sessions of a key, asked for by its spend id."""


class EntityStore(Protocol):
    """Where they live."""

    async def find_entity(self, kind: EntityKind, id: str, *, default_budget_id: str | None = None) -> Entity | None:
        """The entity; None for a tag or group that nobody gave limits to, and for a key without stopped sessions.

        An end user is always found: one without a row has the limits of `default_budget_id`. Raises `StoreUnavailable`.
        """
        ...
