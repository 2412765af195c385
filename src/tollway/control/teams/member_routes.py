"""Members of teams: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import Context, ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.keys import KeyDeskDep
from tollway.control.kit.limits import dollars
from tollway.control.teams.answers import (
    ManyMembersAdded,
    MemberBudgetWasReset,
    MemberResult,
    MembersAdded,
    MembershipOut,
    MemberSpendWasReset,
    MemberUpdated,
    OwnMembership,
    TeamOut,
    UserOut,
)
from tollway.control.teams.members import Addition, MemberService
from tollway.control.teams.people import describe
from tollway.control.teams.rendering import render_membership, render_own, render_team, render_user, source_of
from tollway.control.teams.routes import Reader
from tollway.control.teams.schemas import MemberAdd, MemberName, MembersAdd, MemberSpendReset, MemberUpdate
from tollway.control.teams.spending import Membership, spend_of_members
from tollway.core.money import dollars_from_nanos

router = resource_router("teams")


async def _member_service(context: ContextDep, keys: KeyDeskDep) -> MemberService:
    return MemberService(context, keys)


Members = Annotated[MemberService, Depends(_member_service)]


@router.post("/team/member_add")
async def add_member(body: MemberAdd, response: Response, members: Members, reader: Reader) -> MembersAdded:
    """Add somebody to a team, or several people at once. Who is not a user yet becomes one."""
    added = await members.add(body)
    warn(response, body, *(warning for one in body.people for warning in one.warnings()))
    users = await _users(reader.context, added)
    return MembersAdded(
        **render_team(reader.context, await reader.view(body.team_id)).model_dump(),
        updated_users=[users[one.member.user_id] for one in added],
        updated_team_memberships=await _memberships(reader.context, added),
    )


@router.post("/team/bulk_member_add")
async def add_members(body: MembersAdd, response: Response, members: Members, reader: Reader) -> ManyMembersAdded:
    """Add many people to a team; what became of each."""
    additions = await members.add_many(body)
    warn(response, body)
    added = [one.membership for one in additions if one.membership is not None]
    users = await _users(reader.context, added)
    memberships = {one.user_id: one for one in await _memberships(reader.context, added)}
    return ManyMembersAdded(
        team_id=body.team_id,
        results=[_result(one, users, memberships) for one in additions],
        total_requested=len(additions),
        successful_additions=len(added),
        failed_additions=len(additions) - len(added),
        updated_team=render_team(reader.context, await reader.view(body.team_id)),
    )


@router.post("/team/member_update")
async def update_member(body: MemberUpdate, response: Response, members: Members) -> MemberUpdated:
    """Change what a member is to a team, and what they may use of it."""
    changed = await members.update(body)
    warn(response, body)
    return MemberUpdated(**{**body.changes(), "user_id": changed.user_id})


@router.post("/team/member_delete")
async def delete_member(body: MemberName, response: Response, members: Members, reader: Reader) -> TeamOut:
    """Take somebody out of a team. Their keys of the team stop working."""
    await members.remove(body)
    warn(response, body)
    return render_team(reader.context, await reader.view(body.team_id))


@router.get("/team/{team_id}/members/me")
async def show_own_membership(team_id: str, reader: Reader) -> OwnMembership:
    """What the caller is to a team, has of it, and has spent."""
    own = await reader.own(team_id)
    return render_own(reader.context, own.membership, own.spend, own.team, own.user)


@router.post("/team/{team_id}/member/{user_id}/reset_spend")
async def reset_member_spend(
    team_id: str, user_id: str, body: MemberSpendReset, response: Response, members: Members
) -> MemberSpendWasReset:
    """Lower what a member has spent in the current budget window. The ledger keeps a record of it."""
    membership, before = await members.reset_spend(team_id, user_id, body.reset_to)
    warn(response, body)
    return MemberSpendWasReset(
        team_id=team_id,
        user_id=user_id,
        spend=body.reset_to,
        previous_spend=dollars_from_nanos(before),
        max_budget=dollars(membership.budget.max_budget_nanos) if membership.budget else None,
    )


@router.post("/team/{team_id}/member/{user_id}/reset_budget")
async def reset_member_budget(team_id: str, user_id: str, members: Members) -> MemberBudgetWasReset:
    """Give a member the team's budget for its members again, instead of their own."""
    membership, previous = await members.reset_budget(team_id, user_id)
    return MemberBudgetWasReset(
        team_id=team_id,
        user_id=user_id,
        budget_id=membership.budget.budget_id if membership.budget else None,
        previous_budget_id=previous,
        budget_source=source_of(membership),
    )


async def _users(context: Context, added: list[Membership]) -> dict[str, UserOut]:
    people = await describe(context.services, [one.member.user_id for one in added])
    return {
        one.user.user_id: render_user(context, one.user, teams=one.teams, spent_nanos=one.spent_nanos) for one in people
    }


async def _memberships(context: Context, added: list[Membership]) -> list[MembershipOut]:
    spent = await spend_of_members(context.services, added)
    return [render_membership(context, one, spend) for one, spend in zip(added, spent, strict=True)]


def _result(addition: Addition, users: dict[str, UserOut], memberships: dict[str, MembershipOut]) -> MemberResult:
    asked, membership = addition.asked, addition.membership
    user_id = membership.member.user_id if membership else asked.user_id
    return MemberResult(
        user_id=user_id,
        user_email=asked.user_email,
        success=membership is not None,
        error=addition.error,
        updated_user=users.get(user_id or "") if membership else None,
        updated_team_membership=memberships.get(user_id or "") if membership else None,
    )
