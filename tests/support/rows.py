"""Users, teams and what else calls belong to, put into the database as they would be stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.control.kit.rows import Rows
from tollway.db.budgets import budgets
from tollway.db.customers import customers
from tollway.db.engine import writing
from tollway.db.keys import virtual_keys
from tollway.db.organizations import organization_members, organizations
from tollway.db.projects import projects
from tollway.db.tags import tags
from tollway.db.teams import team_members, teams
from tollway.db.users import users
from tollway.stores.sql.rows import (
    Budget,
    Customer,
    Organization,
    OrganizationMember,
    Project,
    Tag,
    Team,
    TeamMember,
    User,
)
from tollway.stores.sql.virtual_key import VirtualKey

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

_TABLES: dict[type[msgspec.Struct], Table] = {
    Budget: budgets,
    Customer: customers,
    Organization: organizations,
    Project: projects,
    Tag: tags,
    User: users,
    Team: teams,
    VirtualKey: virtual_keys,
    TeamMember: team_members,
    OrganizationMember: organization_members,
}


async def store(engine: AsyncEngine, kind: Callable[..., msgspec.Struct], **fields: Any) -> None:
    """Adds a row, made a while ago."""
    times = {
        name: _LONG_AGO
        for name in ("created_at", "updated_at")
        if name in kind.__struct_fields__  # type: ignore[attr-defined]  # a struct's class is what makes it
    }
    row = kind(**times, **fields)
    async with writing(engine) as connection:
        await Rows(connection, _TABLES[type(row)], type(row)).insert(row)
