"""`/global/spend/reset`: what keys and teams have spent in their current windows becomes nothing, by records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from tollway.control.kit.context import Context, changing
from tollway.control.kit.spending import charge_of, spent_nanos
from tollway.control.spend.repository import SpendRepository
from tollway.core.principal import Scope
from tollway.stores.sql.principals import key_scope, team_scope

_BATCH = 200


async def reset_spend(context: Context) -> int:
    """Resets every key and team; how many had spent something. Serves other requests between batches.

    Raises `Overloaded` when the resets cannot be recorded; those recorded before stay.
    """
    count = 0
    async for scopes, ids in _scopes(SpendRepository(context.services.engine)):
        spent = await spent_nanos(context.services, scopes)
        for scope, nanos, owner in zip(scopes, spent, ids, strict=True):
            if nanos:
                await _reset(context, scope, nanos, owner)
                count += 1
        await asyncio.sleep(0)
    async with changing(context) as unit:
        unit.audit("updated", "LiteLLM_SpendLogs", "all keys and teams", after={"spend": 0, "reset": count})
    return count


async def _reset(context: Context, scope: Scope, nanos: int, ids: dict[str, str]) -> None:
    cause = {"changed_by": context.changed_by or context.actor.name, "scope": scope.kind, "id": scope.id}
    await context.services.ledger.record_adjustment(
        charge_of(context.services, scope), -nanos, metadata=msgspec.json.encode(cause | {"spend_set_to": 0}), **ids
    )


async def _scopes(repository: SpendRepository) -> AsyncIterator[tuple[Sequence[Scope], Sequence[dict[str, str]]]]:
    after = ""
    while keys := await repository.list_keys(after=after, limit=_BATCH):
        after = keys[-1].key_hash
        ids = [{"key_hash": key.key_hash, "user_id": key.user_id or "", "team_id": key.team_id or ""} for key in keys]
        linked = await repository.budgets_by_id({key.budget_id for key in keys if key.budget_id})
        yield [key_scope(key, linked.get(key.budget_id or "")) for key in keys], ids
    after = ""
    while teams := await repository.list_teams(after=after, limit=_BATCH):
        after = teams[-1].team_id
        yield [team_scope(team) for team in teams], [{"team_id": team.team_id} for team in teams]
