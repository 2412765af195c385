"""Budget rows that others link to: made along with a customer, a member, a tag, …, or named by `budget_id`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import msgspec
from pydantic import model_validator
from sqlalchemy import exists, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.body import Body, Dollars, Name
from tollway.control.kit.context import Context, Unit
from tollway.control.kit.limits import LIMIT_FIELDS, MONEY_COLUMNS, check_limits, dollars, limit_values, render_limits
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import resets_at
from tollway.core.errors import NotFound
from tollway.core.money import nanos_from_dollars
from tollway.db.budgets import budgets
from tollway.db.tables import metadata
from tollway.stores.sql.rows import Budget

_DOCUMENTS = {"model_max_budget": dict, "allowed_models": list}

BUDGET_TABLE = "LiteLLM_BudgetTable"
"""What the audit log calls it."""

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


class LinkedBudgetFields(BudgetFields):
    """The same inside what a budget belongs to: fields for a budget of its own, or the id of one that exists."""

    budget_id: Name = None
    """A budget made with `/budget/new`, instead of these fields."""

    @model_validator(mode="after")
    def _check_one_budget(self) -> Self:
        own = [name for name in BUDGET_FIELDS if name in self.model_fields_set and getattr(self, name) is not None]
        if self.budget_id is not None and own:
            raise ValueError(f"send either budget_id or {own[0]}, not both: budget_id names a budget with limits")
        return self


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

    async def links(self, budget_id: str) -> int:
        """How many things link to this budget."""
        counts = [select(func.count()).where(column == budget_id).scalar_subquery() for column in BUDGET_LINKS]
        return sum((await self.connection.execute(select(*counts))).one())

    async def delete_unlinked(self, ids: Iterable[str | None]) -> None:
        """Removes those of these budgets that nothing links to any more: what they belonged to is gone."""
        wanted = {one for one in ids if one}
        if not wanted:
            return
        linked = [exists().where(column == budgets.c.budget_id) for column in BUDGET_LINKS]
        await self.delete(budgets.c.budget_id.in_(wanted), not_(or_(*linked)))


BUDGET_LINKS = [
    column
    for table in metadata.tables.values()
    for column in table.columns
    if column.name in ("budget_id", "member_budget_id")
    and table is not budgets
    and not table.name.startswith("deleted_")
]
"""Every column of the living that names a budget."""


async def link_budget(unit: Unit, linked: str | None, changes: Mapping[str, Any]) -> str | None:
    """The id of the budget that something with the budget `linked` has after these changes of its own fields.

    `budget_id` names another one, or null none. Fields of a budget change the one that is linked; one that others link
    to as well is left to them, and a copy of it is changed. Raises `NotFound` and `InvalidRequest`.
    """
    rows = BudgetRows(unit.connection)
    if "budget_id" in changes:
        budget_id: str | None = changes["budget_id"] or None
        return (await rows.named(budget_id)).budget_id if budget_id else None
    fields = budget_changes(changes)
    current = await rows.find(linked) if linked else None
    if current is None:
        if all(value is None for value in fields.values()):
            return linked
        return (await add_budget(unit, new_budget(unit.context, fields))).budget_id
    if not fields:
        return linked
    changed = amend_budget(unit.context, current, fields)
    is_default = current.budget_id == unit.context.services.settings.end_user_budget_id
    if is_default or await rows.links(current.budget_id) > 1:
        return (await add_budget(unit, msgspec.structs.replace(changed, budget_id=str(uuid.uuid4())))).budget_id
    await rows.replace(changed)
    unit.audit("updated", BUDGET_TABLE, changed.budget_id, before=current, after=changed)
    unit.tell("budget", changed.budget_id)
    return changed.budget_id


async def add_budget(unit: Unit, budget: Budget) -> Budget:
    """Stores a new budget."""
    await BudgetRows(unit.connection).insert(budget)
    unit.audit("created", BUDGET_TABLE, budget.budget_id, after=budget)
    unit.tell("budget", budget.budget_id)
    return budget


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
    changed = with_fields(budget, changes, now=context.now_s)
    return msgspec.structs.replace(changed, updated_at=context.now, updated_by=context.actor.name)


def with_fields(budget: Budget, changes: Mapping[str, Any], *, now: float) -> Budget:
    """The same, without a word of who changed it. `now`: epoch seconds."""
    both = {name: changes.get(name, dollars(getattr(budget, column))) for name, column in MONEY_COLUMNS.items()}
    check_limits({**both, **changes}, now=now)
    values = limit_values(changes)
    for name, empty in _DOCUMENTS.items():
        if name in changes:
            values[name] = changes[name] if changes[name] is not None else empty()
    if "tpd_limit" in changes:
        values["tpd_limit"] = changes["tpd_limit"]
    if "temp_budget_expiry" in changes:
        values["temp_budget_expiry"] = _in_utc(changes["temp_budget_expiry"])
    if "temp_budget_increase" in changes:
        increase = changes["temp_budget_increase"]
        values["temp_budget_increase_nanos"] = None if increase is None else nanos_from_dollars(increase)
    return msgspec.structs.replace(budget, **values)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


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
