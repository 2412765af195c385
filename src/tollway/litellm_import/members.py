"""Who belongs to what: rows that join others, each made from one side of LiteLLM's or from both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from tollway.control.kit.people import email_key
from tollway.litellm_import.entities import LONG_AGO
from tollway.litellm_import.report import Note
from tollway.litellm_import.source import Row
from tollway.litellm_import.spending import hash_of
from tollway.stores.sql.rows import OrganizationMember, TeamMember

_ROLES = {"admin": "admin", "user": "user"}


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `access_group_members`."""

    access_group_id: str
    member_kind: str
    member_id: str


class RetiredHash(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `retired_key_hashes`."""

    key_hash: str
    spend_id: str
    retired_at: datetime
    works_until: datetime


def emails_in(rows: Iterable[Row]) -> set[str]:
    """Addresses by which teams name members, spelled as they are compared."""
    written = (one.get("user_email") for row in rows for one in _listed(row) if not one.get("user_id"))
    return {key for email in written if isinstance(email, str) and (key := email_key(email))}


def members_of_team(row: Row, made_at: datetime, by_email: Mapping[str, str], notes: list[Note]) -> list[TeamMember]:
    """The members that a team's row names; their budgets are in a table of their own."""
    roles: dict[str, str] = {}
    for one in _listed(row):
        user_id = one.get("user_id") or by_email.get(email_key(one.get("user_email")) or "")
        if not isinstance(user_id, str):
            notes.append(Note("members_with_roles", "names somebody who is no user"))
            continue
        roles[user_id] = _ROLES.get(str(one.get("role")), "user")
    for user_id in row.get("members") or ():
        roles.setdefault(user_id, "user")
    for user_id in row.get("admins") or ():
        roles[user_id] = "admin"
    return [
        TeamMember(team_id=row["team_id"], user_id=user_id, role=role, created_at=made_at)
        for user_id, role in roles.items()
    ]


def organization_member(row: Row) -> OrganizationMember:
    """A row of `LiteLLM_OrganizationMembership`."""
    made_at = row.get("created_at") or row.get("updated_at") or LONG_AGO
    return OrganizationMember(
        organization_id=row["organization_id"],
        user_id=row["user_id"],
        role=row.get("user_role") or "internal_user",
        budget_id=row.get("budget_id"),
        created_at=made_at,
        updated_at=row.get("updated_at") or made_at,
    )


def group_members(row: Row) -> list[GroupMember]:
    """Who was given an access group, as the group says it."""
    given = {"team": row.get("assigned_team_ids") or (), "key": map(hash_of, row.get("assigned_key_ids") or ())}
    return [
        GroupMember(access_group_id=row["access_group_id"], member_kind=kind, member_id=one)
        for kind, ids in given.items()
        for one in dict.fromkeys(ids)
    ]


def groups_held(row: Row, kind: str, id: str) -> list[GroupMember]:
    """The access groups that a key or team was given, as it says itself."""
    held = dict.fromkeys(row.get("access_group_ids") or ())
    return [GroupMember(access_group_id=group_id, member_kind=kind, member_id=id) for group_id in held]


def retired_hash(row: Row) -> RetiredHash:
    """A value that a key had before it was regenerated."""
    return RetiredHash(
        key_hash=hash_of(row["token"]),
        spend_id=hash_of(row["active_token_id"]),
        retired_at=row.get("created_at") or row["revoke_at"],
        works_until=row["revoke_at"],
    )


def _listed(row: Row) -> list[dict[str, Any]]:
    listed = row.get("members_with_roles")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
