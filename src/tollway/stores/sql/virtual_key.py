"""A virtual key as it is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tollway.core.windows import expires_at
from tollway.stores.sql.limited import LimitedRow


class VirtualKey(LimitedRow, frozen=True, kw_only=True):
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
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}
    auto_rotate: bool = False
    rotation_interval: str | None = None
    rotation_count: int = 0
    last_rotated_at: datetime | None = None
    settings_updated_at: datetime | None = None
    deleted_at: datetime | None = None
    deleted_by: str | None = None

    @property
    def rotates_at(self) -> datetime | None:
        """When it is to get a new value by itself; None: never."""
        if not (self.auto_rotate and self.rotation_interval):
            return None
        since = self.last_rotated_at or self.created_at
        return datetime.fromtimestamp(expires_at(self.rotation_interval, since.timestamp()), UTC)
