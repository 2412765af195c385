"""Looking keys up: one, several, and lists of those the caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from tollway.control.keys.authority import Authority
from tollway.control.keys.repository import KeyQuery, KeyRepository, SortColumn, Visible
from tollway.control.keys.service import Spent
from tollway.control.keys.spending import spend_by_key
from tollway.control.kit.context import Context
from tollway.control.kit.keys import hash_of
from tollway.control.kit.pagination import Page
from tollway.core.errors import Forbidden, NotFound
from tollway.db.engine import reading
from tollway.stores.sql.virtual_key import VirtualKey

Reach = Literal["own", "visible"]
_LIST = "/key/list"
"""What plain members of a team need to be permitted to see the keys of others."""


class KeyDirectory:
    """Reading keys, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.services.engine
        self._actor = context.actor
        self.now = context.now

    async def find(self, name: str) -> Spent:
        """A key by its value or hash, from the archive if need be. Raises `NotFound`, `Forbidden`."""
        key_hash = hash_of(name)
        async with reading(self._engine) as connection:
            keys = KeyRepository(connection)
            key = await keys.find(key_hash) or await keys.find_deleted(key_hash)
            is_visible = key is not None and await Authority(self._context, connection).may_see(key)
        if not is_visible and not self._actor.sees_everything:  # whether it exists is none of their business
            raise Forbidden(f"You are not allowed to access this key's info. Your role={self._actor.role}")
        if key is None:
            raise NotFound("Key not found in database", param="key")
        return (await self.with_spend([key]))[0]

    async def find_many(self, names: Sequence[str], aliases: Sequence[str]) -> list[Spent]:
        """Those of these keys that exist and that the caller may see, in the order in which they were named."""
        hashes = [hash_of(name) for name in names]
        async with reading(self._engine) as connection:
            authority = Authority(self._context, connection)
            found = await KeyRepository(connection).find_many(hashes=hashes, aliases=aliases)
            by_name = {name: key for key in found for name in (key.key_hash, key.key_alias)}
            named = [by_name[name] for name in (*hashes, *aliases) if name in by_name]
            visible = [key for key in named if await authority.may_see(key)]
        return await self.with_spend(visible)

    async def list_page(
        self,
        query: KeyQuery,
        page: Page,
        *,
        sort_by: SortColumn | None,
        is_descending: bool,
        reach: Reach = "visible",
        includes_created: bool = False,
    ) -> tuple[list[VirtualKey], int]:
        """A page of the keys the caller may see, and how many there are. `sort_by` None: by spend.

        Of these, `reach` "own" leaves those of the caller's user, or the key that asks; `includes_created` adds those
        that the caller made for others.
        """
        if not self._actor.sees_everything:
            visible = self._visible(reach, includes_created=includes_created)
            query = msgspec.structs.replace(query, visible=visible)
        async with reading(self._engine) as connection:
            keys = KeyRepository(connection)
            total = await keys.count(query)
            if sort_by is not None:
                return await keys.list_page(query, page, sort_by=sort_by, is_descending=is_descending), total
        # Spend that is still in the journal counts too, and what counts has to be in the database to be sorted by.
        await self._context.services.ledger.flush_everywhere()
        async with reading(self._engine) as connection:
            found = await KeyRepository(connection).list_by_spend(
                query, page, services=self._context.services, is_descending=is_descending
            )
        return found, total

    async def with_spend(self, keys: Sequence[VirtualKey]) -> list[Spent]:
        """The keys, and what each has spent."""
        spend = await spend_by_key(self._context, keys)
        return [Spent(key, spend[key.key_hash]) for key in keys]

    async def list_aliases(self, page: Page, *, search: str | None, team_id: str | None) -> tuple[list[str], int]:
        """A page of the aliases in use, and how many there are."""
        async with reading(self._engine) as connection:
            return await KeyRepository(connection).list_aliases(page, search=search, team_id=team_id)

    def _visible(self, reach: Reach, *, includes_created: bool) -> Visible:
        actor = self._actor
        own = Visible(
            key_hash=actor.key_hash, user_id=actor.user_id, created_by=actor.user_id if includes_created else None
        )
        if reach == "own":
            return own
        permitted = {team_id for team_id, routes in actor.member_permissions.items() if _LIST in routes}
        return msgspec.structs.replace(
            own, team_ids=actor.administered_teams | permitted, organization_ids=actor.administered_organizations
        )
