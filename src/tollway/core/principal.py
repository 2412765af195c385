"""Who is calling, and every limit that applies to them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

ScopeKind = Literal["api_key", "user", "team", "team_member", "organization", "end_user", "tag", "model_per_key"]


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One entity whose limits a call touches. `None` means no limit of that sort.

    Live counters are kept by the `CounterStore` under `key`; the limits travel with the principal, so that a changed
    limit applies as soon as the principal is loaded anew, and the counters go on.
    """

    kind: ScopeKind
    id: str
    label: str = ""
    """How messages call it: an alias, else the kind."""
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budget_nanos: int | None = None
    budget_duration: str | None = None
    """Reset period (`30d`); None: the budget never resets."""

    @property
    def key(self) -> tuple[str, str]:
        """Name of the counters."""
        return (self.kind, self.id)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller, loaded once and cached by key hash."""

    key_hash: str
    key_alias: str | None = None
    key_name: str = ""
    """Abbreviated key (`sk-...abcd`)."""
    is_admin: bool = False
    """Holder of the master key: limits and model lists do not apply."""
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    models: frozenset[str] = frozenset()
    """Public names and patterns that may be called; empty: all."""
    aliases: dict[str, str] = {}
    """Client's model name to the name to use instead."""
    allowed_routes: tuple[str, ...] = ()
    """Paths, prefixes (`/v1/*`) and route groups; empty: all."""
    is_blocked: bool = False
    expires_at: float | None = None
    """Epoch seconds."""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    permissions: dict[str, Any] = {}
    scopes: tuple[Scope, ...] = ()
    """Every entity whose limits apply to all calls of this key; the key itself comes first."""
    model_scopes: dict[str, Scope] = {}
    """Per-model limits of this key, by public model name."""
