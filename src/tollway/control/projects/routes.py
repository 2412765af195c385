"""`/project/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import PageDep, warn_of_more
from tollway.control.projects.rendering import render_project
from tollway.control.projects.schemas import ProjectCreate, ProjectIds, ProjectOut, ProjectUpdate
from tollway.control.projects.service import ProjectService

router = resource_router("projects")


async def _project_service(context: ContextDep) -> ProjectService:
    return ProjectService(context)


Projects = Annotated[ProjectService, Depends(_project_service)]


@router.post("/project/new")
async def create_project(
    body: ProjectCreate, response: Response, projects: Projects, context: ContextDep
) -> ProjectOut:
    """Make a project: a part of a team with models, limits and a budget of its own, inside those of the team."""
    shown = await projects.create(body)
    warn(response, body)
    return render_project(context, shown)


@router.post("/project/update")
async def update_project(
    body: ProjectUpdate, response: Response, projects: Projects, context: ContextDep
) -> ProjectOut:
    """Change the fields that are sent; null clears one."""
    shown = await projects.update(body)
    warn(response, body)
    return render_project(context, shown)


@router.delete("/project/delete")
async def delete_projects(
    body: ProjectIds, response: Response, projects: Projects, context: ContextDep
) -> list[ProjectOut]:
    """Delete projects that have no keys any more."""
    gone = await projects.delete(body.project_ids)
    warn(response, body)
    return [render_project(context, shown) for shown in gone]


@router.get("/project/info")
async def show_project(project_id: str, projects: Projects, context: ContextDep) -> ProjectOut:
    """One project, with its budget."""
    return render_project(context, await projects.find(project_id))


@router.get("/project/list")
async def list_projects(response: Response, projects: Projects, context: ContextDep, page: PageDep) -> list[ProjectOut]:
    """Projects of the caller's teams; all of them for an admin. Newest first."""
    found, total = await projects.list_page(page)
    warn_of_more(response, page, total)
    return [render_project(context, shown) for shown in found]
