"""Who was given which access groups. The table of members is the one place that says so.

Keys and teams show their `access_group_ids` from here, and change them here: `groups_of`, `set_groups`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import and_, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.core.errors import NotFound
from tollway.db.access_groups import access_group_members as members
from tollway.db.access_groups import access_groups

MemberKind = Literal["key", "team"]
"""A key is known by its `spend_id`, which outlives its hash."""


async def groups_of(connection: AsyncConnection, kind: MemberKind, ids: Iterable[str]) -> dict[str, list[str]]:
    """The access groups of these keys or teams, by their id and in order; those without any are left out."""
    is_one = and_(members.c.member_kind == kind, members.c.member_id.in_(set(ids)))
    query = select(members.c.member_id, members.c.access_group_id).where(is_one).order_by(members.c.access_group_id)
    found: dict[str, list[str]] = {}
    for member_id, group_id in await connection.execute(query):
        found.setdefault(member_id, []).append(group_id)
    return found


async def members_of(connection: AsyncConnection, kind: MemberKind, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """The keys or teams of these access groups, by the group's id and in order; groups without any are left out."""
    is_one = and_(members.c.member_kind == kind, members.c.access_group_id.in_(set(group_ids)))
    query = select(members.c.access_group_id, members.c.member_id).where(is_one).order_by(members.c.member_id)
    found: dict[str, list[str]] = {}
    for group_id, member_id in await connection.execute(query):
        found.setdefault(group_id, []).append(member_id)
    return found


async def set_groups(connection: AsyncConnection, kind: MemberKind, id: str, group_ids: Iterable[str]) -> None:
    """Gives a key or team exactly these access groups. Raises `NotFound` for a group that does not exist.

    The caller tells of the change of the key or team. With no groups this is what to call when one is deleted.
    """
    wanted = set(group_ids)
    if wanted:
        known = select(access_groups.c.access_group_id).where(access_groups.c.access_group_id.in_(wanted))
        missing = wanted.difference((await connection.execute(known)).scalars())
        if missing:
            raise NotFound(f"Access group '{min(missing)[:100]}' not found.", param="access_group_ids")
    held = set((await groups_of(connection, kind, [id])).get(id, ()))
    await _change(
        connection, [(group, kind, id) for group in wanted - held], [(group, kind, id) for group in held - wanted]
    )


async def set_members(
    connection: AsyncConnection, group_id: str, kind: MemberKind, member_ids: Iterable[str]
) -> set[str]:
    """Gives an access group to exactly these keys or teams, which exist; those who got it or lost it now."""
    wanted = set(member_ids)
    held = set((await members_of(connection, kind, [group_id])).get(group_id, ()))
    await _change(
        connection, [(group_id, kind, one) for one in wanted - held], [(group_id, kind, one) for one in held - wanted]
    )
    return wanted ^ held


_Membership = tuple[str, MemberKind, str]


async def _change(connection: AsyncConnection, gained: list[_Membership], lost: list[_Membership]) -> None:
    columns = (members.c.access_group_id, members.c.member_kind, members.c.member_id)
    for membership in lost:
        is_it = and_(*(column == value for column, value in zip(columns, membership, strict=True)))
        await connection.execute(delete(members).where(is_it))
    if gained:
        names = [column.name for column in columns]
        await connection.execute(insert(members), [dict(zip(names, one, strict=True)) for one in sorted(gained)])
