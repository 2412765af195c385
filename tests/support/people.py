"""A team in an organization, and everybody who is something to it, each with a key of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.management import Management, open_management

from tollway.control.services import TeamPolicy
from tollway.db.engine import reading, writing
from tollway.db.keys import virtual_keys
from tollway.db.organizations import organization_members, organizations
from tollway.db.teams import team_members, teams
from tollway.db.users import users

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MADE = {"created_at": NOW, "updated_at": NOW}


@dataclass
class People:
    """A team in an organization, everybody with a key of their own.

    `lead` administers the team `team`, `member` and `viewer` (a mere looker) are in it, `boss` administers its
    organization `org`, `root` is a proxy admin and `auditor` one who only looks; `stranger` and `rich` are in nothing.
    """

    management: Management
    keys: dict[str, str] = field(default_factory=dict)

    async def add(self, table: Any, **values: Any) -> None:
        async with writing(self.management.services.engine) as connection:
            await connection.execute(insert(table).values(**values))

    async def add_user(self, user_id: str, role: str = "internal_user", **fields: Any) -> None:
        known = {"models": [], "metadata": {}, "options": {}, **MADE}
        await self.add(users, user_id=user_id, user_role=role, **(known | fields))
        self.keys[user_id] = (await self.management.new_key(user_id=user_id))["key"]

    async def ask(self, caller: str, path: str, **body: Any) -> Any:
        return await self.management.post(path, body, by=self.keys[caller])

    async def look(self, caller: str, path: str, **query: Any) -> Any:
        return await self.management.get(path, by=self.keys[caller], **query)


_WORLD = (organizations, organization_members, teams, team_members, users, virtual_keys)
_made: dict[str, tuple[dict[Table, list[dict[str, Any]]], dict[str, str]]] = {}
"""By kind of database: the rows that they come to, and the keys. Made through the API once, and only written after."""


@asynccontextmanager
async def open_people(
    folder: Path, database: str = "sqlite", *, team_policy: TeamPolicy | None = None
) -> AsyncIterator[People]:
    """A management plane with all of them."""
    async with open_management(folder, database, team_policy=team_policy) as management:
        found = People(management)
        if database not in _made:
            await _make(found)
            _made[database] = (await _rows(management.services.engine), dict(found.keys))
        else:
            rows, keys = _made[database]
            found.keys.update(keys)
            async with writing(management.services.engine) as connection:
                for table, values in rows.items():
                    await connection.execute(insert(table), values)
        yield found


async def _rows(engine: AsyncEngine) -> dict[Table, list[dict[str, Any]]]:
    async with reading(engine) as connection:
        return {table: [dict(row) for row in (await connection.execute(select(table))).mappings()] for table in _WORLD}


async def _make(found: People) -> None:
    blank: dict[str, Any] = {"models": [], "metadata": {}, "options": {}, **MADE}
    await found.add(organizations, organization_id="org", **blank)
    team = blank | {"model_aliases": {}, "member_permissions": ["/key/generate", "/key/info"]}
    await found.add(teams, team_id="team", organization_id="org", **team)
    await found.add(teams, team_id="other", **(team | {"member_permissions": []}))
    for user_id in ("lead", "member", "boss", "stranger"):
        await found.add_user(user_id)
    await found.add_user("viewer", "internal_user_viewer")
    await found.add_user("auditor", "proxy_admin_viewer")
    await found.add_user("root", "proxy_admin")
    await found.add_user("rich", max_budget_nanos=50 * 10**9)
    for user_id, role in (("lead", "admin"), ("member", "user"), ("viewer", "user")):
        await found.add(team_members, team_id="team", user_id=user_id, role=role, created_at=NOW)
    member = {"organization_id": "org", "user_id": "boss", "role": "org_admin", **MADE}
    await found.add(organization_members, **member)
