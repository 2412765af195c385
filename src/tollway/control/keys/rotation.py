"""Keys that get new values by themselves, and how their holders learn them.

A key with `auto_rotate` gets a new value when its `rotation_interval` is over. The old one goes on working for a grace
period; with it, and with nothing else, its holder fetches the new one from `GET /key/successor`. Until then the new
value is kept sealed, and no longer than the grace period.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import NamedTuple

from tollway.config.sealing import CannotOpen
from tollway.config.secret import Secret
from tollway.control.keys.repository import KeyRepository
from tollway.control.keys.service import KeyService
from tollway.control.kit.actor import Actor
from tollway.control.kit.context import Context, changing
from tollway.control.services import Services
from tollway.core.errors import NotFound, TollwayError
from tollway.core.ids import new_virtual_key
from tollway.core.principal import Principal, Role
from tollway.db.engine import reading
from tollway.stores.sql.virtual_key import VirtualKey

_log = logging.getLogger(__name__)

ROTATOR = "tollway-key-rotation"
"""Who the audit log says it was."""
DEFAULT_GRACE = "24h"
"""How long an old value goes on working where no setting says otherwise: an outage helps nobody's security."""
_AT_ONCE = 100
"""Keys looked at in one round."""


class Successor(NamedTuple):
    """The value that takes the place of one whose time is nearly over."""

    value: Secret
    works_until: datetime
    """Of the old value."""


class KeyRotation:
    """Rotates keys that are due. One transaction a key, so that one that fails holds up no other."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def rotate_due(self) -> int:
        """Gives every key that is due a new value, and forgets successors whose time is over; how many were rotated.

        Safe to run in several processes at once: a key is rotated by the first that finds it unchanged.
        """
        context = self._context()
        async with reading(self._services.engine) as connection:
            keys = KeyRepository(connection)
            due = await keys.list_due(now=context.now, limit=_AT_ONCE)
            has_old = await keys.has_old_successors(before=context.now)
        rotated = 0
        for key in due:
            try:
                rotated += await self._rotate(context, key)
            except TollwayError as error:
                _log.error("key %s could not be rotated: %s", key.key_name, error.message)
        if has_old:  # most rounds have nothing to write, and then hold up nobody who has
            await self._forget_old(context)
        if rotated:
            _log.info("rotated %d keys; their holders fetch the new values with GET /key/successor", rotated)
        return rotated

    async def _rotate(self, context: Context, seen: VirtualKey) -> bool:
        services = self._services
        await services.sealer.ready()
        plaintext = new_virtual_key(services.key_policy.entropy_bytes)
        sealed = services.sealer.seal(Secret(plaintext), *_place(seen.key_hash))
        async with changing(context) as unit:
            key = await KeyRepository(unit.connection).find(seen.key_hash)
            if key is None:
                return False  # rotated or deleted since
            if key.rotates_at is None or key.rotates_at > context.now:
                await KeyRepository(unit.connection).replace(key.key_hash, key)  # an older version wrote when it is due
                return False
            grace = services.key_policy.grace_period or DEFAULT_GRACE
            await KeyService(context).rotate(unit, key, key, plaintext, grace=grace, successor=sealed)
        return True

    async def _forget_old(self, context: Context) -> None:
        async with changing(context) as unit:
            await KeyRepository(unit.connection).forget_successors(before=context.now)

    def _context(self) -> Context:
        principal = Principal(key_hash=ROTATOR, role=Role.PROXY_ADMIN, user_id=ROTATOR)
        return Context(services=self._services, actor=Actor(principal=principal), now_s=self._services.clock())


async def find_successor(context: Context) -> Successor:
    """The new value of the key that asks, while its old one still works. Raises `NotFound`."""
    services = context.services
    async with reading(services.engine) as connection:
        keys = KeyRepository(connection)
        key = await keys.find(context.actor.key_hash)
        found = await keys.find_successor(key.spend_id, now=context.now) if key is not None else None
    if found is None:
        raise NotFound(
            "This key has no successor: it was not rotated, or the time to fetch the new value is over. "
            "Ask whoever manages it for a new one (POST /key/regenerate).",
            param="key",
        )
    await services.sealer.ready()
    try:
        value = services.sealer.open(found.successor, *_place(found.key_hash))
    except CannotOpen as error:
        raise NotFound(
            f"The new value of this key cannot be opened: {error}. Ask whoever manages it for a new one.", param="key"
        ) from None
    return Successor(value, found.works_until)


def _place(key_hash: str) -> tuple[str, str, str]:
    return ("retired_key_hashes", key_hash, "successor")
