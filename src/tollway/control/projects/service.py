"""What can be done with projects, and who may do it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tollway.control.kit.budgets import link_budget
from tollway.control.kit.context import Context, changing
from tollway.control.kit.documents import merge_metadata, with_fields_in_metadata
from tollway.control.kit.limits import check_limits
from tollway.control.kit.pagination import Page
from tollway.control.kit.spending import carry_spend, spent_nanos
from tollway.control.projects.rendering import Shown
from tollway.control.projects.repository import ProjectRepository
from tollway.control.projects.schemas import ProjectCreate, ProjectUpdate
from tollway.core.errors import Conflict, InvalidRequest, NotFound
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.stores.sql.principals import project_scope
from tollway.stores.sql.rows import Project, Team

PROJECT_TABLE = "LiteLLM_ProjectTable"

_OPTIONS = ("model_rpm_limit", "model_tpm_limit", "object_permission")
"""Fields that are kept beside the columns."""
_IN_METADATA = ("tags",)


class ProjectService:
    """Projects, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor

    async def create(self, body: ProjectCreate) -> Shown:
        """Makes a project in a team."""
        changes = body.changes()
        async with changing(self._context) as unit:
            repository = ProjectRepository(unit.connection)
            self._check(await repository.find_team(body.team_id), body.team_id, changes)
            project_id = body.project_id or str(uuid.uuid4())
            if await repository.projects.find(project_id) is not None:
                raise Conflict(f"Project id = {project_id[:100]} already exists. Use another one.", param="project_id")
            blank = Project(
                project_id=project_id,
                created_at=self._context.now,
                created_by=self._actor.name,
                updated_at=self._context.now,
            )
            made = self._amend(blank, changes, await link_budget(unit, None, changes))
            await repository.projects.insert(made)
            unit.audit("created", PROJECT_TABLE, project_id, after=made)
            unit.tell("project", project_id)
        return (await self._with_budgets([made]))[0]

    async def update(self, body: ProjectUpdate) -> Shown:
        """Changes the fields that were sent."""
        changes = body.changes()
        async with changing(self._context) as unit:
            repository = ProjectRepository(unit.connection)
            before = await repository.projects.find(body.project_id)
            team = await repository.find_team(before.team_id if before else None)
            self._check(team, before.team_id if before else None, changes)
            if before is None:
                raise _not_found(body.project_id)
            if body.team_id is not None and await repository.find_team(body.team_id) is None:
                raise _no_team(body.team_id)
            budget_before = await repository.budgets.find(before.budget_id) if before.budget_id else None
            after = self._amend(before, changes, await link_budget(unit, before.budget_id, changes))
            budget = await repository.budgets.find(after.budget_id) if after.budget_id else None
            await repository.projects.replace(after)
            unit.audit(_action(before, after), PROJECT_TABLE, after.project_id, before=before, after=after)
            unit.tell("project", after.project_id)
        await carry_spend(
            self._context,
            project_scope(before, budget_before),
            project_scope(after, budget),
            team_id=after.team_id or "",
        )
        return (await self._with_budgets([after]))[0]

    async def delete(self, ids: Sequence[str]) -> list[Shown]:
        """Deletes projects, all of them or none.

        Raises `NotFound`, and `InvalidRequest` while keys belong to one: they would lose its limits.
        """
        async with changing(self._context) as unit:
            repository = ProjectRepository(unit.connection)
            gone = []
            for project_id in dict.fromkeys(ids):
                project = await repository.projects.find(project_id)
                self._require(await repository.find_team(project.team_id if project else None))
                if project is None:
                    raise _not_found(project_id)
                await _require_empty(repository, project_id)
                await repository.delete(project_id)
                unit.audit("deleted", PROJECT_TABLE, project_id, before=project)
                unit.tell("project", project_id)
                gone.append(project)
        return await self._with_budgets(gone)

    async def find(self, project_id: str) -> Shown:
        """A project that the caller may see. Raises `NotFound`."""
        async with reading(self._services.engine) as connection:
            repository = ProjectRepository(connection)
            project = await repository.projects.find(project_id)
            team = await repository.find_team(project.team_id if project else None)
        if project is None or not self._sees(team):
            raise _not_found(project_id)
        return (await self._with_budgets([project]))[0]

    async def list_page(self, page: Page) -> tuple[list[Shown], int]:
        """A page of the projects that the caller may see, and how many there are."""
        actor = self._actor
        async with reading(self._services.engine) as connection:
            found, total = await ProjectRepository(connection).list_page(
                page,
                team_ids=actor.teams,
                organization_ids=actor.administered_organizations,
                sees_all=actor.sees_everything,
            )
        return await self._with_budgets(found), total

    def _check(self, team: Team | None, team_id: str | None, changes: Mapping[str, Any]) -> None:
        """Whether the caller may say this about a project of the team, and whether it can be."""
        capacity = self._require(team)
        if team is None and team_id is not None:
            raise _no_team(team_id)
        self._context.check_fields(capacity, dict.fromkeys(with_fields_in_metadata(changes, _IN_METADATA)))
        check_limits(changes, now=self._context.now_s)

    def _require(self, team: Team | None) -> Role:
        return self._actor.require_over(
            "projects of this team",
            team_id=team.team_id if team else None,
            organization_id=team.organization_id if team else None,
        )

    def _sees(self, team: Team | None) -> bool:
        actor = self._actor
        if actor.sees_everything:
            return True
        if team is None:
            return False
        return team.team_id in actor.teams or team.organization_id in actor.administered_organizations

    def _amend(self, project: Project, changes: Mapping[str, Any], budget_id: str | None) -> Project:
        plain = {name: changes[name] for name in ("project_alias", "description") if name in changes}
        if changes.get("team_id") is not None:
            plain["team_id"] = changes["team_id"]
        if "models" in changes:
            plain["models"] = changes["models"] or []
        if "blocked" in changes:
            plain["is_blocked"] = bool(changes["blocked"])
        options = project.options | {name: changes[name] for name in _OPTIONS if name in changes}
        return msgspec.structs.replace(
            project,
            **plain,
            budget_id=budget_id,
            options={name: value for name, value in options.items() if value is not None},
            metadata=merge_metadata(project.metadata, changes, _IN_METADATA),
            updated_at=self._context.now,
            updated_by=self._actor.name,
        )

    async def _with_budgets(self, found: Sequence[Project]) -> list[Shown]:
        async with reading(self._services.engine) as connection:
            budgets = await ProjectRepository(connection).budgets.by_id(one.budget_id for one in found)
        pairs = [(one, budgets.get(one.budget_id or "")) for one in found]
        spent = await spent_nanos(self._services, [project_scope(*pair) for pair in pairs])
        return [Shown(*pair, nanos) for pair, nanos in zip(pairs, spent, strict=True)]


async def _require_empty(repository: ProjectRepository, project_id: str) -> None:
    keys = await repository.count_keys(project_id)
    if keys:
        raise InvalidRequest(
            f"Project {project_id} still has {keys} keys, which would lose its limits. Delete them, or move them out "
            "(/key/update), first.",
            param="project_ids",
            type="bad_request_error",
        )


def _action(before: Project, after: Project) -> str:
    if before.is_blocked == after.is_blocked:
        return "updated"
    return "blocked" if after.is_blocked else "unblocked"


def _not_found(project_id: str) -> NotFound:
    return NotFound(f"Project not found, passed project_id={project_id[:100]}", param="project_id")


def _no_team(team_id: str) -> NotFound:
    return NotFound(f"Team not found, passed team_id={team_id[:100]}", param="team_id")
