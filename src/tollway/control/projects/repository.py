"""Every query of `/project/*`. Nothing commits here."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.budgets import BudgetRows
from tollway.control.kit.pagination import Page
from tollway.control.kit.rows import Rows
from tollway.db.keys import virtual_keys
from tollway.db.projects import projects
from tollway.db.teams import teams
from tollway.stores.sql.rows import Project, Team


class ProjectRepository:
    """Projects and what they belong to, through one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.projects = Rows(connection, projects, Project)
        self.teams = Rows(connection, teams, Team)
        self.budgets = BudgetRows(connection)

    async def find_team(self, team_id: str | None) -> Team | None:
        """The team a project belongs to."""
        return await self.teams.find(team_id) if team_id else None

    async def list_page(
        self, page: Page, *, team_ids: Collection[str] = (), organization_ids: Collection[str] = (), sees_all: bool
    ) -> tuple[list[Project], int]:
        """A page of the projects of these teams and organizations, newest first, and how many there are."""
        conditions: list[ColumnElement[bool]] = []
        if not sees_all:
            of_organizations = select(teams.c.team_id).where(teams.c.organization_id.in_(organization_ids))
            conditions.append(or_(projects.c.team_id.in_(team_ids), projects.c.team_id.in_(of_organizations)))
        return await self.projects.page(*conditions, page=page, order=[projects.c.created_at.desc()])

    async def delete(self, project_id: str) -> None:
        """Removes a project."""
        await self.projects.delete(projects.c.project_id == project_id)

    async def count_keys(self, project_id: str) -> int:
        """How many keys belong to a project."""
        query = select(func.count()).where(virtual_keys.c.project_id == project_id)
        return (await self._connection.execute(query)).scalar_one()
