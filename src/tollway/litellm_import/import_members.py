"""Members of teams and organizations, further budget windows, and values that keys had before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table

from tollway.core.principal import Scope, ScopeKind
from tollway.db.budgets import budgets
from tollway.db.keys import retired_key_hashes, virtual_keys
from tollway.db.organizations import organization_members
from tollway.db.teams import team_members, teams
from tollway.db.users import users
from tollway.litellm_import import rules
from tollway.litellm_import.job import Job
from tollway.litellm_import.members import emails_in, members_of_team, organization_member, retired_hash
from tollway.litellm_import.report import Note
from tollway.litellm_import.rules import wire_fields
from tollway.litellm_import.source import Row
from tollway.litellm_import.spending import Carried, hash_of
from tollway.stores.sql.principals import member_scope, organization_member_scope
from tollway.stores.sql.rows import Budget, TeamMember

MEMBERS = "members of teams"
"""They are named by the rows of teams, and have budgets in a table of their own."""

_WINDOWS: Mapping[str, ScopeKind] = {"key": "key_window", "team": "team_window"}

_Links = Mapping[tuple[str, str], Row]


async def import_members(job: Job) -> None:
    """Those of teams and those of organizations."""
    links = await _links(job)
    async for rows in job.batches(rules.TEAMS.table, order=("team_id",), shows=False):
        await _put_members(job, await _members(job, rows, links), links)
    async for rows in job.batches(rules.ORGANIZATION_MEMBERS.table, order=("organization_id", "user_id")):
        await _put_organization_members(job, rows)


async def _links(job: Job) -> _Links:
    """Budgets and spend of members, by team and user; those who have neither are not remembered."""
    found: dict[tuple[str, str], Row] = {}
    async for rows in job.batches(rules.TEAM_MEMBERS.table, order=("team_id", "user_id")):
        for row in rows:
            if row.get("budget_id") or row.get("spend"):
                found[row["team_id"], row["user_id"]] = row
    return found


async def _members(job: Job, rows: Sequence[Row], links: _Links) -> list[TeamMember]:
    by_email = await job.target.look_up(users.c.email_key, users.c.user_id, emails_in(rows))
    made_at = await job.target.look_up(teams.c.team_id, teams.c.created_at, {row["team_id"] for row in rows})
    found: list[TeamMember] = []
    for row in rows:
        notes: list[Note] = []
        if row["team_id"] in made_at:
            found += members_of_team(row, made_at[row["team_id"]], by_email, notes)
        for note in notes:
            job.report.row(MEMBERS, row["team_id"], "dropped", [note])
    return [
        msgspec.structs.replace(one, budget_id=links.get((one.team_id, one.user_id), {}).get("budget_id"))
        for one in found
    ]


async def _put_members(job: Job, found: Sequence[TeamMember], links: _Links) -> None:
    await _put(
        job,
        MEMBERS,
        team_members,
        [_Joined(one, links.get((one.team_id, one.user_id), {}).get("spend"), []) for one in found],
        member_scope,
    )


async def _put_organization_members(job: Job, rows: Sequence[Row]) -> None:
    joined = [_Joined(organization_member(row), row.get("spend"), []) for row in rows]
    for row, one in zip(rows, joined, strict=True):
        wire_fields(rules.ORGANIZATION_MEMBERS, row, one.notes)
    await _put(job, rules.ORGANIZATION_MEMBERS.table, organization_members, joined, organization_member_scope)


class _Joined(NamedTuple):
    """Somebody in a team or an organization, and what LiteLLM says was spent there."""

    member: Any
    spend: Any
    notes: list[Note]


async def _put(
    job: Job,
    name: str,
    table: Table,
    joined: Sequence[_Joined],
    scope_of: Callable[[Any, Budget | None], Scope],
) -> None:
    outcomes = await job.target.put(table, [one.member for one in joined])
    linked = await job.target.rows(budgets, Budget, {one.member.budget_id for one in joined})
    counters = [
        Carried(
            scope_of(member, linked.get(member.budget_id or "")),
            spend,
            job.resets.get(member.budget_id or ""),
            team_id=getattr(member, "team_id", ""),
            user_id=member.user_id,
        )
        for member, spend, _ in joined
    ]
    remarks = {counter.scope.id: one.notes for counter, one in zip(counters, joined, strict=True)}
    await job.spending.carry(counters, remarks)
    for counter, outcome, one in zip(counters, outcomes, joined, strict=True):
        job.report.row(name, counter.scope.id, outcome, one.notes)


async def import_windows(job: Job) -> None:
    """Spend in further windows of keys and teams (`budget_limits`)."""
    async for rows in job.batches(rules.WINDOWS, order=("entity_type", "entity_id", "window_duration")):
        for row in rows:
            kind = _WINDOWS.get(str(row["entity_type"]).lower())
            name = f"{row['entity_type']}:{row['entity_id']}:{row['window_duration']}"
            if kind is None:
                job.drop(rules.WINDOWS, name, [], "there are such windows of keys and teams alone")
                continue
            notes: list[Note] = []
            is_news = await job.spending.carry([_window(job, kind, row)], {_window_id(row): notes})
            job.report.row(rules.WINDOWS, name, "kept" if is_news else "present", notes)


def _window(job: Job, kind: ScopeKind, row: Row) -> Carried:
    duration, began = row["window_duration"], row.get("window_start")
    span = job.clock.window(duration)
    is_over = began is not None and began.timestamp() + (span.end - span.start) <= job.clock.now
    scope = Scope(kind=kind, id=_window_id(row), budget_duration=duration)
    return Carried(scope, row.get("spend"), job.now if is_over else None)


def _window_id(row: Row) -> str:
    return f"{hash_of(row['entity_id'])}:{row['window_duration']}"


async def import_old_keys(job: Job) -> None:
    """Values that keys had before they were regenerated, which work until their grace is over."""
    table = rules.OLD_KEYS.table
    async for rows in job.batches(table, order=("id",)):
        found = [retired_hash(row) for row in rows]
        spend_ids = {one.spend_id for one in found}
        living = await job.target.look_up(virtual_keys.c.spend_id, virtual_keys.c.key_hash, spend_ids)
        kept = [one for one in found if one.spend_id in living]
        for one, outcome in zip(kept, await job.target.put(retired_key_hashes, kept), strict=True):
            job.report.row(table, one.key_hash, outcome)
        for one in found:
            if one.spend_id not in living:
                job.drop(table, one.key_hash, [], "the key that took its place is not there")
