"""Rows of LiteLLM as rows of ours: budgets, organizations, users, teams, projects, keys, customers, tags, groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Table

from tollway.control.keys.fields import amend as amend_key
from tollway.control.kit.budgets import with_fields
from tollway.control.teams.fields import MEMBER_BUDGET_ID
from tollway.control.teams.fields import amend as amend_team
from tollway.control.users.fields import new_user
from tollway.core.errors import InvalidRequest
from tollway.core.principal import Scope
from tollway.db.access_groups import access_groups, model_access_group_budgets
from tollway.db.budgets import budgets
from tollway.db.customers import customers
from tollway.db.keys import virtual_keys
from tollway.db.organizations import organizations
from tollway.db.projects import projects
from tollway.db.tags import tags
from tollway.db.teams import teams
from tollway.db.users import users
from tollway.litellm_import import rules
from tollway.litellm_import.accepting import accept
from tollway.litellm_import.report import Note
from tollway.litellm_import.rules import Rule, wire_fields
from tollway.litellm_import.source import Row
from tollway.litellm_import.spending import hash_of
from tollway.stores.sql.entities import customer_scope, tag_scope
from tollway.stores.sql.limited import scope_of
from tollway.stores.sql.principals import key_scope, organization_scope, project_scope, team_scope, user_scope
from tollway.stores.sql.rows import AccessGroup, Budget, Customer, Organization, Project, Tag, Team, Tracked, User
from tollway.stores.sql.virtual_key import VirtualKey

S = TypeVar("S", bound=msgspec.Struct)

_HASH = re.compile(r"[0-9a-f]{64}")
_DASHBOARD = "litellm-dashboard"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When something was made whose row does not say so: the same in every import."""


class GroupBudget(Tracked, frozen=True, kw_only=True):
    """One row of `model_access_group_budgets`."""

    name: str
    budget_id: str


class Dropped(Exception):
    """A row that is not taken, and why."""


class Around(NamedTuple):
    """What of other rows a row is made with."""

    now: float
    """Epoch seconds."""
    permissions: Mapping[str, Row] = {}
    """Object permissions by id."""
    model_aliases: Mapping[int, Row] = {}
    """Rows of `LiteLLM_ModelTable` by id."""
    organizations: Mapping[str, str | None] = {}
    """Of teams that are there already."""


class Kind(NamedTuple, Generic[S]):
    """One sort of entity: its table at either end, and the way between."""

    rule: Rule
    table: Table
    id: str
    """The column that names it in LiteLLM."""
    build: Callable[[Row, dict[str, Any], Around, list[Note]], S]
    """Raises `Dropped`."""
    scope: Callable[[S, Budget | None], Scope] | None = None
    """Under which its spend counts."""
    whose: str = ""
    """The field of a record that names it."""
    order: tuple[str, ...] = ()
    """In which rows come, where it is not that of the id."""


def tracked(row: Row) -> dict[str, Any]:
    """Who made it and who touched it last."""
    made = row.get("created_at") or row.get("updated_at") or LONG_AGO
    return {
        "created_at": made,
        "created_by": row.get("created_by"),
        "updated_at": row.get("updated_at") or made,
        "updated_by": row.get("updated_by"),
    }


def with_permission(fields: dict[str, Any], row: Row, around: Around) -> dict[str, Any]:
    """The fields with the object permission that the row links to, in their midst as the wire has it."""
    permission = around.permissions.get(row.get("object_permission_id") or "")
    if permission is None:
        return fields
    shown = {name: value for name, value in permission.items() if value not in (None, [], {})}
    return {**fields, "object_permission": shown}


def _options(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _budget(row: Row, fields: dict[str, Any], around: Around, notes: list[Note]) -> Budget:
    blank = Budget(budget_id=row["budget_id"], **tracked(row))
    return accept(lambda taken: with_fields(blank, taken, now=around.now), fields, notes)


def _organization(row: Row, fields: dict[str, Any], around: Around, _notes: list[Note]) -> Organization:
    return Organization(
        organization_id=row["organization_id"],
        organization_alias=fields.get("organization_alias"),
        budget_id=row.get("budget_id"),
        models=fields.get("models", []),
        metadata=fields.get("metadata", {}),
        options=_options(with_permission(fields, row, around), "object_permission"),
        **tracked(row),
    )


def _user(row: Row, fields: dict[str, Any], around: Around, notes: list[Note]) -> User:
    now = datetime.fromtimestamp(around.now, UTC)
    fields = with_permission(fields, row, around)
    user = accept(lambda taken: new_user(row["user_id"], taken, now=now, by=""), fields, notes)
    return msgspec.structs.replace(user, **tracked(row))


def _team(row: Row, fields: dict[str, Any], around: Around, notes: list[Note]) -> Team:
    if row["team_id"] == _DASHBOARD:
        raise Dropped("holds the sessions of the old console")
    metadata = dict(fields.get("metadata") or {})
    if metadata.pop("callback_settings", None):
        notes.append(
            Note("metadata.callback_settings", "callbacks of a team are set with POST /team/{team_id}/callback")
        )
    aliases = around.model_aliases.get(row.get("model_id") or 0, {}).get("model_aliases")
    if isinstance(aliases, dict) and aliases:
        fields = {**fields, "model_aliases": aliases}
    blank = Team(team_id=row["team_id"], member_budget_id=metadata.get(MEMBER_BUDGET_ID), **tracked(row))
    fields = with_permission({**fields, "metadata": metadata}, row, around)
    return accept(lambda taken: amend_team(blank, taken, now=around.now), fields, notes)


def _key(row: Row, fields: dict[str, Any], around: Around, notes: list[Note]) -> VirtualKey:
    key_hash = hash_of(row["token"])
    if row.get("team_id") == _DASHBOARD:
        raise Dropped("a session of the old console: people sign in again")
    if _HASH.fullmatch(key_hash) is None:
        raise Dropped("its token is no SHA-256, so that no key opens it")
    blank = VirtualKey(
        key_hash=key_hash,
        spend_id=key_hash,
        key_name=row.get("key_name"),
        expires_at=row.get("expires"),
        rotation_count=row.get("rotation_count") or 0,
        last_rotated_at=row.get("last_rotation_at"),
        settings_updated_at=row.get("settings_updated_at"),
        **tracked(row),
    )
    if row.get("blocked") is not None:
        fields = {**fields, "blocked": row["blocked"]}
    if fields.get("team_id") and not fields.get("organization_id"):
        fields = {**fields, "organization_id": around.organizations.get(fields["team_id"])}
    fields = with_permission(fields, row, around)
    return accept(lambda taken: amend_key(blank, taken, now=around.now), fields, notes)


def _project(row: Row, fields: dict[str, Any], around: Around, _notes: list[Note]) -> Project:
    fields = with_permission(fields, row, around)
    return Project(
        project_id=row["project_id"],
        project_alias=fields.get("project_alias"),
        description=fields.get("description"),
        team_id=fields.get("team_id"),
        budget_id=row.get("budget_id"),
        models=fields.get("models", []),
        is_blocked=fields.get("blocked", False),
        metadata=fields.get("metadata", {}),
        options=_options(fields, "model_rpm_limit", "model_tpm_limit", "object_permission"),
        **tracked(row),
    )


def _customer(row: Row, fields: dict[str, Any], around: Around, _notes: list[Note]) -> Customer:
    return Customer(
        customer_id=row["user_id"],
        alias=fields.get("alias"),
        is_blocked=fields.get("blocked", False),
        allowed_model_region=fields.get("allowed_model_region"),
        default_model=fields.get("default_model"),
        models=fields.get("models", []),
        budget_id=row.get("budget_id"),
        options=_options(with_permission(fields, row, around), "object_permission"),
        **tracked(row),
    )


def _tag(row: Row, fields: dict[str, Any], _around: Around, _notes: list[Note]) -> Tag:
    return Tag(
        name=row["tag_name"],
        description=fields.get("description"),
        models=fields.get("models", []),
        budget_id=row.get("budget_id"),
        **tracked(row),
    )


def _access_group(row: Row, fields: dict[str, Any], _around: Around, _notes: list[Note]) -> AccessGroup:
    return AccessGroup(access_group_id=row["access_group_id"], **fields, **tracked(row))


def _group_budget(row: Row, _fields: dict[str, Any], _around: Around, _notes: list[Note]) -> GroupBudget:
    if not row.get("budget_id"):
        raise Dropped("a group without a budget needs no row")
    return GroupBudget(name=row["access_group_name"], budget_id=row["budget_id"], **tracked(row))


def _group_scope(group: GroupBudget, budget: Budget | None) -> Scope:
    return scope_of("model_access_group", group.name, budget)


KINDS: Sequence[Kind[Any]] = (
    Kind(rules.BUDGETS, budgets, "budget_id", _budget),
    Kind(rules.ORGANIZATIONS, organizations, "organization_id", _organization, organization_scope),
    Kind(rules.USERS, users, "user_id", _user, lambda user, _: user_scope(user), "user_id", ("created_at", "user_id")),
    Kind(rules.TEAMS, teams, "team_id", _team, lambda team, _: team_scope(team), "team_id"),
    Kind(rules.PROJECTS, projects, "project_id", _project, project_scope),
    Kind(rules.KEYS, virtual_keys, "token", _key, key_scope, "key_hash", ("created_at", "token")),
    Kind(rules.CUSTOMERS, customers, "user_id", _customer, lambda one, budget: customer_scope(one.customer_id, budget)),
    Kind(rules.TAGS, tags, "tag_name", _tag, lambda one, budget: tag_scope(one.name, budget)),
    Kind(rules.ACCESS_GROUPS, access_groups, "access_group_id", _access_group),
    Kind(rules.GROUP_BUDGETS, model_access_group_budgets, "access_group_name", _group_budget, _group_scope),
)
"""In an order in which whatever a row needs has come before."""


def build(kind: Kind[S], row: Row, around: Around, notes: list[Note]) -> S:
    """The row as it is here. Raises `Dropped`."""
    fields = wire_fields(kind.rule, row, notes)
    try:
        return kind.build(row, fields, around, notes)
    except InvalidRequest as error:
        raise Dropped(error.message) from None
