"""What keys have spent: always a sum of ledger records, so a change of it is a record too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import msgspec

from tollway.control.keys.rendering import KeySpend
from tollway.control.services import Services
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Principal
from tollway.core.record import Charge
from tollway.core.windows import FOREVER, Window, window
from tollway.ports.spend import RecordFilter
from tollway.stores.sql.keys import VirtualKey

_CHARGES_PER_QUERY = 1000
"""Databases bound the parameters of a statement."""
_ALL_DAYS = (date(2000, 1, 1), date(9999, 12, 31))


def window_charge(services: Services, key: VirtualKey) -> Charge:
    """The window that the key spends in now."""
    return Charge(*key.scope.key, _window(services, key).start)


async def spend_by_key(services: Services, keys: Sequence[VirtualKey]) -> dict[str, KeySpend]:
    """What each key has spent, every settled call included; by key hash."""
    if not keys:
        return {}
    in_window = await nanos_by_key(services, keys)
    totals = await _totals(services, keys)
    return {
        key.key_hash: KeySpend(
            nanos=in_window[key.key_hash],
            total_nanos=totals[key.key_hash],
            resets_at=_reset_of(_window(services, key)),
            last_active=await _last_call(services, key),
        )
        for key in keys
    }


async def nanos_by_key(services: Services, keys: Sequence[VirtualKey]) -> dict[str, int]:
    """What each key has spent in its current window; by key hash."""
    await services.ledger.flush()
    charges = [window_charge(services, key) for key in keys]
    spent = [
        nanos
        for start in range(0, len(charges), _CHARGES_PER_QUERY)
        for nanos in await services.spend.window_spend(charges[start : start + _CHARGES_PER_QUERY])
    ]
    return {key.key_hash: nanos for key, nanos in zip(keys, spent, strict=True)}


async def set_spend(services: Services, key: VirtualKey, nanos: int, *, caller: Principal) -> None:
    """Makes the spend of the key's current window `nanos`, by a record of the difference."""
    charge = window_charge(services, key)
    spent = (await nanos_by_key(services, [key]))[key.key_hash]
    if spent != nanos:
        cause = {"changed_by": caller.user_id or caller.key_hash, "spend_set_to": dollars_from_nanos(nanos)}
        await services.ledger.record_adjustment(
            charge,
            nanos - spent,
            key_hash=key.key_hash,
            user_id=key.user_id or "",
            team_id=key.team_id or "",
            metadata=msgspec.json.encode(cause),
        )


async def _totals(services: Services, keys: Sequence[VirtualKey]) -> dict[str, int]:
    first, last = _ALL_DAYS
    if len(keys) == 1:
        (key,) = keys
        sums = [
            await services.spend.total(first, last, where={"key_hash": key_hash})
            for key_hash in await _hashes(services, key)
        ]
        return {key.key_hash: sum(one.spend_nanos for one in sums)}
    by_hash = {one.group[0]: one.spend_nanos for one in await services.spend.sum_by(first, last, by=("key_hash",))}
    return {key.key_hash: sum(by_hash.get(name, 0) for name in await _hashes(services, key)) for key in keys}


async def _last_call(services: Services, key: VirtualKey) -> datetime | None:
    calls = RecordFilter(kind="call", key_hash=key.key_hash)
    return next(
        (
            datetime.fromtimestamp(record.ended_at / 1e6, UTC)
            for record in await services.spend.list_records(calls, limit=1)
        ),
        None,
    )


async def _hashes(services: Services, key: VirtualKey) -> Sequence[str]:
    return await services.keys.find_hashes(key.key_hash) if key.rotation_count else [key.key_hash]


def _window(services: Services, key: VirtualKey) -> Window:
    if key.budget_duration is None:
        return FOREVER
    settings = services.settings
    now = services.clock()
    return window(key.budget_duration, now, timezone=settings.timezone, reset_time=settings.budget_reset_time)


def _reset_of(span: Window) -> datetime | None:
    return None if span == FOREVER else datetime.fromtimestamp(span.end, UTC)
