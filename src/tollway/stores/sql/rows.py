"""Rows of everything that has limits besides keys, and the scopes they make."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tollway.core.principal import Role
from tollway.stores.sql.limited import LimitedRow


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """Who made it and who touched it last."""

    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None


class Budget(LimitedRow, frozen=True, kw_only=True):
    """One row of `budgets`: limits that others link to."""

    budget_id: str
    tpd_limit: int | None = None
    model_max_budget: dict[str, Any] = {}
    allowed_models: list[str] = []
    temp_budget_increase_nanos: int | None = None
    temp_budget_expiry: datetime | None = None


class User(LimitedRow, frozen=True, kw_only=True):
    """One row of `users`. The password's hash is not part of it: whoever checks passwords reads that column."""

    user_id: str
    user_alias: str | None = None
    user_email: str | None = None
    email_key: str | None = None
    user_role: str | None = None
    sso_user_id: str | None = None
    models: list[str] = []
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}

    @property
    def role(self) -> Role:
        """The role as the role matrix knows it; the least where the row holds none of ours."""
        try:
            return Role(self.user_role or Role.INTERNAL_USER)
        except ValueError:
            return Role.INTERNAL_USER_VIEWER


class Team(LimitedRow, frozen=True, kw_only=True):
    """One row of `teams`."""

    team_id: str
    team_alias: str | None = None
    organization_id: str | None = None
    models: list[str] = []
    model_aliases: dict[str, str] = {}
    is_blocked: bool = False
    member_permissions: list[str] = []
    member_budget_id: str | None = None
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}


class TeamMember(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `team_members`."""

    team_id: str
    user_id: str
    role: str = "user"
    """`admin` or `user`."""
    budget_id: str | None = None
    created_at: datetime


class Organization(Tracked, frozen=True, kw_only=True):
    """One row of `organizations`."""

    organization_id: str
    organization_alias: str | None = None
    budget_id: str | None = None
    models: list[str] = []
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}


class OrganizationMember(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `organization_members`."""

    organization_id: str
    user_id: str
    role: str = "internal_user"
    budget_id: str | None = None
    created_at: datetime
    updated_at: datetime


class Project(Tracked, frozen=True, kw_only=True):
    """One row of `projects`."""

    project_id: str
    project_alias: str | None = None
    description: str | None = None
    team_id: str | None = None
    budget_id: str | None = None
    models: list[str] = []
    is_blocked: bool = False
    metadata: dict[str, Any] = {}
    options: dict[str, Any] = {}


class Customer(Tracked, frozen=True, kw_only=True):
    """One row of `customers`."""

    customer_id: str
    alias: str | None = None
    is_blocked: bool = False
    allowed_model_region: str | None = None
    default_model: str | None = None
    models: list[str] = []
    budget_id: str | None = None
    options: dict[str, Any] = {}


class Tag(Tracked, frozen=True, kw_only=True):
    """One row of `tags`."""

    name: str
    description: str | None = None
    models: list[str] = []
    budget_id: str | None = None


class AccessGroup(Tracked, frozen=True, kw_only=True):
    """One row of `access_groups`."""

    access_group_id: str
    name: str
    description: str | None = None
    models: list[str] = []
    mcp_server_ids: list[str] = []
    agent_ids: list[str] = []
