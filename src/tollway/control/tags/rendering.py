"""From a stored tag to the wire's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context
from tollway.control.tags.schemas import TagDetails, TagShown
from tollway.control.tags.service import Spent
from tollway.core.money import dollars_from_nanos
from tollway.stores.sql.rows import Tag

_SEEN = "Seen in calls; nobody gave it a description, models or a budget."


def render_tag(tag: Tag, model_names: Mapping[str, str]) -> TagShown:
    """A tag, as everybody may see it."""
    return TagShown(**_common(tag, model_names))


def render_details(context: Context, spent: Spent, model_names: Mapping[str, str]) -> TagDetails:
    """A tag with its budget."""
    tag, budget, nanos = spent
    return TagDetails(
        **_common(tag, model_names),
        spend=dollars_from_nanos(nanos),
        budget_id=tag.budget_id,
        litellm_budget_table=render_budget(context, budget),
    )


def render_seen(name: str) -> TagShown:
    """A tag that was merely seen in calls."""
    return TagShown(
        name=name,
        description=_SEEN,
        models=None,
        model_info=None,
        created_at=None,
        updated_at=None,
        created_by=None,
    )


def _common(tag: Tag, model_names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": tag.name,
        "description": tag.description,
        "models": tag.models,
        "model_info": dict(model_names),
        "created_at": tag.created_at,
        "updated_at": tag.updated_at,
        "created_by": tag.created_by,
    }
