"""Bodies of `/budget/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field
from typing_extensions import override

from tollway.control.kit.body import Body, Name, example
from tollway.control.kit.budgets import BudgetFields
from tollway.control.kit.wire import WireModel


class BudgetBody(BudgetFields):
    """What can be said about a budget on its own."""

    kept_for_later = ("tpd_limit",)

    allowed_models: list[str] | None = None
    """Where the budget is a team member's: the models they may use."""
    temp_budget_increase: float | None = None
    """Added to `max_budget` until `temp_budget_expiry`."""
    temp_budget_expiry: datetime | None = None
    budget_reset_at: datetime | None = None
    """Taken from existing clients; the reset follows from `budget_duration`."""

    @override
    def warnings(self) -> list[str]:
        """Also fields without effect."""
        warnings = super().warnings()
        if self.budget_reset_at is not None:
            warnings.append("'budget_reset_at' was ignored: it follows from 'budget_duration'")
        return warnings


class BudgetCreate(BudgetBody):
    """`POST /budget/new`."""

    model_config = example(budget_id="free-tier", max_budget=0.5, budget_duration="1d", rpm_limit=10)

    budget_id: Name = None
    """A name of one's own; without one it gets a UUID."""


class BudgetUpdate(BudgetBody):
    """`POST /budget/update`: absent leaves a field alone, null clears it."""

    budget_id: str


class BudgetQuestion(Body):
    """`POST /budget/info`."""

    budgets: list[str] = Field(max_length=1000)


class BudgetName(Body):
    """`POST /budget/delete`."""

    id: str


class BudgetRow(WireModel):
    """A budget. What links to it is not listed: those fields are always null."""

    budget_id: str
    max_budget: float | None
    soft_budget: float | None
    max_parallel_requests: int | None
    tpm_limit: int | None
    rpm_limit: int | None
    tpd_limit: int | None
    model_max_budget: dict[str, Any] | None
    allowed_models: list[str]
    budget_duration: str | None
    budget_reset_at: datetime | None
    temp_budget_increase: float | None
    temp_budget_expiry: datetime | None
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    updated_by: str | None
    end_users: None = None
    keys: None = None
    model_access_groups: None = None
    organization: None = None
    organization_membership: None = None
    projects: None = None
    tags: None = None
    team_membership: None = None


class BudgetSetting(WireModel):
    """One line of `GET /budget/settings`."""

    field_name: str
    field_type: str
    field_description: str
    field_value: Any
    stored_in_db: bool | None
    field_default_value: Any = None
    premium_field: bool = False


class BudgetQuery(WireModel):
    """The query of `GET /management/v1/budgets`; unlike elsewhere, others are refused."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(50, ge=1, le=100)
    search: str | None = None
    """Part of an id."""


class PageFacts(WireModel):
    """Where in a listing a page is."""

    page: int
    page_size: int
    total: int
    total_pages: int


class BudgetPage(WireModel):
    """`GET /management/v1/budgets`."""

    data: list[BudgetRow]
    meta: PageFacts
