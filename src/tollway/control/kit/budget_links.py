"""Who links to which budget, and changing a budget together with everything that links to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.budgets import BudgetRows, amend_budget, budget_changes, new_budget
from tollway.control.kit.context import Unit
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import carry_spends
from tollway.core.errors import InvalidRequest
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

BUDGET_TABLE = "LiteLLM_BudgetTable"

_LINKS: Mapping[str, Column[Any]] = {
    "keys": virtual_keys.c.budget_id,
    "end_users": customers.c.budget_id,
    "tags": tags.c.budget_id,
    "organization": organizations.c.budget_id,
    "organization_membership": organization_members.c.budget_id,
    "projects": projects.c.budget_id,
    "team_membership": team_members.c.budget_id,
    "team_member_defaults": teams.c.member_budget_id,
}
"""Columns that name a budget, under the contract's words for what they belong to."""

_GROUP_LINK = model_access_group_budgets.c.budget_id

ScopeWith = Callable[[Budget | None], Scope]
"""The scope of something that links to a budget, with that budget."""


async def count_links(connection: AsyncConnection, budget_id: str) -> dict[str, int]:
    """How many of each kind link to a budget; kinds without any are left out."""
    links = {**_LINKS, "model_access_groups": _GROUP_LINK}
    counts = {
        kind: (await connection.execute(select(func.count()).where(column == budget_id))).scalar_one()
        for kind, column in links.items()
    }
    return {kind: count for kind, count in counts.items() if count}


async def clear_links(connection: AsyncConnection, budget_id: str) -> None:
    """Leaves whatever linked to a budget without one."""
    for column in _LINKS.values():
        await connection.execute(update(column.table).where(column == budget_id).values({column: None}))
    await connection.execute(
        delete(model_access_group_budgets).where(model_access_group_budgets.c.budget_id == budget_id)
    )


async def replace_budget(unit: Unit, before: Budget, after: Budget) -> None:
    """Changes a budget for everything that links to it. What was spent goes along into windows of another length."""
    await BudgetRows(unit.connection).replace(after)
    unit.audit("updated", BUDGET_TABLE, after.budget_id, before=before, after=after)
    unit.tell("budget", after.budget_id)
    if before.budget_duration != after.budget_duration:
        await carry_linked(unit, before, after)


async def carry_linked(unit: Unit, before: Budget, after: Budget | None) -> None:
    """After the commit, takes along what everything linked to a budget has spent in its window."""
    linked = await _linked_scopes(unit.connection, before.budget_id)
    changes = [(scope_with(before), scope_with(after)) for scope_with in linked]
    unit.afterwards.append(partial(carry_spends, unit.context, changes))


async def settle_budget(unit: Unit, linked: str | None, sent: Mapping[str, Any]) -> Budget | None:
    """The budget that something links to after a request: the one named by `budget_id`, else its own, changed by the
    budget fields sent next to it.

    A budget that others link to, too, changes for all of them if a proxy admin says so; anybody else gets a copy.
    Raises `NotFound`, and `InvalidRequest` for both at once.
    """
    fields = budget_changes(sent)
    rows = BudgetRows(unit.connection)
    if sent.get("budget_id") is not None:
        if any(value is not None for value in fields.values()):
            raise InvalidRequest(
                f"budget_id names a budget with its own limits: leave out {', '.join(sorted(fields))}, or budget_id.",
                param="budget_id",
                type="bad_request_error",
            )
        return await rows.named(sent["budget_id"])
    current = await rows.find(linked) if linked and "budget_id" not in sent else None
    if not fields:
        return current
    if current is None:
        return await add_budget(unit, fields)
    if unit.context.actor.is_admin or not await _is_shared(unit, current):
        amended = amend_budget(unit.context, current, fields)
        await replace_budget(unit, current, amended)
        return amended
    new = new_budget(unit.context, {})
    copied = msgspec.structs.replace(
        amend_budget(unit.context, current, fields),
        budget_id=new.budget_id,
        created_at=new.created_at,
        created_by=new.created_by,
    )
    return await insert_budget(unit, copied)


async def add_budget(unit: Unit, fields: Mapping[str, Any], *, budget_id: str | None = None) -> Budget:
    """Makes a budget with these fields. Raises `InvalidRequest`."""
    return await insert_budget(unit, new_budget(unit.context, fields, budget_id=budget_id))


async def insert_budget(unit: Unit, budget: Budget) -> Budget:
    """Adds a budget."""
    await BudgetRows(unit.connection).insert(budget)
    unit.audit("created", BUDGET_TABLE, budget.budget_id, after=budget)
    unit.tell("budget", budget.budget_id)
    return budget


async def _is_shared(unit: Unit, budget: Budget) -> bool:
    if budget.budget_id == unit.context.services.settings.end_user_budget_id:
        return True
    return sum((await count_links(unit.connection, budget.budget_id)).values()) > 1


async def _linked_scopes(connection: AsyncConnection, budget_id: str) -> list[ScopeWith]:
    keys = await Rows(connection, virtual_keys, VirtualKey).all(virtual_keys.c.budget_id == budget_id)
    owners = await Rows(connection, organizations, Organization).all(organizations.c.budget_id == budget_id)
    belongings = await Rows(connection, organization_members, OrganizationMember).all(
        organization_members.c.budget_id == budget_id
    )
    parts = await Rows(connection, projects, Project).all(projects.c.budget_id == budget_id)
    by_default = select(teams.c.team_id).where(teams.c.member_budget_id == budget_id)
    members = await Rows(connection, team_members, TeamMember).all(
        (team_members.c.budget_id == budget_id)
        | (team_members.c.budget_id.is_(None) & team_members.c.team_id.in_(by_default))
    )
    named: Sequence[tuple[Callable[[str, Budget | None], Scope], ColumnElement[str], ColumnElement[Any]]] = (
        (customer_scope, customers.c.customer_id, customers.c.budget_id),
        (tag_scope, tags.c.name, tags.c.budget_id),
        (group_scope, model_access_group_budgets.c.name, _GROUP_LINK),
    )
    by_name = [
        partial(make, name)
        for make, column, link in named
        for (name,) in await connection.execute(select(column).where(link == budget_id))
    ]
    return [
        *(partial(key_scope, key) for key in keys),
        *(partial(organization_scope, owner) for owner in owners),
        *(partial(organization_member_scope, one) for one in belongings),
        *(partial(project_scope, part) for part in parts),
        *(partial(member_scope, member) for member in members),
        *by_name,
    ]
