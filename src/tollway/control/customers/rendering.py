"""From a stored customer to the wire's fields."""

from __future__ import annotations

from tollway.control.customers.schemas import BudgetTable, CustomerOut
from tollway.control.customers.service import Spent
from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context
from tollway.core.money import dollars_from_nanos


def render_customer(context: Context, spent: Spent) -> CustomerOut:
    """A customer with the linked budget."""
    customer, budget, nanos = spent
    shown = render_budget(context, budget)
    return CustomerOut(
        user_id=customer.customer_id,
        alias=customer.alias,
        blocked=customer.is_blocked,
        spend=dollars_from_nanos(nanos),
        allowed_model_region=customer.allowed_model_region,
        default_model=customer.default_model,
        models=customer.models,
        budget_id=customer.budget_id,
        litellm_budget_table=BudgetTable(**shown) if shown else None,
        object_permission=customer.options.get("object_permission"),
    )
