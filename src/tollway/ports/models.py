"""Models, credentials and settings that came over the API, as they are stored: secrets in them are sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import msgspec


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is stored."""

    model_id: str
    model_name: str
    """As stored; a team's own model has a name made for it here, and its public one in `info`."""
    params: dict[str, Any] = {}
    """`litellm_params`: references to the environment as written."""
    info: dict[str, Any] = {}
    """`model_info`."""
    team_id: str | None = None
    """The only team that may call it; None: no matter who."""
    is_blocked: bool = False
    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None


class StoredCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it is stored."""

    credential_name: str
    display_name: str | None = None
    info: dict[str, Any] = {}
    credential_values: dict[str, Any] = {}
    """Parameters of a connection: references to the environment as written."""
    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None


class StoredSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as it is stored."""

    section: str
    """`general_settings`, `environment_variables`, …"""
    name: str
    value: Any
    """As in a file: references to the environment as written."""


class Stored(msgspec.Struct, frozen=True):
    """Everything of all kinds, at one moment."""

    models: tuple[StoredModel, ...] = ()
    credentials: tuple[StoredCredential, ...] = ()
    settings: tuple[StoredSetting, ...] = ()


class ModelStore(Protocol):
    """Where they are stored."""

    async def load(self) -> Stored:
        """All of it. Raises `StoreUnavailable`."""
        ...
