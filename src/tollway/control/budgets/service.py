"""What can be done with budgets that others link to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tollway.control.budgets.schemas import BudgetCreate, BudgetUpdate
from tollway.control.kit.budget_links import BudgetLinks, carry_linked, replace_budget
from tollway.control.kit.budgets import (
    BUDGET_TABLE,
    BudgetRows,
    add_budget,
    amend_budget,
    budget_changes,
    new_budget,
)
from tollway.control.kit.context import Context, changing
from tollway.control.kit.pagination import Page
from tollway.core.errors import Conflict
from tollway.db.budgets import budgets
from tollway.db.engine import reading
from tollway.stores.sql.rows import Budget


class BudgetService:
    """Budgets, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.services.engine

    async def create(self, body: BudgetCreate) -> Budget:
        """Makes a budget. Raises `Conflict` for an id in use."""
        async with changing(self._context) as unit:
            if body.budget_id is not None and await BudgetRows(unit.connection).find(body.budget_id) is not None:
                raise Conflict(
                    f"Budget with budget_id={body.budget_id[:100]} already exists. Change it with POST /budget/update.",
                    param="budget_id",
                )
            budget = new_budget(self._context, budget_changes(body.changes()), budget_id=body.budget_id)
            return await add_budget(unit, budget)

    async def update(self, body: BudgetUpdate) -> Budget:
        """Changes a budget for everything that links to it. Raises `NotFound`."""
        async with changing(self._context) as unit:
            before = await BudgetRows(unit.connection).named(body.budget_id)
            after = amend_budget(self._context, before, budget_changes(body.changes()))
            await replace_budget(unit, before, after)
        return after

    async def delete(self, budget_id: str) -> Budget:
        """Deletes a budget. Whatever linked to it goes on without one. Raises `NotFound`."""
        async with changing(self._context) as unit:
            budget = await BudgetRows(unit.connection).named(budget_id)
            links = BudgetLinks(unit.connection, budget_id)
            linked_by = await links.count()
            await carry_linked(unit, budget, None)
            await links.clear()
            await BudgetRows(unit.connection).delete(budgets.c.budget_id == budget_id)
            before = {**msgspec.to_builtins(budget), **({"linked_by": linked_by} if linked_by else {})}
            unit.audit("deleted", BUDGET_TABLE, budget_id, before=before)
            unit.tell("budget", budget_id)
        return budget

    async def find(self, budget_id: str) -> Budget:
        """A budget. Raises `NotFound`."""
        async with reading(self._engine) as connection:
            return await BudgetRows(connection).named(budget_id)

    async def find_many(self, ids: Sequence[str]) -> list[Budget]:
        """Those of these budgets that exist, in the order asked for."""
        async with reading(self._engine) as connection:
            found = await BudgetRows(connection).by_id(ids)
        return [found[one] for one in dict.fromkeys(ids) if one in found]

    async def list_page(self, page: Page, *, search: str | None = None) -> tuple[list[Budget], int]:
        """A page of the budgets, newest first, and how many there are."""
        matching = [budgets.c.budget_id.icontains(search, autoescape=True)] if search else []
        async with reading(self._engine) as connection:
            return await BudgetRows(connection).page(*matching, page=page, order=[budgets.c.created_at.desc()])
