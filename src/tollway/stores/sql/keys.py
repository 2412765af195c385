"""Virtual keys in a database: looked up by hash when the data plane meets one it does not know.

A row becomes a `VirtualKey` here, and a `Principal` where somebody calls with it. Writing keys is `control.keys`' part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.core.principal import Principal, Scope
from tollway.db.engine import reading
from tollway.db.keys import deleted_keys, retired_key_hashes, virtual_keys


class VirtualKey(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `virtual_keys`, or of `deleted_keys` with who deleted it and when."""

    key_hash: str
    spend_id: str
    """The hash that spend and limits are counted under; the key's first one."""
    key_name: str | None = None
    key_alias: str | None = None
    key_type: str | None = "default"
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    budget_id: str | None = None
    expires_at: datetime | None = None
    is_blocked: bool | None = None
    models: list[str] = []
    aliases: dict[str, str] = {}
    allowed_routes: list[str] = []
    permissions: dict[str, Any] = {}
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    parallel_limit: int | None = None
    max_budget_nanos: int | None = None
    soft_budget_nanos: int | None = None
    budget_duration: str | None = None
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}
    auto_rotate: bool = False
    rotation_interval: str | None = None
    rotation_count: int = 0
    last_rotated_at: datetime | None = None
    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None
    settings_updated_at: datetime | None = None
    deleted_at: datetime | None = None
    deleted_by: str | None = None

    @property
    def scope(self) -> Scope:
        """The key's own limits, and the name of their counters."""
        return Scope(
            kind="api_key",
            id=self.spend_id,
            label=self.key_alias or "key",
            rpm=self.rpm_limit,
            tpm=self.tpm_limit,
            parallel=self.parallel_limit,
            budget_nanos=self.max_budget_nanos,
            budget_duration=self.budget_duration,
        )


def key_from_row(row: Row[Any]) -> VirtualKey:
    """The key in a row of either table."""
    values = row._mapping
    return VirtualKey(**{name: values[name] for name in VirtualKey.__struct_fields__ if name in values})


def principal_of(key: VirtualKey) -> Principal:
    """The caller who holds this key."""
    return Principal(
        key_hash=key.key_hash,
        key_alias=key.key_alias,
        key_name=key.key_name or "",
        user_id=key.user_id,
        team_id=key.team_id,
        organization_id=key.organization_id,
        models=frozenset(key.models),
        aliases=key.aliases,
        allowed_routes=tuple(key.allowed_routes),
        is_blocked=bool(key.is_blocked),
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
        tags=tuple(_texts(key.metadata.get("tags"))),
        metadata=key.metadata,
        permissions=key.permissions,
        scopes=(key.scope,),
        model_scopes=_model_scopes(key),
    )


def _model_scopes(key: VirtualKey) -> dict[str, Scope]:
    requests = _limits(key.metadata.get("model_rpm_limit"))
    tokens = _limits(key.metadata.get("model_tpm_limit"))
    return {
        model: Scope(
            kind="model_per_key",
            id=f"{key.spend_id}:{model}",
            label=model,
            rpm=requests.get(model),
            tpm=tokens.get(model),
        )
        for model in {**requests, **tokens}
    }


def _limits(value: object) -> Mapping[str, int]:
    # Metadata is the caller's own: a reserved name may hold anything there.
    if not isinstance(value, dict):
        return {}
    return {model: limit for model, limit in value.items() if isinstance(limit, int) and not isinstance(limit, bool)}


def _texts(value: object) -> Iterable[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else ()


class SqlKeyStore:
    """`ports.keys.KeyStore` on SQLite or Postgres. Every method raises `StoreUnavailable` in an outage."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        """`clock`: epoch seconds; decides whether a regenerated key's old value still works."""
        self._engine = engine
        self._clock = clock

    async def find(self, key_hash: str) -> Principal | None:
        """The principal behind a key hash; None if there is no such key."""
        query = select(virtual_keys).where(_opens_with(key_hash, datetime.fromtimestamp(self._clock(), UTC)))
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            key = key_from_row(row)
            if key.key_hash == key_hash:
                return principal_of(key)
            # An earlier value of a regenerated key: the same principal, for the time it was given.
            last = select(retired_key_hashes.c.works_until).where(retired_key_hashes.c.key_hash == key_hash)
            works_until = (await connection.execute(last)).scalar_one()
        expires_at = min(key.expires_at or works_until, works_until)
        return principal_of(msgspec.structs.replace(key, expires_at=expires_at))

    async def name_keys(self, hashes: Sequence[str]) -> dict[str, VirtualKey]:
        """Keys by hash, deleted ones included; unknown hashes are left out."""
        found: dict[str, VirtualKey] = {}
        async with reading(self._engine) as connection:
            for table in (deleted_keys, virtual_keys):  # the living win
                rows = await connection.execute(select(table).where(table.c.key_hash.in_(hashes)))
                found.update((key.key_hash, key) for key in map(key_from_row, rows))
        return found

    async def find_hashes(self, key_hash: str) -> list[str]:
        """All hashes of a key that was regenerated, the given one first; only the given one of any other key."""
        tables = (virtual_keys, retired_key_hashes, deleted_keys)
        async with reading(self._engine) as connection:
            owners = [select(table.c.spend_id).where(table.c.key_hash == key_hash) for table in tables]
            spend_ids = {spend_id for query in owners for (spend_id,) in await connection.execute(query)}
            kin = [select(table.c.key_hash).where(table.c.spend_id.in_(spend_ids)) for table in tables]
            hashes = {found for query in kin for (found,) in await connection.execute(query)} if spend_ids else set()
        return [key_hash, *sorted(hashes - {key_hash})]


def _opens_with(key_hash: str, now: datetime) -> ColumnElement[bool]:
    # One statement for both ways in, so that an unknown key costs one indexed read.
    still_works = select(retired_key_hashes.c.spend_id).where(
        retired_key_hashes.c.key_hash == key_hash, retired_key_hashes.c.works_until > now
    )
    return or_(virtual_keys.c.key_hash == key_hash, virtual_keys.c.spend_id.in_(still_works))
