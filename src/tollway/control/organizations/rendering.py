"""From stored organizations to the wire's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.config.logging_entries import shown_metadata
from tollway.control.kit.budgets import render_budget
from tollway.control.kit.context import Context
from tollway.control.kit.limits import render_limits
from tollway.control.organizations.repository import Belonging, Member
from tollway.control.organizations.schemas import (
    MembershipOut,
    OrganizationFull,
    OrganizationOut,
    TeamOut,
    UserOut,
)
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Scope
from tollway.stores.sql.principals import organization_member_scope, organization_scope, team_scope
from tollway.stores.sql.rows import Team, User

Spent = Mapping[tuple[str, str], int]
"""Nano-dollars by the key of a scope."""


def scopes_of(shown: Belonging) -> list[Scope]:
    """Everything in it whose spend is shown."""
    return [
        organization_scope(shown.organization, shown.budget),
        *(organization_member_scope(one.membership, one.budget) for one in shown.members),
        *(team_scope(team) for team in shown.teams),
    ]


def render_organization(context: Context, shown: Belonging, spent: Spent) -> OrganizationOut:
    """An organization alone."""
    return OrganizationOut(**_row(context, shown, spent))


def render_full(context: Context, shown: Belonging, spent: Spent) -> OrganizationFull:
    """An organization with its members and teams."""
    return OrganizationFull(
        **_row(context, shown, spent),
        members=[render_member(context, member, spent) for member in shown.members],
        teams=[_render_team(team, spent) for team in shown.teams],
    )


def render_member(context: Context, member: Member, spent: Spent) -> MembershipOut:
    """Somebody in an organization."""
    membership, user = member.membership, member.user
    scope = organization_member_scope(membership, member.budget)
    return MembershipOut(
        organization_id=membership.organization_id,
        user_id=membership.user_id,
        user_role=membership.role,
        user_email=user.user_email if user else None,
        spend=dollars_from_nanos(spent.get(scope.key, 0)),
        budget_id=membership.budget_id,
        litellm_budget_table=render_budget(context, member.budget),
        user=render_user(user) if user else None,
        created_at=membership.created_at,
        updated_at=membership.updated_at,
    )


def render_user(user: User) -> UserOut:
    """A person."""
    return UserOut(
        user_id=user.user_id,
        user_email=user.user_email,
        user_alias=user.user_alias,
        user_role=user.user_role,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


def _row(context: Context, shown: Belonging, spent: Spent) -> dict[str, Any]:
    organization = shown.organization
    same = ("organization_id", "organization_alias", "budget_id", "metadata", "models")
    history = ("created_at", "created_by", "updated_at", "updated_by")
    return {
        **{name: getattr(organization, name) for name in (*same, *history)},
        "spend": dollars_from_nanos(spent.get(organization_scope(organization, shown.budget).key, 0)),
        "object_permission": organization.options.get("object_permission"),
        "litellm_budget_table": render_budget(context, shown.budget),
    }


def _render_team(team: Team, spent: Spent) -> TeamOut:
    return TeamOut(
        team_id=team.team_id,
        team_alias=team.team_alias,
        organization_id=team.organization_id,
        models=team.models,
        blocked=team.is_blocked,
        metadata=shown_metadata(team.metadata),
        spend=dollars_from_nanos(spent.get(team_scope(team).key, 0)),
        **render_limits(team),
        created_at=team.created_at,
        updated_at=team.updated_at,
    )
