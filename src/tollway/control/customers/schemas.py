"""Bodies of `/customer/*`, under the wire contract's names. There a customer's id is called `user_id`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from tollway.control.kit.body import Body, Name, example
from tollway.control.kit.budgets import LinkedBudgetFields
from tollway.control.kit.wire import WireModel

CustomerId = Annotated[str, Field(min_length=1)]
CustomerIds = Annotated[list[CustomerId], Field(min_length=1, max_length=1_000)]


class CustomerFields(LinkedBudgetFields):
    """What can be said about a customer, when it is made and later."""

    kept_for_later = ("object_permission", "tpd_limit")

    alias: Name = None
    blocked: bool | None = None
    """True: every call for this customer is refused."""
    spend: float | None = None
    """Makes what was spent in the current budget window this many dollars."""
    allowed_model_region: Literal["eu", "us"] | None = None
    default_model: Name = None
    """Used where a call names no model."""
    models: list[str] | None = None
    """Models the customer may be served; none: all."""
    object_permission: dict[str, Any] | None = None


class CustomerCreate(CustomerFields):
    """`POST /customer/new`."""

    model_config = example(user_id="customer-7", alias="Seven", budget_id="free-tier")

    user_id: CustomerId


class CustomerUpdate(CustomerFields):
    """`POST /customer/update`: absent leaves a field alone, null clears it."""

    user_id: CustomerId


class CustomerNames(Body):
    """`POST /customer/delete`, `/customer/block`, `/customer/unblock`."""

    user_ids: CustomerIds


class BudgetTable(WireModel):
    """`litellm_budget_table`: the budget a customer is linked to."""

    budget_id: str
    soft_budget: float | None
    max_budget: float | None
    max_parallel_requests: int | None
    tpm_limit: int | None
    rpm_limit: int | None
    tpd_limit: int | None
    model_max_budget: dict[str, Any] | None
    budget_duration: str | None
    allowed_models: list[str]
    temp_budget_increase: float | None
    temp_budget_expiry: datetime | None
    budget_reset_at: datetime | None
    created_at: datetime


class CustomerOut(WireModel):
    """A customer."""

    user_id: str
    alias: str | None
    blocked: bool
    spend: float
    """In the current budget window."""
    allowed_model_region: str | None
    default_model: str | None
    models: list[str]
    budget_id: str | None
    litellm_budget_table: BudgetTable | None
    object_permission_id: str | None = None
    object_permission: dict[str, Any] | None


class CustomersDeleted(WireModel):
    """`POST /customer/delete`."""

    deleted_customers: int
    message: str


class CustomersBlocked(WireModel):
    """`POST /customer/block`."""

    blocked_users: list[CustomerOut]


class CustomersUnblocked(WireModel):
    """`POST /customer/unblock`: who is blocked all the same."""

    blocked_users: list[str]
