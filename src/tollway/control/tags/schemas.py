"""Bodies of `/tag/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from tollway.control.kit.body import Body, example
from tollway.control.kit.budgets import LinkedBudgetFields
from tollway.control.kit.wire import WireModel

TagName = Annotated[str, Field(min_length=1)]


class TagWrite(LinkedBudgetFields):
    """`POST /tag/new`, and `POST /tag/update`: absent leaves a field alone, null clears it."""

    model_config = example(name="batch", description="Nightly jobs", max_budget=100, budget_duration="1d")

    kept_for_later = ("models", "tpd_limit")

    name: TagName
    description: str | None = None
    models: list[str] | None = None
    """Ids of the deployments that calls with this tag are meant for."""


class TagNames(Body):
    """`POST /tag/info`."""

    names: Annotated[list[TagName], Field(min_length=1, max_length=1_000)]


class TagDelete(Body):
    """`POST /tag/delete`."""

    name: TagName


class TagShown(WireModel):
    """A tag. One that was merely seen in calls has no models."""

    name: str
    description: str | None
    models: list[str] | None
    model_info: dict[str, str] | None
    """Public names of the models, by id."""
    created_at: datetime | None
    updated_at: datetime | None
    created_by: str | None


class TagDetails(TagShown):
    """A tag with its budget and what was spent in the budget's current window."""

    spend: float
    budget_id: str | None
    litellm_budget_table: dict[str, Any] | None


class TagSaved(WireModel):
    """`POST /tag/new`, `POST /tag/update`."""

    message: str
    tag: TagShown


class TagDeleted(WireModel):
    """`POST /tag/delete`."""

    message: str


class TagSeen(WireModel):
    """One of `GET /tag/distinct`."""

    tag: str


class TagsSeen(WireModel):
    """`GET /tag/distinct`: tags that were used in calls."""

    results: list[TagSeen]
