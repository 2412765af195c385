"""From stored budgets to the wire's fields."""

from __future__ import annotations

from typing import Any

from tollway.control.budgets.schemas import BudgetRow, BudgetSetting
from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context
from tollway.stores.sql.rows import Budget

_SETTINGS = {
    "max_budget": ("Float", "Hard limit in dollars: calls are refused once it is spent."),
    "soft_budget": ("Float", "Told of when it is reached; refuses nothing."),
    "max_parallel_requests": ("Integer", "Calls at the same time."),
    "tpm_limit": ("Integer", "Tokens in a minute."),
    "rpm_limit": ("Integer", "Calls in a minute."),
    "budget_duration": ("String", "When spend starts anew: '1h', '1d', '7d', '30d', '1mo'."),
    "model_max_budget": ("Object", "Budgets of single models."),
}
"""What a form about a budget asks for: name on the wire, type, meaning."""


def render_row(context: Context, budget: Budget) -> BudgetRow:
    """A budget with all its columns."""
    shown: dict[str, Any] = render_budget(context, budget) or {}
    return BudgetRow(**shown, created_by=budget.created_by, updated_at=budget.updated_at, updated_by=budget.updated_by)


def render_settings(context: Context, budget: Budget) -> list[BudgetSetting]:
    """The fields of a budget with their meaning."""
    shown: dict[str, Any] = render_budget(context, budget) or {}
    return [
        BudgetSetting(
            field_name=name,
            field_type=kind,
            field_description=meaning,
            field_value=shown[name],
            stored_in_db=shown[name] is not None,
        )
        for name, (kind, meaning) in _SETTINGS.items()
    ]
