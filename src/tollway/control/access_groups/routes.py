"""`/v1/access_group`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response

from tollway.control.access_groups.rendering import render_group
from tollway.control.access_groups.schemas import GroupCreate, GroupOut, GroupUpdate
from tollway.control.access_groups.service import AccessGroupService
from tollway.control.kit.body import say, warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import DetailRoute, resource_router
from tollway.control.kit.pagination import Page

router = resource_router("access groups", route_class=DetailRoute)


async def _access_group_service(context: ContextDep) -> AccessGroupService:
    return AccessGroupService(context)


Groups = Annotated[AccessGroupService, Depends(_access_group_service)]


@router.post("/v1/access_group", status_code=201)
async def create_group(body: GroupCreate, response: Response, groups: Groups) -> GroupOut:
    """Make an access group: models that its teams and keys may use besides their own."""
    made = await groups.create(body)
    warn(response, body)
    return render_group(made)


@router.get("/v1/access_group")
async def list_groups(
    response: Response,
    groups: Groups,
    *,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=1_000)] = 1_000,
) -> list[GroupOut]:
    """Access groups in order of name. A header says so if there are more than one answer holds."""
    found, total = await groups.list_page(Page(page, page_size))
    if total > len(found):
        say(response, f"{len(found)} of {total} access groups; ask for others with page and page_size")
    return [render_group(one) for one in found]


@router.get("/v1/access_group/{access_group_id}")
async def show_group(access_group_id: str, groups: Groups) -> GroupOut:
    """An access group."""
    return render_group(await groups.find(access_group_id))


@router.put("/v1/access_group/{access_group_id}")
async def update_group(access_group_id: str, body: GroupUpdate, response: Response, groups: Groups) -> GroupOut:
    """Change the fields that are sent; a list of teams or keys replaces the one there was."""
    changed = await groups.update(access_group_id, body)
    warn(response, body)
    return render_group(changed)


@router.delete("/v1/access_group/{access_group_id}", status_code=204)
async def delete_group(access_group_id: str, groups: Groups) -> None:
    """Delete an access group; its teams and keys lose its models."""
    await groups.delete(access_group_id)
