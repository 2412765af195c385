"""`/access_group/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.model_access_groups.schemas import (
    GroupBudget,
    GroupBudgetShown,
    GroupChanged,
    GroupDeleted,
    GroupInfo,
    GroupList,
    GroupMembers,
    GroupNew,
)
from tollway.control.model_access_groups.service import AccessGroupService

router = resource_router("model access groups")


async def _group_service(context: ContextDep) -> AccessGroupService:
    return AccessGroupService(context)


Groups = Annotated[AccessGroupService, Depends(_group_service)]


@router.post("/access_group/new")
async def add_group(body: GroupNew, response: Response, groups: Groups) -> GroupChanged:
    """Put models of the database into a new group, by public name or by id."""
    count = await groups.create(body.access_group, body.model_names, body.model_ids)
    return _changed(body.access_group, body, count, response)


@router.get("/access_group/list")
async def list_groups(groups: Groups) -> GroupList:
    """Every group with its models, its budget and what it has spent."""
    return GroupList(access_groups=await groups.all())


@router.get("/access_group/{access_group}/info")
async def show_group(access_group: str, groups: Groups) -> GroupInfo:
    """One group."""
    return await groups.find(access_group)


@router.put("/access_group/{access_group}/update")
async def update_group(access_group: str, body: GroupMembers, response: Response, groups: Groups) -> GroupChanged:
    """Make these the models of a group."""
    count = await groups.update(access_group, body.model_names, body.model_ids)
    return _changed(access_group, body, count, response)


@router.delete("/access_group/{access_group}/delete")
async def delete_group(access_group: str, groups: Groups) -> GroupDeleted:
    """Take every model out of a group, and its budget away."""
    count = await groups.delete(access_group)
    message = f"Access group '{access_group}' deleted successfully"
    return GroupDeleted(access_group=access_group, models_updated=count, message=message)


@router.get("/access_group/{access_group}/budget")
async def show_group_budget(access_group: str, groups: Groups) -> GroupBudgetShown:
    """What a group has spent, and may."""
    return await groups.budget(access_group)


@router.put("/access_group/{access_group}/budget")
async def set_group_budget(
    access_group: str, body: GroupBudget, response: Response, groups: Groups
) -> GroupBudgetShown:
    """Link a budget to a group, or give it limits of its own."""
    warn(response, body)
    return await groups.set_budget(access_group, body)


@router.delete("/access_group/{access_group}/budget")
async def delete_group_budget(access_group: str, groups: Groups) -> GroupBudgetShown:
    """Take a group's budget away."""
    return await groups.delete_budget(access_group)


def _changed(name: str, body: GroupMembers, count: int, response: Response) -> GroupChanged:
    warn(response, body)
    return GroupChanged(access_group=name, model_names=body.model_names, model_ids=body.model_ids, models_updated=count)
