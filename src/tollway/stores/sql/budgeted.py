"""Everything that has a budget, and what was spent of it: to check that spend <= limit + one call."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.core.principal import Scope, ScopeKind
from tollway.core.record import Charge
from tollway.core.windows import window
from tollway.db.access_groups import model_access_group_budgets
from tollway.db.budgets import budgets
from tollway.db.customers import customers
from tollway.db.keys import virtual_keys
from tollway.db.ledger import spend_windows
from tollway.db.organizations import organization_members, organizations
from tollway.db.projects import projects
from tollway.db.tags import tags
from tollway.db.teams import team_members, teams
from tollway.db.users import users
from tollway.ports.verification import BudgetCheck, BudgetUse
from tollway.stores.sql.entities import customer_scope, group_scope, tag_scope
from tollway.stores.sql.ledger import WINDOW_KEY
from tollway.stores.sql.limited import from_row, model_scopes, raised, window_scopes
from tollway.stores.sql.principals import (
    key_scope_now,
    member_scope,
    organization_member_scope,
    organization_scope,
    project_scope,
    team_scope,
    user_scope,
)
from tollway.stores.sql.replay import Replayed
from tollway.stores.sql.rows import (
    Budget,
    Customer,
    Organization,
    OrganizationMember,
    Project,
    Tag,
    Team,
    TeamMember,
    User,
)
from tollway.stores.sql.virtual_key import VirtualKey

LISTED = 1000
"""Budgets of each sort that are listed; the others are counted."""

_BATCH = 500


class BudgetRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about budgets."""

    now: float
    """Epoch seconds: windows are those that this moment lies in."""
    timezone: str = "UTC"
    reset_time: str = "00:00"
    customer_budget_id: str | None = None
    """The budget of customers who have none of their own."""


async def check_budgets(
    connection: AsyncConnection, replayed: Replayed, rules: BudgetRules, *, is_whole: Callable[[int], bool]
) -> BudgetCheck:
    """Compares every budget with what was spent of it.

    `is_whole`: whether all of a window was replayed, by its start.
    """
    total = 0
    found: dict[str, int] = {"over": 0, "unproven": 0}
    suspects: list[BudgetUse] = []
    most_used: list[tuple[float, int, BudgetUse]] = []
    order = count()
    async for scopes in _budgeted(connection, rules):
        for use in await _uses(connection, replayed, rules, scopes, is_whole):
            total += 1
            if use.verdict in found:
                found[use.verdict] += 1
                if len(suspects) < LISTED:
                    suspects.append(use)
                continue
            share = use.spent_nanos / use.limit_nanos if use.limit_nanos else float(use.spent_nanos > 0)
            heapq.heappush(most_used, (share, -next(order), use))
            if len(most_used) > LISTED:
                heapq.heappop(most_used)
    suspects.sort(key=lambda use: use.verdict)
    listed = [*suspects, *(use for _, _, use in sorted(most_used, reverse=True))]
    return BudgetCheck(budgets=total, over=found["over"], unproven=found["unproven"], listed=listed)


async def _uses(
    connection: AsyncConnection,
    replayed: Replayed,
    rules: BudgetRules,
    scopes: Iterable[Scope],
    is_whole: Callable[[int], bool],
) -> list[BudgetUse]:
    limits: dict[Charge, int] = {}
    for scope in scopes:
        if scope.budget_nanos is not None:
            span = window(scope.budget_duration, rules.now, timezone=rules.timezone, reset_time=rules.reset_time)
            limits[Charge(scope.kind, scope.id, span.start)] = scope.budget_nanos
    columns = [spend_windows.c[name] for name in WINDOW_KEY]
    wanted = [msgspec.structs.astuple(charge) for charge in limits]
    query = select(*columns, spend_windows.c.spend_nanos).where(tuple_(*columns).in_(wanted))
    spent = {Charge(*key): nanos for *key, nanos in await connection.execute(query)} if wanted else {}
    made = replayed.windows(list(limits))
    return [
        BudgetUse(
            scope_kind=charge.scope_kind,
            scope_id=charge.scope_id,
            window_start=charge.window_start,
            limit_nanos=limit,
            spent_nanos=spent.get(charge, 0),
            dearest_nanos=made[charge].dearest_nanos if charge in made else 0,
            unlimited_nanos=made[charge].unlimited_nanos if charge in made else 0,
            is_whole=is_whole(charge.window_start),
        )
        for charge, limit in limits.items()
    ]


async def _budgeted(connection: AsyncConnection, rules: BudgetRules) -> AsyncIterator[list[Scope]]:
    """Scopes of everything that may have a budget, in batches."""
    for source in _SOURCES:
        async for rows in _batches(connection, source):
            ids = [source.budget_id(row, rules) for row in rows]
            linked = await _linked(connection, ids)
            yield [
                scope
                for row, budget_id in zip(rows, ids, strict=True)
                for scope in source.scopes(row, linked.get(budget_id or ""), rules.now)
            ]


async def _batches(connection: AsyncConnection, source: _Source) -> AsyncIterator[list[Any]]:
    after: tuple[Any, ...] | None = None
    key = list(source.table.primary_key)
    while True:
        query = source.query.order_by(*key).limit(_BATCH)
        if after is not None:
            query = query.where(tuple_(*key) > tuple_(*after))
        rows = (await connection.execute(query)).all()
        if rows:
            yield [from_row(source.kind, row) for row in rows]
        if len(rows) < _BATCH:
            return
        after = tuple(rows[-1]._mapping[column.name] for column in key)


async def _linked(connection: AsyncConnection, ids: Iterable[str | None]) -> dict[str, Budget]:
    wanted = sorted({one for one in ids if one})
    if not wanted:
        return {}
    rows = await connection.execute(select(budgets).where(budgets.c.budget_id.in_(wanted)))
    return {budget.budget_id: budget for budget in (from_row(Budget, row) for row in rows)}


def _of_key(key: VirtualKey, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield key_scope_now(key, budget, now)
    yield from window_scopes("key_window", key.spend_id, key.options.get("budget_limits"))
    money = key.options.get("model_max_budget") or (budget.model_max_budget if budget else None)
    yield from model_scopes("model_per_key", key.spend_id, budgets=money).values()


def _of_user(user: User, _budget: Budget | None, _now: float) -> Iterator[Scope]:
    yield user_scope(user)
    yield from model_scopes("model_per_user", user.user_id, budgets=user.options.get("model_max_budget")).values()


def _of_team(team: Team, _budget: Budget | None, _now: float) -> Iterator[Scope]:
    yield team_scope(team)
    yield from window_scopes("team_window", team.team_id, team.options.get("budget_limits"))
    yield from model_scopes("model_per_team", team.team_id, budgets=team.options.get("model_max_budget")).values()


def _of_member(member: TeamMember, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(member_scope(member, budget), budget, now)


def _of_organization(organization: Organization, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(organization_scope(organization, budget), budget, now)
    yield from _per_model("model_per_organization", organization.organization_id, budget)


def _of_organization_member(member: OrganizationMember, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(organization_member_scope(member, budget), budget, now)


def _of_project(project: Project, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(project_scope(project, budget), budget, now)
    yield from _per_model("model_per_project", project.project_id, budget)


def _of_customer(customer: Customer, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(customer_scope(customer.customer_id, budget), budget, now)
    yield from _per_model("model_per_end_user", customer.customer_id, budget)


def _of_tag(tag: Tag, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(tag_scope(tag.name, budget), budget, now)


class _GroupBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `model_access_group_budgets`."""

    name: str
    budget_id: str


def _of_group(group: _GroupBudget, budget: Budget | None, now: float) -> Iterator[Scope]:
    yield raised(group_scope(group.name, budget), budget, now)


def _per_model(kind: ScopeKind, id: str, budget: Budget | None) -> Iterable[Scope]:
    return model_scopes(kind, id, budgets=budget.model_max_budget if budget else None).values()


class _Source(NamedTuple):
    """One sort of entity."""

    table: Table
    kind: type[Any]
    scopes: Callable[[Any, Budget | None, float], Iterable[Scope]]
    """From a row, its linked budget and the present moment."""
    query: Select[Any]
    budget_id: Callable[[Any, BudgetRules], str | None]


def _source(table: Table, kind: type[Any], scopes: Callable[[Any, Budget | None, float], Iterable[Scope]]) -> _Source:
    return _Source(table, kind, scopes, select(table), lambda row, _rules: getattr(row, "budget_id", None))


_MEMBERS = select(
    *(column for column in team_members.c if column.name != "budget_id"),
    func.coalesce(team_members.c.budget_id, teams.c.member_budget_id).label("budget_id"),
).outerjoin_from(team_members, teams, teams.c.team_id == team_members.c.team_id)

_SOURCES: Sequence[_Source] = (
    _source(virtual_keys, VirtualKey, _of_key),
    _source(users, User, _of_user),
    _source(teams, Team, _of_team),
    _source(team_members, TeamMember, _of_member)._replace(query=_MEMBERS),
    _source(organizations, Organization, _of_organization),
    _source(organization_members, OrganizationMember, _of_organization_member),
    _source(projects, Project, _of_project),
    _source(customers, Customer, _of_customer)._replace(
        budget_id=lambda customer, rules: customer.budget_id or rules.customer_budget_id
    ),
    _source(tags, Tag, _of_tag),
    _source(model_access_group_budgets, _GroupBudget, _of_group),
)
