"""Keys, for the resources that keys belong to: `control.kit.keys.KeyDesk`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.keys.directory import KeyDirectory
from tollway.control.keys.fields import amend, check_ceilings, fill_defaults
from tollway.control.keys.permissions import ACCESS
from tollway.control.keys.rendering import KeySpend, render_generated, render_token
from tollway.control.keys.repository import KeyQuery, KeyRepository
from tollway.control.keys.schemas import KeyUpdate
from tollway.control.keys.service import RESOURCE, KeyService
from tollway.control.kit.context import Context, Unit
from tollway.control.kit.pagination import Page
from tollway.core.errors import InvalidRequest
from tollway.core.ids import abbreviate_key, hash_key, new_virtual_key
from tollway.db.engine import reading
from tollway.stores.sql.virtual_key import VirtualKey


class Keys:
    """The rules of `/key/*`, whoever asks."""

    async def issue(self, unit: Unit, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A key with a value of its own, and the operator's defaults and ceilings."""
        context, policy = unit.context, unit.context.services.key_policy
        plaintext = new_virtual_key(policy.entropy_bytes)
        changes = check_ceilings(fill_defaults(fields, policy), policy, now=context.now_s)
        key = amend(_unwritten(context, plaintext), changes, now=context.now_s)
        keys = KeyRepository(unit.connection)
        await keys.check_alias_is_free(key)
        await keys.insert(key)
        unit.audit("created", RESOURCE, key.key_hash, after=key)
        unit.tell("key", key.key_hash)
        return render_generated(key, plaintext, KeySpend(), token=key.key_hash).model_dump()

    def blank(self, context: Context) -> dict[str, Any]:
        """Every field of the answer, without a value."""
        return render_generated(_unwritten(context, ""), "", KeySpend(), token=None).model_dump()

    async def list_page(self, context: Context, user_id: str | None, page: Page) -> tuple[list[dict[str, Any]], int]:
        """Key rows of the contract."""
        query = KeyQuery(now=context.now, user_id=user_id)
        async with reading(context.services.engine) as connection:
            keys = KeyRepository(connection)
            found, total = await keys.list_page(query, page), await keys.count(query)
        return await self.show(context, found), total

    async def count_by_user(self, connection: AsyncConnection, user_ids: Sequence[str]) -> dict[str, int]:
        """Living keys only."""
        return await KeyRepository(connection).count_by_user(user_ids)

    async def remove_of_user(self, unit: Unit, user_id: str) -> None:
        """As `/key/delete` does."""
        query = KeyQuery(now=unit.context.now, user_id=user_id)
        await self.remove(unit, await KeyRepository(unit.connection).list_all(query))

    async def show(self, context: Context, keys: Sequence[VirtualKey]) -> list[dict[str, Any]]:
        """Key rows of the contract."""
        return [render_token(*entry).model_dump() for entry in await KeyDirectory(context).with_spend(keys)]

    async def move_with_team(self, unit: Unit, team_id: str, *, before: str | None, after: str | None) -> None:
        """In the transaction of the team, whose change tells every worker about its keys."""
        await KeyRepository(unit.connection).move_to_organization(team_id, before=before, after=after)

    async def remove(self, unit: Unit, keys: Sequence[VirtualKey]) -> None:
        """As `/key/delete` does."""
        await KeyService(unit.context).archive(unit, keys)

    async def change(
        self, context: Context, key: VirtualKey, changes: Mapping[str, Any], *, route: str
    ) -> dict[str, Any]:
        """As `/key/update` does, with its rows of the role matrix; `route` is what members need permission for."""
        try:
            sent = KeyUpdate(**changes).changes()
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidRequest(f"{field}: {first['msg']}", param=field, type="bad_request_error") from None
        as_update = dataclasses.replace(context, access=ACCESS["POST", "/key/update"])
        changed = await KeyService(as_update).update_in_bulk(key.key_hash, sent, route=route)
        return render_token(*changed).model_dump()


def _unwritten(context: Context, plaintext: str) -> VirtualKey:
    # No maker and no type: so the contract shows keys that came along with something else.
    key_hash = hash_key(plaintext)
    name = abbreviate_key(plaintext) if context.services.key_policy.shows_key_name else None
    return VirtualKey(
        key_hash=key_hash,
        spend_id=key_hash,
        key_name=name,
        key_type=None,
        created_at=context.now,
        updated_at=context.now,
    )
