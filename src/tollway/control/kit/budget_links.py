"""What links to a budget: counted, cleared, and taken along when the budget changes. Nothing commits here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.budgets import BUDGET_LINKS, BUDGET_TABLE, BudgetRows
from tollway.control.kit.context import Unit
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import carry_spends
from tollway.core.principal import Scope
from tollway.db.access_groups import model_access_group_budgets
from tollway.db.customers import customers
from tollway.db.keys import virtual_keys
from tollway.db.organizations import organization_members, organizations
from tollway.db.projects import projects
from tollway.db.tags import tags
from tollway.db.teams import team_members, teams
from tollway.stores.sql.entities import customer_scope, group_scope, tag_scope
from tollway.stores.sql.principals import (
    key_scope,
    member_scope,
    organization_member_scope,
    organization_scope,
    project_scope,
)
from tollway.stores.sql.rows import Budget, Organization, OrganizationMember, Project, TeamMember
from tollway.stores.sql.virtual_key import VirtualKey

ScopeWith = Callable[[Budget | None], Scope]
"""The scope of something that links to a budget, with that budget."""


class BudgetLinks:
    """Everything that links to one budget, through one connection."""

    def __init__(self, connection: AsyncConnection, budget_id: str) -> None:
        self._connection = connection
        self._budget_id = budget_id

    async def count(self) -> dict[str, int]:
        """How many rows of each table; tables without any are left out."""
        counts = {}
        for column in BUDGET_LINKS:
            query = select(func.count()).where(column == self._budget_id)
            counts[column.table.name] = (await self._connection.execute(query)).scalar_one()
        return {table: count for table, count in counts.items() if count}

    async def clear(self) -> None:
        """Leaves all of them without a budget."""
        for column in BUDGET_LINKS:
            is_linked = column == self._budget_id
            if column.nullable:
                await self._connection.execute(update(column.table).where(is_linked).values({column: None}))
            else:
                await self._connection.execute(delete(column.table).where(is_linked))

    async def scopes(self) -> list[ScopeWith]:
        """What the budget limits."""
        keys = await self._rows(Rows(self._connection, virtual_keys, VirtualKey))
        owners = await self._rows(Rows(self._connection, organizations, Organization))
        belongings = await self._rows(Rows(self._connection, organization_members, OrganizationMember))
        parts = await self._rows(Rows(self._connection, projects, Project))
        by_default = select(teams.c.team_id).where(teams.c.member_budget_id == self._budget_id)
        members = await Rows(self._connection, team_members, TeamMember).all(
            (team_members.c.budget_id == self._budget_id)
            | (team_members.c.budget_id.is_(None) & team_members.c.team_id.in_(by_default))
        )
        return [
            *(partial(key_scope, key) for key in keys),
            *(partial(organization_scope, owner) for owner in owners),
            *(partial(organization_member_scope, one) for one in belongings),
            *(partial(project_scope, part) for part in parts),
            *(partial(member_scope, member) for member in members),
            *await self._named_scopes(),
        ]

    async def _rows(self, rows: Rows[Any]) -> list[Any]:
        return await rows.all(rows.table.c.budget_id == self._budget_id)

    async def _named_scopes(self) -> list[ScopeWith]:
        kinds: Sequence[tuple[Callable[[str, Budget | None], Scope], ColumnElement[str], ColumnElement[Any]]] = (
            (customer_scope, customers.c.customer_id, customers.c.budget_id),
            (tag_scope, tags.c.name, tags.c.budget_id),
            (group_scope, model_access_group_budgets.c.name, model_access_group_budgets.c.budget_id),
        )
        return [
            partial(make, name)
            for make, column, link in kinds
            for (name,) in await self._connection.execute(select(column).where(link == self._budget_id))
        ]


async def replace_budget(unit: Unit, before: Budget, after: Budget) -> None:
    """Changes a budget for everything that links to it. What was spent goes along into windows of another length."""
    await BudgetRows(unit.connection).replace(after)
    unit.audit("updated", BUDGET_TABLE, after.budget_id, before=before, after=after)
    unit.tell("budget", after.budget_id)
    await carry_linked(unit, before, after)


async def carry_linked(unit: Unit, before: Budget, after: Budget | None) -> None:
    """After the commit, takes along what everything linked to `before` has spent, if its windows get another length."""
    if before.budget_duration == (after.budget_duration if after else None):
        return
    linked = await BudgetLinks(unit.connection, before.budget_id).scopes()
    changes = [(scope_with(before), scope_with(after)) for scope_with in linked]
    unit.afterwards.append(partial(carry_spends, unit.context, changes))
