"""Bodies of `/access_group/*`, as existing clients send and read them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tollway.control.kit.body import Body, Dollars, Name
from tollway.control.kit.wire import WireModel

GroupName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/]+$", examples=["beta-models"])]


class GroupMembers(Body):
    """The models of a group: by public name, or single deployments by id."""

    model_names: list[str] | None = None
    model_ids: list[str] | None = None


class GroupNew(GroupMembers):
    """A group to make."""

    access_group: GroupName


class GroupBudget(Body):
    """A budget for all calls to models of a group: an existing one, or limits of its own."""

    budget_id: Name = None
    max_budget: Dollars = None
    soft_budget: Dollars = None
    budget_duration: Name = None


class GroupChanged(WireModel):
    """What a change came to."""

    access_group: str
    model_names: list[str] | None
    model_ids: list[str] | None
    models_updated: int


class GroupDeleted(WireModel):
    """What was done."""

    access_group: str
    models_updated: int
    message: str


class GroupBudgetShown(WireModel):
    """What a group has spent, and may."""

    access_group: str
    spend: float
    budget: dict[str, Any] | None


class GroupInfo(GroupBudgetShown):
    """A group."""

    model_names: list[str]
    deployment_count: int


class GroupList(WireModel):
    """Every group."""

    access_groups: list[GroupInfo]
