"""Budget rows that others link to: made along with a customer, a member, a tag, …, or named by `budget_id`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import exists, not_, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.body import Body, Dollars, Name
from tollway.control.kit.context import Context
from tollway.control.kit.limits import LIMIT_FIELDS, check_limits, dollars, limit_values, render_limits
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import resets_at
from tollway.core.errors import NotFound
from tollway.core.money import nanos_from_dollars
from tollway.db.budgets import budgets
from tollway.db.tables import metadata
from tollway.stores.sql.rows import Budget

_DOCUMENTS = {"model_max_budget": dict, "allowed_models": list}

BUDGET_FIELDS = (
    *LIMIT_FIELDS,
    *("tpd_limit", "model_max_budget", "allowed_models", "temp_budget_increase", "temp_budget_expiry"),
)
"""Fields of the wire that belong to a budget."""


class BudgetFields(Body):
    """What can be said about a budget, on its own or inside what it belongs to."""

    max_budget: Dollars = None
    """Hard limit in dollars."""
    soft_budget: Dollars = None
    """Told of when it is reached; refuses nothing."""
    budget_duration: Name = None
    """Reset period: `1h`, `1d`, `7d`, `30d`, `1mo`."""
    max_parallel_requests: int | None = None
    tpm_limit: int | None = None
    rpm_limit: int | None = None
    tpd_limit: int | None = None
    model_max_budget: dict[str, Any] | None = None
    """Budgets of single models: `{"gpt-4o": {"max_budget": 5, "budget_duration": "1d"}}`."""


class BudgetRows(Rows[Budget]):
    """The table `budgets`."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, budgets, Budget)

    async def named(self, budget_id: str) -> Budget:
        """The budget with this id. Raises `NotFound`."""
        budget = await self.find(budget_id)
        if budget is None:
            raise NotFound(
                f"Budget not found, passed budget_id={budget_id[:100]}. Make it with POST /budget/new.",
                param="budget_id",
                type="not_found_error",
            )
        return budget

    async def by_id(self, ids: Iterable[str | None]) -> dict[str, Budget]:
        """Budgets by id; unknown ids are left out."""
        wanted = {one for one in ids if one}
        if not wanted:
            return {}
        return {one.budget_id: one for one in await self.all(budgets.c.budget_id.in_(wanted))}

    async def delete_unlinked(self, ids: Iterable[str | None]) -> None:
        """Removes those of these budgets that nothing links to any more: what they belonged to is gone."""
        wanted = {one for one in ids if one}
        if not wanted:
            return
        linked = [exists().where(column == budgets.c.budget_id) for column in _LINKS]
        await self.delete(budgets.c.budget_id.in_(wanted), not_(or_(*linked)))


_LINKS = [
    column
    for table in metadata.tables.values()
    for column in table.columns
    if column.name in ("budget_id", "member_budget_id")
    and table is not budgets
    and not table.name.startswith("deleted_")
]
"""Every column of the living that names a budget."""


def new_budget(context: Context, changes: Mapping[str, Any], *, budget_id: str | None = None) -> Budget:
    """A budget with these fields. Raises `InvalidRequest`."""
    blank = Budget(
        budget_id=budget_id or str(uuid.uuid4()),
        created_at=context.now,
        created_by=context.actor.name,
        updated_at=context.now,
        updated_by=context.actor.name,
    )
    return amend_budget(context, blank, changes)


def amend_budget(context: Context, budget: Budget, changes: Mapping[str, Any]) -> Budget:
    """The budget with these fields changed; null clears one. Raises `InvalidRequest`."""
    check_limits(changes, now=context.now_s)
    values = limit_values(changes)
    for name, empty in _DOCUMENTS.items():
        if name in changes:
            values[name] = changes[name] if changes[name] is not None else empty()
    for name in ("tpd_limit", "temp_budget_expiry"):
        if name in changes:
            values[name] = changes[name]
    if "temp_budget_increase" in changes:
        increase = changes["temp_budget_increase"]
        values["temp_budget_increase_nanos"] = None if increase is None else nanos_from_dollars(increase)
    return msgspec.structs.replace(budget, **values, updated_at=context.now, updated_by=context.actor.name)


def budget_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those among the fields sent that belong to a budget."""
    return {name: value for name, value in changes.items() if name in BUDGET_FIELDS}


def render_budget(context: Context, budget: Budget | None) -> dict[str, Any] | None:
    """`litellm_budget_table` of whatever links to a budget."""
    if budget is None:
        return None
    return {
        "budget_id": budget.budget_id,
        **render_limits(budget),
        "tpd_limit": budget.tpd_limit,
        "model_max_budget": budget.model_max_budget or None,
        "allowed_models": budget.allowed_models,
        "temp_budget_increase": dollars(budget.temp_budget_increase_nanos),
        "temp_budget_expiry": budget.temp_budget_expiry,
        "budget_reset_at": resets_at(context.services, budget.budget_duration),
        "created_at": budget.created_at,
    }
