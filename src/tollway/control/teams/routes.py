"""`/team/*`: parse, ask the service, shape the answer. Members are in `member_routes`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Query, Response

from tollway.control.kit.body import WARNING_HEADER, warn
from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context, ContextDep
from tollway.control.kit.errors import reject_missing
from tollway.control.kit.guard import resource_router
from tollway.control.kit.keys import KeyDeskDep
from tollway.control.kit.pagination import Page
from tollway.control.teams.answers import (
    EditAccess,
    KeyChanged,
    KeyUnchanged,
    MetadataSchema,
    PermissionsAppended,
    PermissionsOut,
    SomeFields,
    TeamDetails,
    TeamFound,
    TeamInfo,
    TeamKeysUpdated,
    TeamListed,
    TeamOut,
    TeamPage,
    TeamRow,
    TeamsDeleted,
    TeamUpdated,
)
from tollway.control.teams.desk import render_listed
from tollway.control.teams.fields import MEMBER_PERMISSIONS
from tollway.control.teams.permissions import EDITABLE_BY_TEAM_ADMINS
from tollway.control.teams.reading import MAX_LISTED, TeamFacts, TeamReader
from tollway.control.teams.rendering import (
    render_access_group,
    render_access_groups,
    render_counted,
    render_named_members,
    render_row,
    render_sourced,
    render_team,
)
from tollway.control.teams.repository import SortColumn, TeamQuery
from tollway.control.teams.schemas import (
    MAX_AT_ONCE,
    ManyTeamsPermissions,
    TeamCreate,
    TeamKeysUpdate,
    TeamModels,
    TeamName,
    TeamNames,
    TeamPatch,
    TeamPermissions,
    TeamUpdate,
)
from tollway.control.teams.service import TeamService
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Role

router = resource_router("teams")


async def _team_service(context: ContextDep, keys: KeyDeskDep) -> TeamService:
    return TeamService(context, keys)


async def _team_reader(context: ContextDep, keys: KeyDeskDep) -> TeamReader:
    return TeamReader(context, keys)


Teams = Annotated[TeamService, Depends(_team_service)]
Reader = Annotated[TeamReader, Depends(_team_reader)]


@router.post("/team/new")
async def create_team(body: TeamCreate, response: Response, teams: Teams, reader: Reader) -> TeamOut:
    """Make a team: people and keys that share models, limits and a budget."""
    team_id = await teams.create(body)
    warn(response, body)
    return render_team(reader.context, await reader.view(team_id))


@router.post("/team/update")
async def update_team(body: TeamUpdate, response: Response, teams: Teams, reader: Reader) -> TeamUpdated:
    """Change the fields that are sent; null clears one."""
    await teams.update(body.team_id, body.changes())
    warn(response, body)
    return TeamUpdated(team_id=body.team_id, data=render_row(reader.context, await reader.view(body.team_id)))


@router.patch("/team/{team_id}")
async def patch_team(team_id: str, body: TeamPatch, response: Response, teams: Teams, reader: Reader) -> TeamRow:
    """Change the fields that are sent, as a JSON merge patch: what is inside of documents and not named stays."""
    await teams.update(team_id, body.changes(), merges=True)
    warn(response, body)
    return render_row(reader.context, await reader.view(team_id))


@router.get("/team/info")
async def show_team(
    reader: Reader,
    response: Response,
    team_id: str | None = None,
    key_limit: Annotated[int, Query(ge=0, le=MAX_LISTED)] = 100,
) -> TeamInfo:
    """A team with its members, what they have spent, and its newest keys. Members see their own keys."""
    facts = await reader.info(team_id, key_limit)
    if len(facts.contents.keys) == key_limit:
        response.headers[WARNING_HEADER] = f"the newest {key_limit} keys are shown; see key_limit and /key/list"
    contents = facts.contents
    return TeamInfo(
        team_id=contents.view.team.team_id,
        team_info=_details(reader.context, facts),
        keys=contents.keys,
        team_memberships=[render_sourced(reader.context, *entry) for entry in contents.memberships],
    )


@router.get("/team/list")
async def list_teams(
    reader: Reader,
    response: Response,
    user_id: str | None = None,
    organization_id: str | None = None,
) -> list[TeamListed]:
    """All teams that the caller may see, oldest first. `/v2/team/list` has pages."""
    found, total = await reader.list_all(user_id=user_id, organization_id=organization_id)
    if total > len(found):
        response.headers[WARNING_HEADER] = f"{len(found)} of {total} teams are shown; use /v2/team/list for pages"
    return [render_listed(reader.context, one) for one in found]


@router.get("/v2/team/list")
async def list_team_pages(
    reader: Reader,
    *,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 10,
    user_id: str | None = None,
    organization_id: str | None = None,
    team_id: str | None = None,
    team_alias: str | None = None,
    search: str | None = None,
    search_team_id_match: Literal["exact", "contains"] = "exact",
    sort_by: SortColumn | Literal["spend"] | None = None,
    sort_order: Literal["asc", "desc"] = "asc",
    status: Literal["active", "deleted"] | None = None,
) -> TeamPage:
    """Teams that the caller may see, or with `status=deleted` those that were deleted."""
    query = TeamQuery(
        user_id=user_id,
        organization_id=organization_id,
        team_id=team_id,
        team_alias=team_alias,
        search=search,
        matches_part_of_id=search_team_id_match == "contains",
        is_deleted=status == "deleted",
    )
    wanted = Page(page, page_size)
    found, total = await reader.list_page(
        query,
        wanted,
        sort_by=None if sort_by == "spend" else sort_by or "created_at",
        is_descending=sort_order == "desc",
    )
    return TeamPage(
        teams=[render_counted(reader.context, one.view, members=one.members, keys=one.keys) for one in found],
        total=total,
        page=page,
        page_size=page_size,
        total_pages=wanted.pages(total),
    )


@router.get("/team/filter/ui")
async def find_teams(
    reader: Reader,
    team_id: Annotated[str | None, Query(max_length=255)] = None,
    team_alias: Annotated[str | None, Query(max_length=255)] = None,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[TeamFound]:
    """Ids and names that contain these texts, of teams that the caller may see."""
    query = TeamQuery(team_id_part=team_id, team_alias=team_alias)
    found = await reader.search(query, Page(page, page_size))
    return [TeamFound(team_id=team.team_id, team_alias=team.team_alias) for team in found]


@router.get("/team/available")
async def list_available_teams(reader: Reader) -> list[TeamOut]:
    """Teams that a user may join by themselves, with `/team/member_add`."""
    return [render_team(reader.context, view) for view in await reader.available()]


@router.get("/team/metadata_schema")
async def show_metadata_schema(context: ContextDep) -> MetadataSchema:
    """What forms ask for as a team's metadata."""
    return MetadataSchema(fields=[dict(one) for one in context.services.team_policy.metadata_fields])


@router.post("/team/delete")
async def delete_teams(body: TeamNames, response: Response, teams: Teams) -> TeamsDeleted:
    """Delete teams with their keys, their own models and their memberships: all of them, or none."""
    await teams.delete(body.team_ids, body.changes())
    warn(response, body)
    return TeamsDeleted(deleted_teams=body.team_ids)


@router.post("/team/block")
async def block_team(body: TeamName, response: Response, teams: Teams, reader: Reader) -> TeamRow:
    """Stop all keys of a team from working until it is unblocked."""
    await teams.set_blocked(body.team_id, body.changes(), is_blocked=True)
    warn(response, body)
    return render_row(reader.context, await reader.view(body.team_id))


@router.post("/team/unblock")
async def unblock_team(body: TeamName, response: Response, teams: Teams, reader: Reader) -> TeamRow:
    """Let a team's keys work again."""
    await teams.set_blocked(body.team_id, body.changes(), is_blocked=False)
    warn(response, body)
    return render_row(reader.context, await reader.view(body.team_id))


@router.post("/team/model/add")
async def add_models(body: TeamModels, response: Response, teams: Teams, reader: Reader) -> TeamOut:
    """Let a team use more models. A team without a list may use all; its first entry restricts it."""
    await teams.add_models(body.team_id, body.models, body.changes())
    warn(response, body)
    return render_team(reader.context, await reader.view(body.team_id))


@router.post("/team/model/delete")
async def delete_models(body: TeamModels, response: Response, teams: Teams, reader: Reader) -> TeamOut:
    """Take models away from a team. Without the last one it may use all."""
    await teams.remove_models(body.team_id, body.models, body.changes())
    view = await reader.view(body.team_id)
    warn(response, body, *(() if view.team.models else ("the team has no list of models now: it may use all",)))
    return render_team(reader.context, view)


@router.get("/team/permissions_list")
async def list_permissions(team_id: str, teams: Teams) -> PermissionsOut:
    """What plain members of a team may do with its keys, and what they could be permitted."""
    return PermissionsOut(
        team_id=team_id,
        team_member_permissions=await teams.permissions(team_id),
        all_available_permissions=list(MEMBER_PERMISSIONS),
    )


@router.post("/team/permissions_update")
async def update_permissions(body: TeamPermissions, response: Response, teams: Teams, reader: Reader) -> TeamRow:
    """Say what plain members of a team may do with its keys."""
    await teams.update(body.team_id, body.changes())
    warn(response, body)
    return render_row(reader.context, await reader.view(body.team_id))


@router.post("/team/permissions_bulk_update")
async def append_permissions(body: ManyTeamsPermissions, response: Response, teams: Teams) -> PermissionsAppended:
    """Permit members of several teams, or of all, something more."""
    changed = await teams.append_permissions(
        body.permissions, team_ids=body.team_ids, applies_to_all=body.apply_to_all_teams
    )
    warn(response, body)
    return PermissionsAppended(
        message="Team member permissions updated successfully",
        teams_updated=changed,
        permissions_appended=body.permissions,
    )


@router.post("/team/key/bulk_update")
async def update_team_keys(body: TeamKeysUpdate, response: Response, teams: Teams) -> TeamKeysUpdated:
    """Change the same fields of several keys of a team, or of all; what became of each."""
    if not body.key_ids and not body.all_keys_in_team:
        reject_missing("key_ids")
    names = None if body.all_keys_in_team else body.key_ids
    results = await teams.update_keys(body.team_id, names, body.update_fields, limit=MAX_AT_ONCE)
    warn(response, body)
    return TeamKeysUpdated(
        total_requested=len(results),
        successful_updates=[KeyChanged(key=one.name, key_info=one.shown) for one in results if one.shown is not None],
        failed_updates=[
            KeyUnchanged(key=one.name, failed_reason=one.error) for one in results if one.error is not None
        ],
    )


def _details(context: Context, facts: TeamFacts) -> TeamDetails:
    view, groups = facts.contents.view, facts.contents.view.access_groups
    return TeamDetails(
        **{**render_team(context, view).model_dump(), "members_with_roles": render_named_members(view)},
        **render_access_groups(groups),
        team_member_budget_table=render_budget(context, facts.member_budget),
        access_group_details=[render_access_group(group) for group in groups] or None,
        organization_models=facts.organization.models if facts.organization else None,
        model_max_budget_usage={
            model: {"current_spend": dollars_from_nanos(nanos)} for model, nanos in facts.model_usage.items()
        },
        caller_edit_access=_edit_access(facts.capacity),
    )


def _edit_access(capacity: Role | None) -> EditAccess | SomeFields:
    match capacity:
        case Role.PROXY_ADMIN | Role.ORG_ADMIN:
            return EditAccess(kind="unrestricted")
        case Role.TEAM_ADMIN:
            return SomeFields(kind="team_admin", editable_fields=EDITABLE_BY_TEAM_ADMINS)
        case _:
            return EditAccess(kind="none")
