"""`/organization/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import Context, ContextDep
from tollway.control.kit.errors import Detail
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import PageDep, warn_of_more
from tollway.control.organizations.members import MemberService
from tollway.control.organizations.rendering import render_full, render_member, render_organization, render_user
from tollway.control.organizations.schemas import (
    MemberDelete,
    MembersAdd,
    MembersAdded,
    MembershipOut,
    MemberUpdate,
    OrganizationCreate,
    OrganizationFull,
    OrganizationIds,
    OrganizationOut,
    OrganizationPatch,
    OrganizationQuestion,
    OrganizationUpdate,
)
from tollway.control.organizations.service import OrganizationService, Shown

router = resource_router("organizations")


async def _organization_service(context: ContextDep) -> OrganizationService:
    return OrganizationService(context)


async def _member_service(context: ContextDep) -> MemberService:
    return MemberService(context)


Organizations = Annotated[OrganizationService, Depends(_organization_service)]
Members = Annotated[MemberService, Depends(_member_service)]


@router.post("/organization/new")
async def create_organization(
    body: OrganizationCreate, response: Response, organizations: Organizations, context: ContextDep
) -> OrganizationOut:
    """Make an organization: teams, people and keys that share one budget, limits and a list of models."""
    shown = await organizations.create(body)
    warn(response, body)
    return render_organization(context, shown.organizations[0], shown.spent)


@router.patch("/organization/update")
async def update_organization(
    body: OrganizationUpdate, response: Response, organizations: Organizations, context: ContextDep
) -> OrganizationFull:
    """Change the fields that are sent; null clears one."""
    changes = body.changes()
    shown = await organizations.update(changes.pop("organization_id"), changes)
    warn(response, body)
    return _render_all(context, shown)[0]


@router.patch("/v2/organization/{organization_id}")
async def patch_organization(
    organization_id: str, body: OrganizationPatch, organizations: Organizations, context: ContextDep
) -> OrganizationFull:
    """Change the fields that are sent of the organization in the path; fields that do not exist are refused."""
    return _render_all(context, await organizations.update(organization_id, body.changes()))[0]


@router.delete("/organization/delete")
async def delete_organizations(
    body: OrganizationIds, response: Response, organizations: Organizations, context: ContextDep
) -> list[OrganizationFull]:
    """Delete organizations that have no teams and no keys any more; their memberships go with them."""
    shown = await organizations.delete(body.organization_ids)
    warn(response, body)
    return _render_all(context, shown)


@router.get("/organization/list")
async def list_organizations(
    response: Response,
    organizations: Organizations,
    context: ContextDep,
    page: PageDep,
    org_id: str | None = None,
    org_alias: str | None = None,
) -> list[OrganizationFull]:
    """The organizations the caller belongs to; all of them for an admin. Newest first."""
    shown, total = await organizations.list_page(page, organization_id=org_id, alias=org_alias)
    warn_of_more(response, page, total)
    return _render_all(context, shown)


@router.get("/organization/info")
async def show_organization(
    organization_id: str, organizations: Organizations, context: ContextDep
) -> OrganizationFull:
    """One organization, with its members, teams and budget."""
    found = _render_all(context, await organizations.find_many([organization_id]))
    if not found:
        raise Detail({"error": "Organization not found"}, status=404)
    return found[0]


@router.post("/organization/info")
async def show_organizations(
    body: OrganizationQuestion, response: Response, organizations: Organizations, context: ContextDep
) -> list[OrganizationFull]:
    """Several organizations. Those that do not exist are left out."""
    shown = await organizations.find_many(body.organizations)
    warn(response, body)
    return _render_all(context, shown)


@router.post("/organization/member_add")
async def add_members(body: MembersAdd, response: Response, members: Members, context: ContextDep) -> MembersAdded:
    """Add people to an organization, with what they are there and what they may spend. New people are made."""
    added, spent = await members.add(body)
    warn(response, body)
    return MembersAdded(
        organization_id=body.organization_id,
        updated_users=[render_user(one.user) for one in added if one.user],
        updated_organization_memberships=[render_member(context, one, spent) for one in added],
    )


@router.patch("/organization/member_update")
async def update_member(body: MemberUpdate, response: Response, members: Members, context: ContextDep) -> MembershipOut:
    """Change somebody's role or budget in an organization."""
    changed, spent = await members.update(body)
    warn(response, body)
    return render_member(context, changed[0], spent)


@router.delete("/organization/member_delete")
async def delete_member(body: MemberDelete, response: Response, members: Members, context: ContextDep) -> MembershipOut:
    """Take somebody out of an organization."""
    gone, spent = await members.delete(body)
    warn(response, body)
    return render_member(context, gone[0], spent)


def _render_all(context: Context, shown: Shown) -> list[OrganizationFull]:
    return [render_full(context, one, shown.spent) for one in shown.organizations]
