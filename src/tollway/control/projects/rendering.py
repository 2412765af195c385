"""From stored projects to the wire's fields."""

from __future__ import annotations

import msgspec

from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context
from tollway.control.projects.schemas import ProjectOut
from tollway.core.money import dollars_from_nanos
from tollway.stores.sql.rows import Budget, Project


class Shown(msgspec.Struct, frozen=True):
    """A project, its budget, and what it has spent in the budget's window."""

    project: Project
    budget: Budget | None
    spent_nanos: int


def render_project(context: Context, shown: Shown) -> ProjectOut:
    """A project."""
    project = shown.project
    same = ("project_id", "project_alias", "description", "team_id", "budget_id", "metadata", "models")
    history = ("created_at", "created_by", "updated_at", "updated_by")
    return ProjectOut(
        **{name: getattr(project, name) for name in (*same, *history)},
        spend=dollars_from_nanos(shown.spent_nanos),
        model_rpm_limit=project.options.get("model_rpm_limit", {}),
        model_tpm_limit=project.options.get("model_tpm_limit", {}),
        blocked=project.is_blocked,
        object_permission=project.options.get("object_permission"),
        litellm_budget_table=render_budget(context, shown.budget),
    )
