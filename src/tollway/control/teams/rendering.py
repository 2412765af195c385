"""From stored teams and members to the wire's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from tollway.config.logging_entries import shown_metadata
from tollway.config.secret import masked, protect
from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context
from tollway.control.kit.limits import render_limits
from tollway.control.kit.spending import resets_at
from tollway.control.teams.answers import (
    MemberOut,
    MembershipOut,
    NamedMemberOut,
    OwnMembership,
    SourcedMembership,
    TeamCounted,
    TeamOut,
    TeamRow,
    UserOut,
)
from tollway.control.teams.fields import MEMBER_BUDGET_ID
from tollway.control.teams.repository import DeletedTeam
from tollway.control.teams.spending import Membership, MemberSpend
from tollway.core.money import dollars_from_nanos
from tollway.stores.sql.rows import AccessGroup, Team, TeamMember, User

_SAME_OPTIONS = ("tpd_limit", "model_max_budget", "router_settings", "object_permission", "default_team_member_models")
_UNLIMITED_USER = ("max_parallel_requests", "budget_duration", "tpm_limit", "rpm_limit", "max_budget")


class TeamView(msgspec.Struct, frozen=True, kw_only=True):
    """A team with what is shown of it."""

    team: Team
    members: Sequence[TeamMember]
    people: Mapping[str, User]
    """Users by id, as far as they exist."""
    access_groups: Sequence[AccessGroup]
    spent_nanos: int
    hides_secrets: bool = False
    """Values of `metadata` that look like credentials are masked."""


def render_team(context: Context, view: TeamView) -> TeamOut:
    """A team."""
    return TeamOut(**_row(context, view), members_with_roles=[_member(view, one) for one in view.members])


def render_row(context: Context, view: TeamView) -> TeamRow:
    """A team with its relations."""
    return TeamRow(**render_team(context, view).model_dump())


def render_counted(context: Context, view: TeamView, *, members: int, keys: int) -> TeamCounted:
    """An entry of the paged listing."""
    team = view.team
    deleted = (team.deleted_at, team.deleted_by) if isinstance(team, DeletedTeam) else (None, None)
    return TeamCounted(
        **render_team(context, view).model_dump(),
        **render_access_groups(view.access_groups),
        members_count=members,
        keys_count=keys,
        deleted_at=deleted[0],
        deleted_by=deleted[1],
    )


def render_named_members(view: TeamView) -> list[NamedMemberOut]:
    """Members with the names people know them by."""
    named = [(one, view.people.get(one.user_id)) for one in view.members]
    return [
        NamedMemberOut(**_member(view, one).model_dump(), user_alias=user.user_alias if user else None)
        for one, user in named
    ]


def render_access_groups(groups: Sequence[AccessGroup]) -> dict[str, Any]:
    """What access groups add to a team; nulls for a team without any."""
    if not groups:
        return {"access_group_models": None, "access_group_mcp_server_ids": None, "access_group_agent_ids": None}
    return {
        "access_group_models": sorted({model for group in groups for model in group.models}),
        "access_group_mcp_server_ids": sorted({one for group in groups for one in group.mcp_server_ids}),
        "access_group_agent_ids": sorted({one for group in groups for one in group.agent_ids}),
    }


def render_access_group(group: AccessGroup) -> dict[str, Any]:
    """An entry of `access_group_details`."""
    return {"access_group_id": group.access_group_id, "access_group_name": group.name, "models": group.models}


def source_of(membership: Membership) -> Literal["individual", "team_default", "none"]:
    """Where a member's budget comes from."""
    if membership.budget is None:
        return "none"
    return "team_default" if membership.is_default else "individual"


def render_membership(context: Context, membership: Membership, spend: MemberSpend) -> MembershipOut:
    """A membership."""
    return MembershipOut(**_membership(context, membership, spend))


def render_sourced(context: Context, membership: Membership, spend: MemberSpend) -> SourcedMembership:
    """A membership, with where its budget comes from."""
    return SourcedMembership(**_membership(context, membership, spend), budget_source=source_of(membership))


def render_own(
    context: Context, membership: Membership, spend: MemberSpend, team: Team, user: User | None
) -> OwnMembership:
    """The caller's own membership."""
    return OwnMembership(
        **_membership(context, membership, spend),
        team_alias=team.team_alias,
        role=membership.member.role,
        user_email=user.user_email if user else None,
    )


def render_user(context: Context, user: User, *, teams: Sequence[str], spent_nanos: int) -> UserOut:
    """A user."""
    limits = render_limits(user)
    return UserOut(
        **{name: getattr(user, name) for name in ("user_id", "user_alias", "user_email", "user_role", "sso_user_id")},
        **{name: limits[name] for name in _UNLIMITED_USER},
        models=user.models,
        metadata=masked(protect(user.metadata)),
        model_max_budget=user.options.get("model_max_budget", {}),
        teams=list(teams),
        spend=dollars_from_nanos(spent_nanos),
        budget_reset_at=resets_at(context.services, user.budget_duration),
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


def _row(context: Context, view: TeamView) -> dict[str, Any]:
    team = view.team
    policies = team.metadata.get("policies")
    own = masked(protect(shown_metadata(team.metadata))) if view.hides_secrets else shown_metadata(team.metadata)
    linked = {MEMBER_BUDGET_ID: team.member_budget_id} if team.member_budget_id else {}
    return {
        "team_id": team.team_id,
        "team_alias": team.team_alias,
        "organization_id": team.organization_id,
        "team_member_permissions": team.member_permissions,
        "metadata": {**own, **linked},
        **render_limits(team),
        **{name: team.options[name] for name in _SAME_OPTIONS if name in team.options},
        "budget_reset_at": resets_at(context.services, team.budget_duration),
        "budget_limits": _windows(context, team.options.get("budget_limits")),
        "spend": dollars_from_nanos(view.spent_nanos),
        "models": team.models,
        "model_id": team.team_id if team.model_aliases else None,
        "litellm_model_table": _aliases(team),
        "blocked": team.is_blocked,
        "access_group_ids": [group.access_group_id for group in view.access_groups],
        "policies": policies if isinstance(policies, list) else [],
        "created_at": team.created_at,
        "updated_at": team.updated_at,
    }


def _member(view: TeamView, member: TeamMember) -> MemberOut:
    user = view.people.get(member.user_id)
    return MemberOut(role=member.role, user_id=member.user_id, user_email=user.user_email if user else None)


def _membership(context: Context, membership: Membership, spend: MemberSpend) -> dict[str, Any]:
    return {
        "user_id": membership.member.user_id,
        "team_id": membership.member.team_id,
        "budget_id": membership.budget.budget_id if membership.budget else None,
        "spend": dollars_from_nanos(spend.nanos),
        "total_spend": dollars_from_nanos(spend.total_nanos),
        "litellm_budget_table": render_budget(context, membership.budget),
    }


def _windows(context: Context, limits: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    if limits is None:
        return None
    ends: list[datetime | None] = [resets_at(context.services, one["budget_duration"]) for one in limits]
    return [{**one, "reset_at": end} for one, end in zip(limits, ends, strict=True)]


def _aliases(team: Team) -> dict[str, Any] | None:
    if not team.model_aliases:
        return None
    return {
        "id": team.team_id,
        "model_aliases": team.model_aliases,
        "created_by": team.created_by,
        "updated_by": team.updated_by,
        "team": None,
    }
