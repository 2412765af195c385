"""What keys have spent: always a sum of ledger records, so a change of it is a record too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tollway.control.keys.rendering import KeySpend
from tollway.control.kit.access_groups import groups_of
from tollway.control.kit.budgets import BudgetRows, render_budget
from tollway.control.kit.context import Context
from tollway.control.kit.spending import resets_at, set_spend, spent_nanos
from tollway.control.services import Services
from tollway.core.principal import Scope
from tollway.db.engine import reading
from tollway.ports.spend import MONEY
from tollway.stores.sql.principals import key_scope
from tollway.stores.sql.rows import Budget
from tollway.stores.sql.virtual_key import VirtualKey


async def spend_by_key(context: Context, keys: Sequence[VirtualKey]) -> dict[str, KeySpend]:
    """What each key has spent, every settled call included; by key hash."""
    if not keys:
        return {}
    services = context.services
    linked = await _linked_budgets(services, keys)
    scopes = [key_scope(key, linked.get(key.budget_id or "")) for key in keys]
    in_window = await spent_nanos(services, scopes)
    totals = await _totals(services, keys)
    ended = await services.spend.last_calls([key.key_hash for key in keys])
    async with reading(services.engine) as connection:
        groups = await groups_of(connection, "key", [key.spend_id for key in keys])
    return {
        key.key_hash: KeySpend(
            nanos=nanos,
            total_nanos=totals[key.key_hash],
            resets_at=resets_at(services, scope.budget_duration),
            last_active=datetime.fromtimestamp(ended[key.key_hash] / 1e6, UTC) if key.key_hash in ended else None,
            access_group_ids=groups.get(key.spend_id, []),
            budget_table=render_budget(context, linked.get(key.budget_id or "")),
        )
        for key, scope, nanos in zip(keys, scopes, in_window, strict=True)
    }


async def current_scope(services: Services, key: VirtualKey) -> Scope:
    """The key's own limits, those of a linked budget included."""
    return key_scope(key, (await _linked_budgets(services, [key])).get(key.budget_id or ""))


async def set_key_spend(context: Context, key: VirtualKey, nanos: int) -> int:
    """Makes the spend of the key's current window `nanos`; what it was before."""
    return await set_spend(context, await current_scope(context.services, key), nanos, **ids_of(key))


async def _linked_budgets(services: Services, keys: Sequence[VirtualKey]) -> dict[str, Budget]:
    ids = {key.budget_id for key in keys if key.budget_id}
    if not ids:
        return {}
    async with reading(services.engine) as connection:
        return await BudgetRows(connection).by_id(ids)


def ids_of(key: VirtualKey) -> dict[str, str]:
    """Whom a record about the key concerns."""
    return {"key_hash": key.key_hash, "user_id": key.user_id or "", "team_id": key.team_id or ""}


async def _totals(services: Services, keys: Sequence[VirtualKey]) -> dict[str, int]:
    hashes = {key.key_hash: await _hashes(services, key) for key in keys}
    every = [name for names in hashes.values() for name in names]
    sums = await services.spend.sum_usage(None, "key", every, by=("entity",), only=MONEY)
    by_hash = {one.group[0]: one.spend_nanos for one in sums}
    return {key_hash: sum(by_hash.get(name, 0) for name in names) for key_hash, names in hashes.items()}


async def _hashes(services: Services, key: VirtualKey) -> Sequence[str]:
    return await services.keys.find_hashes(key.key_hash) if key.rotation_count else [key.key_hash]
