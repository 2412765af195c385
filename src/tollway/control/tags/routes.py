"""`/tag/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Response

from tollway.control.kit.body import say, warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import DetailRoute, resource_router
from tollway.control.tags.rendering import render_details, render_seen, render_tag
from tollway.control.tags.schemas import (
    TagDelete,
    TagDeleted,
    TagDetails,
    TagNames,
    TagSaved,
    TagSeen,
    TagShown,
    TagsSeen,
    TagWrite,
)
from tollway.control.tags.service import TagService

router = resource_router("tags", route_class=DetailRoute)


async def _tag_service(context: ContextDep) -> TagService:
    return TagService(context)


Tags = Annotated[TagService, Depends(_tag_service)]


@router.post("/tag/new")
async def create_tag(body: TagWrite, response: Response, tags: Tags) -> TagSaved:
    """Make a tag. Budget fields make a budget of its own; `budget_id` links one that exists."""
    tag = await tags.create(body)
    warn(response, body)
    return TagSaved(message=f"Tag {tag.name} created successfully", tag=render_tag(tag, tags.model_names(tag)))


@router.post("/tag/update")
async def update_tag(body: TagWrite, response: Response, tags: Tags) -> TagSaved:
    """Change the fields that are sent; null clears one."""
    tag = await tags.update(body)
    warn(response, body)
    return TagSaved(message=f"Tag {tag.name} updated successfully", tag=render_tag(tag, tags.model_names(tag)))


@router.post("/tag/info")
async def show_tags(body: TagNames, response: Response, tags: Tags, context: ContextDep) -> dict[str, TagDetails]:
    """Tags by name, with their budgets. Those that do not exist are left out."""
    found = await tags.find_all(body.names)
    warn(response, body)
    return {one.tag.name: render_details(context, one, tags.model_names(one.tag)) for one in found}


@router.get("/tag/list")
async def list_tags(
    response: Response,
    tags: Tags,
    context: ContextDep,
    start_date: date | None = None,
    end_date: date | None = None,
) -> list[TagDetails | TagShown]:
    """Tags, and for administrators their budgets and what else was seen in calls between two UTC days."""
    found, total = await tags.list_all()
    if total > len(found):
        say(response, f"{len(found)} of {total} tags; ask for others by name with POST /tag/info")
    if not context.actor.sees_everything:
        return [render_tag(one.tag, tags.model_names(one.tag)) for one in found]
    known = {one.tag.name for one in found}
    seen = await tags.list_seen(start_date, end_date)
    return [
        *(render_details(context, one, tags.model_names(one.tag)) for one in found),
        *(render_seen(name) for name in seen if name not in known),
    ]


@router.get("/tag/distinct")
async def list_distinct_tags(tags: Tags) -> TagsSeen:
    """Tags that were used in calls."""
    return TagsSeen(results=[TagSeen(tag=name) for name in await tags.list_seen()])


@router.post("/tag/delete")
async def delete_tag(body: TagDelete, response: Response, tags: Tags) -> TagDeleted:
    """Delete a tag. Its calls stay in the ledger."""
    await tags.delete(body.name)
    warn(response, body)
    return TagDeleted(message=f"Tag {body.name} deleted successfully")
