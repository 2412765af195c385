"""Budgets, organizations, people, teams, keys and the like: each row built, put, and its spend carried over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.core.reporting import LOGGING
from tollway.db.access_groups import access_group_members
from tollway.db.budgets import budgets
from tollway.db.keys import virtual_keys
from tollway.db.teams import teams
from tollway.db.users import users
from tollway.litellm_import import rules
from tollway.litellm_import.entities import KINDS, Around, Dropped, Kind, build
from tollway.litellm_import.job import Job
from tollway.litellm_import.members import GroupMember, group_members, groups_held
from tollway.litellm_import.report import Note
from tollway.litellm_import.source import Row
from tollway.litellm_import.spending import Carried
from tollway.stores.sql.rows import Budget, Team, User
from tollway.stores.sql.virtual_key import VirtualKey

_TAKEN = "an older row has it, and here it belongs to one: it is {}"


class _Made(NamedTuple):
    row: Row
    entity: Any
    notes: list[Note]


async def import_entities(job: Job) -> None:
    """All kinds of them, in an order in which whatever a row needs has come before."""
    for kind in KINDS:
        async for rows in job.batches(kind.rule.table, order=kind.order or (kind.id,)):
            await _import_batch(job, kind, rows)


async def _import_batch(job: Job, kind: Kind[Any], rows: Sequence[Row]) -> None:
    around = await _around(job, rows)
    made = []
    for row in rows:
        notes: list[Note] = []
        try:
            made.append(_Made(row, build(kind, row, around, notes), notes))
        except Dropped as reason:
            job.drop(kind.rule.table, str(row[kind.id]), notes, str(reason))
    made = [_with_sealed_entries(job, one) for one in await _made_unique(job, kind, made)]
    outcomes = await job.target.put(kind.table, [one.entity for one in made], is_same=job.vault.is_same)
    await _carry(job, kind, made)
    await job.target.put(access_group_members, list(dict.fromkeys(_groups(kind, made))))
    for one, outcome in zip(made, outcomes, strict=True):
        job.report.row(kind.rule.table, str(one.row[kind.id]), outcome, one.notes)
    if kind.table is budgets:
        job.resets |= {row["budget_id"]: row["budget_reset_at"] for row in rows if row.get("budget_reset_at")}


async def _around(job: Job, rows: Sequence[Row]) -> Around:
    """What the rows of a batch refer to: a few questions for all of them."""
    permission_ids = {row.get("object_permission_id") for row in rows}
    permissions = await job.source.by_id(rules.OBJECT_PERMISSIONS, "object_permission_id", permission_ids)
    aliases = await job.source.by_id(rules.MODEL_ALIASES, "id", {row.get("model_id") for row in rows})
    owners = {row.get("team_id") for row in rows if "token" in row}
    organizations = await job.target.look_up(teams.c.team_id, teams.c.organization_id, owners)
    return Around(job.clock.now, permissions, aliases, organizations)


async def _made_unique(job: Job, kind: Kind[Any], made: list[_Made]) -> list[_Made]:
    """LiteLLM lets two keys have one alias and two users one address: here the older one keeps it."""
    if kind.table is virtual_keys:
        aliases = {one.entity.key_alias for one in made}
        held = await job.target.look_up(virtual_keys.c.key_alias, virtual_keys.c.key_hash, aliases)
        return [one._replace(entity=_with_own_alias(one.entity, held, one.notes)) for one in made]
    if kind.table is users:
        emails, subjects = {one.entity.email_key for one in made}, {one.entity.sso_user_id for one in made}
        by_email = await job.target.look_up(users.c.email_key, users.c.user_id, emails)
        by_subject = await job.target.look_up(users.c.sso_user_id, users.c.user_id, subjects)
        return [one._replace(entity=_with_own_address(one.entity, by_email, by_subject, one.notes)) for one in made]
    return made


async def _carry(job: Job, kind: Kind[Any], made: Sequence[_Made]) -> None:
    if kind.scope is None:
        return
    linked = await job.target.rows(budgets, Budget, {_budget_id(one.entity) for one in made})
    counters: list[Carried] = []
    remarks: dict[str, list[Note]] = {}
    for row, entity, notes in made:
        budget_id = _budget_id(entity)
        scope = kind.scope(entity, linked.get(budget_id))
        whose = {kind.whose: scope.id} if kind.whose else {}
        resets_at = row.get("budget_reset_at") or job.resets.get(budget_id)
        counters.append(Carried(scope, row.get("spend"), resets_at, **whose))
        remarks[scope.id] = notes
    await job.spending.carry(counters, remarks)


def _groups(kind: Kind[Any], made: Iterable[_Made]) -> Iterable[GroupMember]:
    """Access groups that keys, teams and the groups themselves name: the same, said from either side."""
    for row, entity, _ in made:
        if kind.rule is rules.ACCESS_GROUPS:
            yield from group_members(row)
        elif kind.rule is rules.KEYS:
            yield from groups_held(row, "key", entity.spend_id)
        elif kind.rule is rules.TEAMS:
            yield from groups_held(row, "team", entity.team_id)


def _with_sealed_entries(job: Job, one: _Made) -> _Made:
    if not isinstance(one.entity, VirtualKey | Team):
        return one
    try:
        return one._replace(entity=job.vault.with_sealed_entries(one.entity))
    except InvalidRequest as error:
        one.notes.append(Note("metadata.logging", error.message))
        own = {name: value for name, value in one.entity.metadata.items() if name != LOGGING}
        return one._replace(entity=msgspec.structs.replace(one.entity, metadata=own))


def _budget_id(entity: Any) -> str:
    return getattr(entity, "budget_id", None) or ""


def _with_own_alias(key: VirtualKey, held: dict[str, str], notes: list[Note]) -> VirtualKey:
    alias = key.key_alias
    if alias is None or held.setdefault(alias, key.key_hash) == key.key_hash:
        return key
    notes.append(Note("key_alias", _TAKEN.format("followed by the beginning of the hash now")))
    return msgspec.structs.replace(key, key_alias=f"{alias} ({key.key_hash[:8]})")


def _with_own_address(user: User, emails: dict[str, str], subjects: dict[str, str], notes: list[Note]) -> User:
    if user.email_key is not None and emails.setdefault(user.email_key, user.user_id) != user.user_id:
        notes.append(Note("user_email", _TAKEN.format("empty now")))
        user = msgspec.structs.replace(user, user_email=None, email_key=None)
    if user.sso_user_id is not None and subjects.setdefault(user.sso_user_id, user.user_id) != user.user_id:
        notes.append(Note("sso_user_id", _TAKEN.format("empty now")))
        user = msgspec.structs.replace(user, sso_user_id=None)
    return user
