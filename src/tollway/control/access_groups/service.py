"""What can be done with access groups. Each operation is one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tollway.control.access_groups.repository import AccessGroupRepository, Members
from tollway.control.access_groups.schemas import GroupCreate, GroupFields, GroupUpdate
from tollway.control.kit.access_groups import set_members
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.pagination import Page
from tollway.core.errors import Conflict, NotFound
from tollway.core.ids import hash_key
from tollway.db.engine import reading
from tollway.stores.sql.rows import AccessGroup

_TABLE = "LiteLLM_AccessGroupTable"

_COLUMNS = {
    "access_group_name": "name",
    "description": "description",
    "access_model_names": "models",
    "access_mcp_server_ids": "mcp_server_ids",
    "access_agent_ids": "agent_ids",
}
_LISTS = frozenset({"models", "mcp_server_ids", "agent_ids"})


class Given(NamedTuple):
    """An access group, and who was given it."""

    group: AccessGroup
    members: Members


class AccessGroupService:
    """Access groups, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def create(self, body: GroupCreate) -> Given:
        """Makes an access group. Raises `Conflict` for a name that is taken, `NotFound` for an unknown team or key."""
        context = self._context
        blank = AccessGroup(
            access_group_id=str(uuid.uuid4()),
            name=body.access_group_name,
            created_at=context.now,
            created_by=context.actor.name,
            updated_at=context.now,
            updated_by=context.actor.name,
        )
        group = _amended(blank, body.changes())
        async with changing(context) as unit:
            rows = AccessGroupRepository(unit.connection)
            await self._check_name_is_free(rows, group)
            await rows.add(group, taken=_taken(group.name))
            await self._assign(unit, group.access_group_id, body)
            self._note(unit, "created", None, group)
            return await self._given(rows, group)

    async def find(self, group_id: str) -> Given:
        """An access group. Raises `NotFound`."""
        async with reading(self._services.engine) as connection:
            rows = AccessGroupRepository(connection)
            return await self._given(rows, await self._existing(rows, group_id))

    async def update(self, group_id: str, body: GroupUpdate) -> Given:
        """Changes the fields that were sent. Raises what `create` does."""
        context = self._context
        async with changing(context) as unit:
            rows = AccessGroupRepository(unit.connection)
            before = await self._existing(rows, group_id)
            group = msgspec.structs.replace(
                _amended(before, body.changes()), updated_at=context.now, updated_by=context.actor.name
            )
            await self._check_name_is_free(rows, group)
            await rows.replace(group)
            await self._assign(unit, group_id, body)
            self._note(unit, "updated", before, group)
            return await self._given(rows, group)

    async def delete(self, group_id: str) -> None:
        """Takes an access group away from everybody and deletes it. Raises `NotFound`."""
        async with changing(self._context) as unit:
            rows = AccessGroupRepository(unit.connection)
            before = await self._existing(rows, group_id)
            await self._assign(unit, group_id, GroupFields(assigned_team_ids=[], assigned_key_ids=[]))
            await rows.delete(rows.table.c.access_group_id == group_id)
            self._note(unit, "deleted", before, None)

    async def list_page(self, page: Page) -> tuple[list[Given], int]:
        """A page of the access groups in order of name, and how many there are."""
        async with reading(self._services.engine) as connection:
            rows = AccessGroupRepository(connection)
            found, total = await rows.page(page=page, order=[rows.table.c.name])
            members = await rows.members([one.access_group_id for one in found])
            return [Given(one, members[one.access_group_id]) for one in found], total

    async def _assign(self, unit: Unit, group_id: str, body: GroupFields) -> None:
        """Gives the group to the teams and keys that the body names, if it names any, and tells them."""
        rows = AccessGroupRepository(unit.connection)
        if body.assigned_team_ids is not None:
            teams = {one.team_id for one in await rows.teams(body.assigned_team_ids)}
            _check_found("Team", body.assigned_team_ids, teams)
            for team_id in await set_members(unit.connection, group_id, "team", teams):
                unit.tell("team", team_id)
        if body.assigned_key_ids is not None:
            hashes = [hash_key(name) if name.startswith("sk-") else name for name in body.assigned_key_ids]
            keys = await rows.keys(hashes)
            _check_found("Key", hashes, {one.key_hash for one in keys})
            changed = await set_members(unit.connection, group_id, "key", [one.spend_id for one in keys])
            for key_hash in await rows.hashes(changed):
                unit.tell("key", key_hash)

    async def _check_name_is_free(self, rows: AccessGroupRepository, group: AccessGroup) -> None:
        holder = await rows.first(rows.table.c.name == group.name)
        if holder is not None and holder.access_group_id != group.access_group_id:
            raise _taken(group.name)

    async def _existing(self, rows: AccessGroupRepository, group_id: str) -> AccessGroup:
        group = await rows.find(group_id)
        if group is None:
            raise NotFound(f"Access group '{group_id[:100]}' not found.")
        return group

    async def _given(self, rows: AccessGroupRepository, group: AccessGroup) -> Given:
        return Given(group, (await rows.members([group.access_group_id]))[group.access_group_id])

    def _note(self, unit: Unit, action: str, before: AccessGroup | None, after: AccessGroup | None) -> None:
        named = after or before
        assert named is not None
        unit.audit(action, _TABLE, named.access_group_id, before=before, after=after)
        unit.tell("access_group", named.access_group_id)


def _amended(group: AccessGroup, changes: Mapping[str, Any]) -> AccessGroup:
    values = {column: changes[name] for name, column in _COLUMNS.items() if name in changes}
    for column in values.keys() & _LISTS:
        values[column] = values[column] or []
    if values.get("name", "") is None:
        del values["name"]  # a group always has one
    return msgspec.structs.replace(group, **values)


def _check_found(what: str, wanted: Iterable[str], found: set[str]) -> None:
    missing = sorted(set(wanted) - found)
    if missing:
        raise NotFound(f"{what} '{missing[0][:100]}' not found.")


def _taken(name: str) -> Conflict:
    return Conflict(f"Access group '{name[:100]}' already exists.", status=409)
