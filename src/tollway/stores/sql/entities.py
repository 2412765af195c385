"""End users, tags, model access groups and stopped sessions in a database: looked up when a call names one that is not
known yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tollway.core.principal import Entity, Scope, Stop
from tollway.db.access_groups import model_access_group_budgets
from tollway.db.budgets import budgets
from tollway.db.customers import customers
from tollway.db.engine import look_up_s, reading
from tollway.db.sessions import stopped_sessions
from tollway.db.tags import tags
from tollway.ports.entities import EntityKind
from tollway.stores.sql.limited import from_row, model_scopes, raised, scope_of
from tollway.stores.sql.rows import Budget, Customer, Tag

S = TypeVar("S", bound=msgspec.Struct)


class SqlEntityStore:
    """`ports.entities.EntityStore` on SQLite or Postgres."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        """`clock`: epoch seconds; decides whether a temporary increase of a budget still holds."""
        self._engine = engine
        self._clock = clock

    async def find_entity(self, kind: EntityKind, id: str, *, default_budget_id: str | None = None) -> Entity | None:
        """The entity; None for one that nobody gave limits to, or that has no stops. Raises `StoreUnavailable`."""
        async with reading(self._engine, within_s=look_up_s(self._engine)) as connection:
            match kind:
                case "end_user":
                    return await self._end_user(connection, id, default_budget_id)
                case "tag":
                    return await self._tag(connection, id)
                case "model_access_group":
                    return await self._group(connection, id)
                case "session":
                    return await self._stops(connection, id)

    async def _end_user(self, connection: AsyncConnection, id: str, default_budget_id: str | None) -> Entity:
        row = await _one(connection, Customer, customers, customers.c.customer_id == id)
        budget_id = (row.budget_id if row else None) or default_budget_id
        budget = await _budget(connection, budget_id)
        entity = self._entity(customer_scope(id, budget), budget_id, budget)
        per_model = model_scopes("model_per_end_user", id, budgets=budget.model_max_budget if budget else None)
        if row is None:
            return msgspec.structs.replace(entity, model_scopes=per_model, is_known=False)
        return msgspec.structs.replace(
            entity,
            model_scopes=per_model,
            models=frozenset(row.models),
            default_model=row.default_model,
            region=row.allowed_model_region or "",
            is_blocked=row.is_blocked,
        )

    async def _tag(self, connection: AsyncConnection, id: str) -> Entity | None:
        row = await _one(connection, Tag, tags, tags.c.name == id)
        if row is None:
            return None
        budget = await _budget(connection, row.budget_id)
        return self._entity(tag_scope(id, budget), row.budget_id, budget)

    async def _group(self, connection: AsyncConnection, id: str) -> Entity | None:
        query = select(model_access_group_budgets.c.budget_id).where(model_access_group_budgets.c.name == id)
        budget_id = (await connection.execute(query)).scalar()
        budget = await _budget(connection, budget_id)
        return self._entity(group_scope(id, budget), budget_id, budget) if budget else None

    async def _stops(self, connection: AsyncConnection, spend_id: str) -> Entity | None:
        query = select(stopped_sessions).where(stopped_sessions.c.spend_id == spend_id)
        stops = {
            row.session_id: Stop(row.stopped_by, row.reason, row.stopped_at.timestamp())
            for row in await connection.execute(query)
        }
        return Entity(scope=Scope(kind="api_key", id=spend_id), stops=stops) if stops else None

    def _entity(self, scope: Scope, budget_id: str | None, budget: Budget | None) -> Entity:
        now = self._clock()
        ends = budget.temp_budget_expiry.timestamp() if budget and budget.temp_budget_expiry else 0.0
        return Entity(scope=raised(scope, budget, now), budget_id=budget_id, valid_until=ends if ends > now else None)


def customer_scope(id: str, budget: Budget | None) -> Scope:
    """An end user's limits, and the name of their counters."""
    return scope_of("end_user", id, budget)


def tag_scope(name: str, budget: Budget | None) -> Scope:
    """A tag's limits, and the name of their counters."""
    return scope_of("tag", name, budget)


def group_scope(name: str, budget: Budget | None) -> Scope:
    """The limits of a model access group, and the name of their counters."""
    return scope_of("model_access_group", name, budget)


async def _budget(connection: AsyncConnection, budget_id: str | None) -> Budget | None:
    if budget_id is None:
        return None
    return await _one(connection, Budget, budgets, budgets.c.budget_id == budget_id)


async def _one(connection: AsyncConnection, kind: type[S], table: Table, condition: ColumnElement[Any]) -> S | None:
    row = (await connection.execute(select(table).where(condition))).first()
    return from_row(kind, row) if row else None
