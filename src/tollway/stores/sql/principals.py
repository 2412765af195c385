"""From a key and everything it belongs to, to the principal that calls are admitted as.

What the contract inherits from team, user, organization and project is settled here, once per load: the data plane only
walks the lists that come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Table, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.core.errors import InvalidRequest
from tollway.core.money import nanos_from_dollars
from tollway.core.principal import (
    NO_SESSION_LIMITS,
    Dependency,
    Grant,
    GrantKind,
    Principal,
    Role,
    Scope,
    SessionLimits,
)
from tollway.core.reporting import LOGGING, Report, place_of, reports_of
from tollway.core.wishes import NO_WISHES, Wishes, read_router_settings
from tollway.db.access_groups import access_group_members, access_groups
from tollway.db.budgets import budgets
from tollway.db.organizations import organization_members, organizations
from tollway.db.projects import projects
from tollway.db.teams import team_members, teams
from tollway.db.users import users
from tollway.stores.sql.limited import (
    from_row,
    is_number,
    merge_model_scopes,
    model_scopes,
    raised,
    scope_of,
    window_scopes,
    with_increase,
)
from tollway.stores.sql.rows import Budget, Organization, OrganizationMember, Project, Team, TeamMember, User
from tollway.stores.sql.virtual_key import VirtualKey

S = TypeVar("S", bound=msgspec.Struct)

ALL_TEAM_MODELS = "all-team-models"
"""In a key's list of models: whatever its team may use."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a key belongs to, as far as it exists."""

    user: User | None = None
    team: Team | None = None
    member: TeamMember | None = None
    """The key's user in the key's team."""
    organization: Organization | None = None
    organization_member: OrganizationMember | None = None
    """The key's user in that organization."""
    project: Project | None = None
    budgets: Mapping[str, Budget] = {}
    """Budgets that any of these link to, by id."""
    key_groups: Mapping[str, list[str]] = {}
    """Models of the access groups that the key was given, by the group's id."""
    team_groups: Mapping[str, list[str]] = {}

    def budget(self, budget_id: str | None) -> Budget | None:
        """A linked budget."""
        return self.budgets.get(budget_id) if budget_id else None


async def load_surroundings(connection: AsyncConnection, key: VirtualKey) -> Surroundings:
    """Reads everything a key belongs to: a few reads by primary key."""
    rows = _Reader(connection)
    user = await rows.one(User, users, users.c.user_id, key.user_id)
    team = await rows.one(Team, teams, teams.c.team_id, key.team_id)
    member = None
    if key.user_id and team:
        is_member = and_(team_members.c.team_id == team.team_id, team_members.c.user_id == key.user_id)
        member = await rows.first(TeamMember, team_members, is_member)
    organization_id = key.organization_id or (team.organization_id if team else None)
    organization = await rows.one(Organization, organizations, organizations.c.organization_id, organization_id)
    organization_member = None
    if key.user_id and organization:
        belongs = and_(
            organization_members.c.organization_id == organization.organization_id,
            organization_members.c.user_id == key.user_id,
        )
        organization_member = await rows.first(OrganizationMember, organization_members, belongs)
    project = await rows.one(Project, projects, projects.c.project_id, key.project_id)
    linked = (
        key.budget_id,
        member.budget_id if member else None,
        team.member_budget_id if team else None,
        organization.budget_id if organization else None,
        organization_member.budget_id if organization_member else None,
        project.budget_id if project else None,
    )
    key_groups, team_groups = await rows.access_groups(key.spend_id, team.team_id if team else None)
    return Surroundings(
        user=user,
        team=team,
        member=member,
        organization=organization,
        organization_member=organization_member,
        project=project,
        budgets={one.budget_id: one for one in await rows.all(Budget, budgets, budgets.c.budget_id, linked)},
        key_groups=key_groups,
        team_groups=team_groups,
    )


class _Reader:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def first(self, kind: type[S], table: Table, condition: ColumnElement[bool]) -> S | None:
        row = (await self._connection.execute(select(table).where(condition))).first()
        return from_row(kind, row) if row else None

    async def one(self, kind: type[S], table: Table, column: ColumnElement[Any], id: str | None) -> S | None:
        return await self.first(kind, table, column == id) if id else None

    async def all(self, kind: type[S], table: Table, column: ColumnElement[Any], ids: Iterable[str | None]) -> list[S]:
        wanted = {one for one in ids if one}
        if not wanted:
            return []
        return [from_row(kind, row) for row in await self._connection.execute(select(table).where(column.in_(wanted)))]

    async def access_groups(
        self, spend_id: str, team_id: str | None
    ) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        member = access_group_members.c
        is_keys = and_(member.member_kind == "key", member.member_id == spend_id)
        is_teams = and_(member.member_kind == "team", member.member_id == team_id)
        query = (
            select(member.member_kind, access_groups.c.access_group_id, access_groups.c.models)
            .join(access_groups, access_groups.c.access_group_id == member.access_group_id)
            .where(or_(is_keys, is_teams) if team_id else is_keys)
        )
        found: dict[str, dict[str, list[str]]] = {"key": {}, "team": {}}
        for kind, group_id, models in await self._connection.execute(query):
            found[kind][group_id] = models
        return found["key"], found["team"]


def principal_of(key: VirtualKey, around: Surroundings, now: float) -> Principal:
    """The caller who holds this key. `now`: epoch seconds, for budgets that are raised for a time."""
    user, team, organization, project = around.user, around.team, around.organization, around.project
    return Principal(
        key_hash=key.key_hash,
        key_alias=key.key_alias,
        key_name=key.key_name or "",
        role=_role(key, user),
        user_id=key.user_id,
        team_id=key.team_id,
        organization_id=organization.organization_id if organization else key.organization_id,
        project_id=key.project_id,
        grants=_grants(key, around),
        aliases={
            **(team.model_aliases if team else {}),
            **_routed_aliases(team.options if team else {}),
            **_routed_aliases(key.options),
            **key.aliases,
        },
        allowed_routes=tuple(key.allowed_routes),
        is_blocked=bool(key.is_blocked),
        blocked_by=_blocked_by(team, project),
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
        valid_until=_valid_until(key, around, now),
        tags=_tags(key, team, project),
        cache_controls=tuple(key.options.get("allowed_cache_controls") or ()),
        metadata=key.metadata,
        permissions=key.permissions,
        end_user_budget_id=key.metadata.get("end_user_budget_id") or None,
        own=_own(key, around, now),
        scopes=_scopes(key, around, now),
        model_scopes=merge_model_scopes(_model_limits(key, around)),
        wishes=_wishes(key, team),
        session_limits=_session_limits(key.metadata, team.metadata if team else {}),
        reports=_reports(key, team),
        depends_on=_dependencies(key, around),
    )


def _reports(key: VirtualKey, team: Team | None) -> tuple[Report, ...]:
    """Who is told about its calls. Credentials are sealed, each to its place."""
    of_key = reports_of(key.metadata.get(LOGGING), owner="key", sealed_to=place_of("keys", key.spend_id))
    if team is None:
        return of_key
    return (
        *of_key,
        *reports_of(team.metadata.get(LOGGING), owner="team", sealed_to=place_of("teams", team.team_id)),
        *reports_of(
            team.options.get("callbacks"),
            owner="team",
            sealed_to=place_of("teams", team.team_id, "callbacks"),
            is_lent=True,
        ),
    )


def _wishes(key: VirtualKey, team: Team | None) -> Wishes:
    wishes = _wishes_in(key.options)
    return wishes.over(_wishes_in(team.options)) if team else wishes


def _wishes_in(options: Mapping[str, Any]) -> Wishes:
    try:
        return read_router_settings(options.get("router_settings"))
    except InvalidRequest:  # written before it was checked, or by another program
        return NO_WISHES


def _routed_aliases(options: Mapping[str, Any]) -> dict[str, str]:
    """`router_settings.model_group_alias`, with its two ways of naming the model."""
    named = (options.get("router_settings") or {}).get("model_group_alias") or {}
    models = {alias: to.get("model") if isinstance(to, dict) else to for alias, to in named.items()}
    return {alias: model for alias, model in models.items() if isinstance(model, str)}


def key_scope(key: VirtualKey, budget: Budget | None = None) -> Scope:
    """A key's own limits, with those of a linked budget where it has none, and the name of their counters."""
    return scope_of("api_key", key.spend_id, key, label=key.key_alias or "key", otherwise=budget)


def key_scope_now(key: VirtualKey, budget: Budget | None, now: float) -> Scope:
    """The same, with the increase that holds for a time. `now`: epoch seconds."""
    return with_increase(key_scope(key, budget), _key_increase(key, now))


def user_scope(user: User) -> Scope:
    """A user's limits, and the name of their counters."""
    return scope_of("user", user.user_id, user, label=user.user_alias or "")


def team_scope(team: Team) -> Scope:
    """A team's limits, and the name of their counters."""
    return scope_of("team", team.team_id, team, label=team.team_alias or "")


def member_scope(member: TeamMember, budget: Budget | None) -> Scope:
    """A member's limits inside a team, and the name of their counters."""
    return scope_of("team_member", f"{member.team_id}:{member.user_id}", budget)


def organization_scope(organization: Organization, budget: Budget | None) -> Scope:
    """An organization's limits, and the name of their counters."""
    label = organization.organization_alias or ""
    return scope_of("organization", organization.organization_id, budget, label=label)


def organization_member_scope(member: OrganizationMember, budget: Budget | None) -> Scope:
    """A member's limits inside an organization, and the name of their counters."""
    return scope_of("organization_member", f"{member.organization_id}:{member.user_id}", budget)


def project_scope(project: Project, budget: Budget | None) -> Scope:
    """A project's limits, and the name of their counters."""
    return scope_of("project", project.project_id, budget, label=project.project_alias or "")


def _role(key: VirtualKey, user: User | None) -> Role:
    if user is not None:
        return user.role
    return Role.TEAM if key.team_id and not key.user_id else Role.INTERNAL_USER


def _blocked_by(team: Team | None, project: Project | None) -> tuple[str, str] | None:
    if team is not None and team.is_blocked:
        return "Team", team.team_id
    if project is not None and project.is_blocked:
        return "Project", project.project_id
    return None


def _grants(key: VirtualKey, around: Surroundings) -> tuple[Grant, ...]:
    """In the contract's order: key, team, member, user (of a personal key), project, organization."""
    user, team, project, organization = around.user, around.team, around.project, around.organization
    member_budget = _member_budget(around)
    lists: list[tuple[GrantKind, Iterable[str], Mapping[str, list[str]]]] = []
    if ALL_TEAM_MODELS not in key.models:
        lists.append(("key", key.models, around.key_groups))
    if team is not None:
        lists.append(("team", team.models, around.team_groups))
        if around.member is not None:
            allowed = member_budget.allowed_models if member_budget and member_budget.allowed_models else None
            lists.append(("team", allowed or team.options.get("default_team_member_models") or (), {}))
    elif user is not None:
        lists.append(("user", user.models, {}))
    if project is not None:
        lists.append(("project", project.models, {}))
    if organization is not None:
        lists.append(("org", organization.models, {}))
    return tuple(Grant(kind, _with_groups(models, groups)) for kind, models, groups in lists if models)


def _with_groups(models: Iterable[str], groups: Mapping[str, list[str]]) -> frozenset[str]:
    return frozenset(models).union(*groups.values())


def _member_budget(around: Surroundings) -> Budget | None:
    member, team = around.member, around.team
    if member is None or team is None:
        return None
    return around.budget(member.budget_id) or around.budget(team.member_budget_id)


def _scopes(key: VirtualKey, around: Surroundings, now: float) -> tuple[Scope, ...]:
    """In the order in which the contract asks them."""
    user, team, organization, project = around.user, around.team, around.organization, around.project
    scopes: list[Scope] = []
    if around.member is not None:
        budget = _member_budget(around)
        scopes.append(raised(member_scope(around.member, budget), budget, now))
    own = _own(key, around, now)
    scopes.append(own)
    if team is not None:
        scopes.append(team_scope(team))
        scopes += window_scopes("team_window", team.team_id, team.options.get("budget_limits"), label=team.team_id)
    scopes += window_scopes("key_window", key.spend_id, key.options.get("budget_limits"), label=own.label)
    if organization is not None:
        budget = around.budget(organization.budget_id)
        scopes.append(raised(organization_scope(organization, budget), budget, now))
    if around.organization_member is not None:
        budget = around.budget(around.organization_member.budget_id)
        scopes.append(raised(organization_member_scope(around.organization_member, budget), budget, now))
    if project is not None:
        budget = around.budget(project.budget_id)
        scopes.append(raised(project_scope(project, budget), budget, now))
    if user is not None:
        scopes.append(_of_user(user_scope(user), is_team_key=team is not None))
    elif key.user_id:
        scopes.append(Scope(kind="user", id=key.user_id, label="user"))
    return tuple(scopes)


def _own(key: VirtualKey, around: Surroundings, now: float) -> Scope:
    return key_scope_now(key, around.budget(key.budget_id), now)


def _of_user(scope: Scope, *, is_team_key: bool) -> Scope:
    # A user's budget holds for personal keys; what team keys spend counts in it all the same.
    return msgspec.structs.replace(scope, budget_nanos=None) if is_team_key else scope


def _model_limits(key: VirtualKey, around: Surroundings) -> Iterable[dict[str, Scope]]:
    user, team, organization, project = around.user, around.team, around.organization, around.project
    linked = around.budget(key.budget_id)
    yield model_scopes(
        "model_per_key",
        key.spend_id,
        rpm=key.metadata.get("model_rpm_limit"),
        tpm=key.metadata.get("model_tpm_limit"),
        budgets=key.options.get("model_max_budget") or (linked.model_max_budget if linked else None),
    )
    if team is not None:
        yield _model_limits_of("model_per_team", team.team_id, team.metadata, team.options.get("model_max_budget"))
    if user is not None and team is None:
        yield _model_limits_of("model_per_user", user.user_id, user.metadata, user.options.get("model_max_budget"))
    if project is not None:
        budget = around.budget(project.budget_id)
        money = budget.model_max_budget if budget else None
        yield _model_limits_of("model_per_project", project.project_id, project.options, money)
    if organization is not None:
        budget = around.budget(organization.budget_id)
        money = budget.model_max_budget if budget else None
        yield _model_limits_of("model_per_organization", organization.organization_id, organization.metadata, money)


def _model_limits_of(kind: Any, id: str, document: Mapping[str, Any], money: object) -> dict[str, Scope]:
    return model_scopes(
        kind, id, rpm=document.get("model_rpm_limit"), tpm=document.get("model_tpm_limit"), budgets=money
    )


def _session_limits(*documents: Mapping[str, Any]) -> SessionLimits:
    """The least of what these say. Callers wrote them: what is no limit is passed over."""
    limits = NO_SESSION_LIMITS
    for document in documents:
        dollars = document.get("max_budget_per_session")
        limits = limits.narrowed(
            SessionLimits(
                _count(document.get("max_iterations")),
                nanos_from_dollars(dollars) if is_number(dollars) else None,
                _count(document.get("max_repeated_calls")),
            )
        )
    return limits


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _tags(key: VirtualKey, team: Team | None, project: Project | None) -> tuple[str, ...]:
    sources = (key.metadata, team.metadata if team else {}, project.metadata if project else {})
    return tuple(dict.fromkeys(tag for source in sources for tag in _texts(source.get("tags"))))


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _key_increase(key: VirtualKey, now: float) -> int:
    ends = _key_increase_ends(key)
    dollars = key.metadata.get("temp_budget_increase")
    if ends is None or ends <= now or not isinstance(dollars, int | float):
        return 0
    return nanos_from_dollars(dollars)


def _key_increase_ends(key: VirtualKey) -> float | None:
    written = key.metadata.get("temp_budget_expiry")
    try:
        ends = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:  # metadata is the caller's own: it may hold anything under this name
        return None
    if ends is None:
        return None
    return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp()


def _valid_until(key: VirtualKey, around: Surroundings, now: float) -> float | None:
    ends = [_key_increase_ends(key)]
    ends += [one.temp_budget_expiry.timestamp() for one in around.budgets.values() if one.temp_budget_expiry]
    return min((end for end in ends if end is not None and end > now), default=None)


def _dependencies(key: VirtualKey, around: Surroundings) -> frozenset[Dependency]:
    # Also what does not exist yet: it may be made.
    organization_id = key.organization_id or (around.team.organization_id if around.team else None)
    named: tuple[tuple[str, str | None], ...] = (
        ("user", key.user_id),
        ("team", key.team_id),
        ("organization", organization_id),
        ("project", key.project_id),
        ("budget", key.budget_id),
        *(("budget", budget_id) for budget_id in around.budgets),
        *(("access_group", group_id) for group_id in (*around.key_groups, *around.team_groups)),
    )
    return frozenset((kind, one) for kind, one in named if one)
