"""Bodies of `/project/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from tollway.control.kit.body import Body, Name, example
from tollway.control.kit.budgets import LinkedBudgetFields
from tollway.control.kit.wire import WireModel


class ProjectFields(LinkedBudgetFields):
    """What can be said about a project. Budget fields belong to the budget it links to."""

    project_alias: Name = None
    description: str | None = None
    models: list[str] | None = None
    """Models its keys may use, among those of the team; empty: all of them."""
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    """Added to every call of its keys; kept in `metadata`."""
    blocked: bool | None = None
    model_rpm_limit: dict[str, int] | None = None
    model_tpm_limit: dict[str, int] | None = None
    object_permission: dict[str, Any] | None = None


class ProjectCreate(ProjectFields):
    """`POST /project/new`."""

    model_config = example(
        project_id="search",
        project_alias="Search",
        team_id="engineering",
        models=["gpt-4o"],
        max_budget=200,
        budget_duration="30d",
    )

    team_id: str
    project_id: Name = None
    """An id of one's own; without one it gets a UUID."""


class ProjectUpdate(ProjectFields):
    """`POST /project/update`: absent leaves a field alone, null clears it."""

    project_id: str
    team_id: Name = None
    """Moves the project to another team."""


class ProjectIds(Body):
    """`DELETE /project/delete`."""

    project_ids: list[str] = Field(min_length=1, max_length=1000)


class ProjectOut(WireModel):
    """A project."""

    project_id: str
    project_alias: str | None
    description: str | None
    team_id: str | None
    budget_id: str | None
    metadata: dict[str, Any]
    models: list[str]
    spend: float
    model_spend: dict[str, float] = {}
    model_rpm_limit: dict[str, int]
    model_tpm_limit: dict[str, int]
    blocked: bool
    object_permission: dict[str, Any] | None
    object_permission_id: None = None
    litellm_budget_table: dict[str, Any] | None
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    updated_by: str | None
