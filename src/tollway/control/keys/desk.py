"""Keys, for the resources that keys belong to: `control.kit.keys.KeyDesk`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tollway.control.keys.directory import KeyDirectory
from tollway.control.keys.permissions import ACCESS
from tollway.control.keys.rendering import render_token
from tollway.control.keys.schemas import KeyUpdate
from tollway.control.keys.service import KeyService
from tollway.control.kit.context import Context, Unit
from tollway.core.errors import InvalidRequest
from tollway.stores.sql.virtual_key import VirtualKey


class Keys:
    """The rules of `/key/*`, whoever asks."""

    async def show(self, context: Context, keys: Sequence[VirtualKey]) -> list[dict[str, Any]]:
        """Key rows of the contract."""
        return [render_token(*entry).model_dump() for entry in await KeyDirectory(context).with_spend(keys)]

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
