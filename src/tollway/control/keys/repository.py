"""Every query of `/key/*`. Rows become `VirtualKey` here; nothing commits here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, Table, delete, func, insert, not_, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.pagination import Page
from tollway.control.kit.spending import current_spend
from tollway.control.services import Services
from tollway.core.errors import Conflict
from tollway.db.access_groups import access_group_members
from tollway.db.keys import deleted_keys, retired_key_hashes, virtual_keys
from tollway.db.teams import teams
from tollway.stores.sql.limited import from_row
from tollway.stores.sql.virtual_key import VirtualKey

_COLUMNS = frozenset(VirtualKey.__struct_fields__) & frozenset(virtual_keys.columns.keys())

SortColumn = Literal["max_budget", "created_at", "updated_at", "token", "key_alias"]
_SORT_COLUMNS: dict[SortColumn, str] = {
    "max_budget": "max_budget_nanos",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "token": "key_hash",
    "key_alias": "key_alias",
}


class Visible(msgspec.Struct, frozen=True, kw_only=True):
    """The keys a caller may see: this one, and those of these users, teams and organizations."""

    key_hash: str
    user_id: str | None = None
    team_ids: frozenset[str] = frozenset()
    organization_ids: frozenset[str] = frozenset()
    created_by: str | None = None
    """Also keys that this user made."""


class Retired(NamedTuple):
    """A value that a key had before, and its successor."""

    key_hash: str
    works_until: datetime
    successor: str
    """Sealed."""


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys a listing shows: those that match every field given."""

    now: datetime
    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    access_group_id: str | None = None
    """Keys that were given this access group."""
    search: str | None = None
    """Part of an alias or of a key's public name, or the beginning of its hash."""
    matches_substrings: bool = False
    """Alias and user id may be parts of the stored ones."""
    status: Literal["active", "expired", "revoked", "deleted"] | None = None
    expiry: Literal["active", "expired"] | None = None
    visible: Visible | None = None
    """What a caller may see; None: all."""


class KeyRepository:
    """Keys through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, key_hash: str) -> VirtualKey | None:
        """The living key with this hash."""
        return await self._first(select(virtual_keys).where(virtual_keys.c.key_hash == key_hash))

    async def find_by_alias(self, alias: str) -> VirtualKey | None:
        """The living key with this alias."""
        return await self._first(select(virtual_keys).where(virtual_keys.c.key_alias == alias))

    async def find_deleted(self, key_hash: str) -> VirtualKey | None:
        """The key with this hash that was deleted last."""
        query = select(deleted_keys).where(deleted_keys.c.key_hash == key_hash)
        return await self._first(query.order_by(deleted_keys.c.id.desc()).limit(1))

    async def check_alias_is_free(self, key: VirtualKey) -> None:
        """Raises `Conflict` if another key has this one's alias."""
        if key.key_alias is not None:
            holder = await self.find_by_alias(key.key_alias)
            if holder is not None and holder.spend_id != key.spend_id:
                raise _conflict(key)

    async def is_taken(self, key_hash: str) -> bool:
        """Whether a living key has this hash, or had it before it was regenerated."""
        living = select(virtual_keys.c.spend_id).where(
            or_(virtual_keys.c.key_hash == key_hash, virtual_keys.c.spend_id == key_hash)
        )
        retired = select(retired_key_hashes.c.spend_id).where(retired_key_hashes.c.key_hash == key_hash)
        return (await self._connection.execute(living.union_all(retired))).first() is not None

    async def insert(self, key: VirtualKey) -> None:
        """Adds a key."""
        with _alias_taken(key):
            await self._connection.execute(insert(virtual_keys).values(**_living(key)))

    async def replace(self, key_hash: str, key: VirtualKey) -> None:
        """Writes all of a key over the one with this hash."""
        with _alias_taken(key):
            await self._connection.execute(
                update(virtual_keys).where(virtual_keys.c.key_hash == key_hash).values(**_living(key))
            )

    async def retire_hash(
        self, key: VirtualKey, *, at: datetime, works_until: datetime, successor: str | None = None
    ) -> None:
        """Remembers the hash of a key that is being regenerated. Whatever it had before stops working now.

        `successor`: the new value, sealed, for its holder to fetch with the old one.
        """
        earlier = update(retired_key_hashes).where(
            retired_key_hashes.c.spend_id == key.spend_id, retired_key_hashes.c.works_until > at
        )
        await self._connection.execute(earlier.values(works_until=at))
        await self._connection.execute(
            insert(retired_key_hashes).values(
                key_hash=key.key_hash,
                spend_id=key.spend_id,
                retired_at=at,
                works_until=works_until,
                successor=successor,
            )
        )

    async def find_successor(self, spend_id: str, *, now: datetime) -> Retired | None:
        """The hash this key had before the one it has, if it still works and the new value can be fetched with it."""
        columns = retired_key_hashes.c
        query = select(columns.key_hash, columns.works_until, columns.successor).where(
            columns.spend_id == spend_id, columns.works_until > now, columns.successor.is_not(None)
        )
        row = (await self._connection.execute(query)).first()
        return Retired(*row) if row else None

    async def has_old_successors(self, *, before: datetime) -> bool:
        """Whether there are new values that nobody can fetch any more."""
        query = select(retired_key_hashes.c.spend_id).where(_is_over(before)).limit(1)
        return (await self._connection.execute(query)).first() is not None

    async def forget_successors(self, *, before: datetime) -> None:
        """Removes the new values that nobody can fetch any more."""
        await self._connection.execute(update(retired_key_hashes).where(_is_over(before)).values(successor=None))

    async def find_retired(self, spend_id: str) -> list[str]:
        """Hashes a key had before."""
        query = select(retired_key_hashes.c.key_hash).where(retired_key_hashes.c.spend_id == spend_id)
        return list((await self._connection.execute(query)).scalars())

    async def hashes_of(self, key: VirtualKey) -> list[str]:
        """Every hash that opens the key, or did."""
        return [key.key_hash, *await self.find_retired(key.spend_id)]

    async def move_to_organization(self, team_id: str, *, before: str | None, after: str | None) -> None:
        """Gives a team's keys of one organization to another; None: of none, to none."""
        columns = virtual_keys.c
        theirs = (columns.team_id == team_id) & columns.organization_id.is_not_distinct_from(before)
        await self._connection.execute(update(virtual_keys).where(theirs).values(organization_id=after))

    async def organization_of_team(self, team_id: str) -> str | None:
        """The organization that a team belongs to."""
        query = select(teams.c.organization_id).where(teams.c.team_id == team_id)
        organization_id: str | None = (await self._connection.execute(query)).scalar()
        return organization_id

    async def archive(
        self, keys: Iterable[VirtualKey], *, at: datetime, by: str | None, by_key: str, changed_by: str | None
    ) -> None:
        """Moves keys to the archive of deleted ones."""
        for key in keys:
            row = _values(key) | {
                "deleted_at": at,
                "deleted_by": by,
                "deleted_by_key": by_key,
                "changed_by": changed_by,
            }
            await self._connection.execute(insert(deleted_keys).values(**row))
            await self._connection.execute(delete(virtual_keys).where(virtual_keys.c.key_hash == key.key_hash))

    async def count(self, query: KeyQuery) -> int:
        """How many keys match."""
        table = _table(query)
        statement = select(func.count()).select_from(table).where(*_conditions(query, table))
        return (await self._connection.execute(statement)).scalar_one()

    async def count_by_user(self, user_ids: Iterable[str]) -> dict[str, int]:
        """How many living keys each of these users has; those without are left out."""
        user = virtual_keys.c.user_id
        query = select(user, func.count()).where(user.in_(user_ids)).group_by(user)
        return {row[0]: row[1] for row in await self._connection.execute(query)}

    async def list_page(
        self, query: KeyQuery, page: Page, *, sort_by: SortColumn = "created_at", is_descending: bool = True
    ) -> list[VirtualKey]:
        """One page of the keys that match."""
        table = _table(query)
        column = table.c[_SORT_COLUMNS[sort_by]]
        order = column.desc().nulls_last() if is_descending else column.asc().nulls_last()
        statement = select(table).where(*_conditions(query, table)).order_by(order, table.c.key_hash)
        return await self._all(statement.limit(page.size).offset(page.offset))

    async def list_all(self, query: KeyQuery) -> list[VirtualKey]:
        """Every key that matches, in order of hash."""
        table = _table(query)
        return await self._all(select(table).where(*_conditions(query, table)).order_by(table.c.key_hash))

    async def list_by_spend(
        self, query: KeyQuery, page: Page, *, services: Services, is_descending: bool
    ) -> list[VirtualKey]:
        """One page of the keys that match, by what they have spent in their budget window."""
        table = _table(query)
        periods = select(table.c.budget_duration).where(table.c.budget_duration.is_not(None)).distinct()
        durations = list((await self._connection.execute(periods)).scalars())
        spent = current_spend(services, "api_key", table.c.spend_id, table.c.budget_duration, durations)
        order = spent.desc() if is_descending else spent.asc()
        statement = select(table).where(*_conditions(query, table)).order_by(order, table.c.key_hash)
        return await self._all(statement.limit(page.size).offset(page.offset))

    async def find_many(
        self, *, hashes: Iterable[str] = (), aliases: Iterable[str] = (), team_id: str | None = None
    ) -> list[VirtualKey]:
        """Living keys with one of these hashes or aliases, or of this team."""
        columns = virtual_keys.c
        alternatives: list[ColumnElement[bool]] = [
            columns.key_hash.in_(list(hashes)),
            columns.key_alias.in_(list(aliases)),
        ]
        if team_id is not None:
            alternatives.append(columns.team_id == team_id)
        return await self._all(select(virtual_keys).where(or_(*alternatives)).order_by(columns.key_hash))

    async def list_due(self, *, now: datetime, limit: int) -> list[VirtualKey]:
        """Keys whose time to be given a new value has come, those that wait longest first."""
        rotates_at = virtual_keys.c.rotates_at
        return await self._all(select(virtual_keys).where(rotates_at <= now).order_by(rotates_at).limit(limit))

    async def list_aliases(self, page: Page, *, search: str | None, team_id: str | None) -> tuple[list[str], int]:
        """One page of the aliases in use, sorted, and how many there are."""
        alias = virtual_keys.c.key_alias
        conditions = [
            alias.is_not(None),
            alias.icontains(search, autoescape=True) if search else true(),
            virtual_keys.c.team_id == team_id if team_id else true(),
        ]
        total = await self._connection.execute(select(func.count(alias)).where(*conditions))
        names = select(alias).where(*conditions).order_by(alias).limit(page.size).offset(page.offset)
        return list((await self._connection.execute(names)).scalars()), total.scalar_one()

    async def _first(self, query: Select[Any]) -> VirtualKey | None:
        row = (await self._connection.execute(query)).first()
        return from_row(VirtualKey, row) if row else None

    async def _all(self, query: Select[Any]) -> list[VirtualKey]:
        return [from_row(VirtualKey, row) for row in await self._connection.execute(query)]


@contextmanager
def _alias_taken(key: VirtualKey) -> Iterator[None]:
    # Two writers at once both find an alias free; the unique index lets one of them through.
    try:
        yield
    except IntegrityError as error:
        raise _conflict(key) from error


def _conflict(key: VirtualKey) -> Conflict:
    return Conflict(
        f"Key with alias '{key.key_alias}' already exists. Unique key aliases across all keys are required.",
        param="key_alias",
    )


def _is_over(now: datetime) -> ColumnElement[bool]:
    return retired_key_hashes.c.successor.is_not(None) & (retired_key_hashes.c.works_until <= now)


def _living(key: VirtualKey) -> dict[str, Any]:
    return _values(key) | {"rotates_at": key.rotates_at}


def _values(key: VirtualKey) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(key).items() if name in _COLUMNS}


def _table(query: KeyQuery) -> Table:
    return deleted_keys if query.status == "deleted" else virtual_keys


def _conditions(query: KeyQuery, table: Table) -> Sequence[ColumnElement[bool]]:
    columns = table.c
    exact = ("key_hash", "team_id", "organization_id", "project_id", "agent_id")
    partly = ("key_alias", "user_id")
    conditions = [columns[name] == value for name in exact if (value := getattr(query, name)) is not None]
    for name in partly:
        value = getattr(query, name)
        if value is not None:
            is_part = query.matches_substrings
            conditions.append(columns[name].icontains(value, autoescape=True) if is_part else columns[name] == value)
    if query.search:
        conditions.append(
            or_(
                columns.key_alias.icontains(query.search, autoescape=True),
                columns.key_name.icontains(query.search, autoescape=True),
                columns.key_hash.startswith(query.search, autoescape=True),
            )
        )
    if query.access_group_id is not None:
        member = access_group_members.c
        is_one = (member.access_group_id == query.access_group_id) & (member.member_kind == "key")
        conditions.append(columns.spend_id.in_(select(member.member_id).where(is_one)))
    is_expired = func.coalesce(columns.expires_at <= query.now, False)
    is_blocked = func.coalesce(columns.is_blocked, False)
    match query.status:
        case "active":
            conditions += [not_(is_blocked), not_(is_expired)]
        case "expired":
            conditions += [not_(is_blocked), is_expired]
        case "revoked":
            conditions.append(is_blocked)
        case _:
            pass
    if query.expiry:
        conditions.append(is_expired if query.expiry == "expired" else not_(is_expired))
    if query.visible:
        conditions.append(_is_visible(query.visible, table))
    return conditions


def _is_visible(visible: Visible, table: Table) -> ColumnElement[bool]:
    columns = table.c
    alternatives: list[ColumnElement[bool]] = [columns.key_hash == visible.key_hash]
    if visible.user_id is not None:
        alternatives.append(columns.user_id == visible.user_id)
    if visible.created_by is not None:
        alternatives.append(columns.created_by == visible.created_by)
    if visible.team_ids:
        alternatives.append(columns.team_id.in_(visible.team_ids))
    if visible.organization_ids:
        theirs = select(teams.c.team_id).where(teams.c.organization_id.in_(visible.organization_ids))
        alternatives += [columns.organization_id.in_(visible.organization_ids), columns.team_id.in_(theirs)]
    return or_(*alternatives)
