"""What can be done with tags. Each operation is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.budgets import BudgetRows, link_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.spending import carry_spend, spent_nanos
from tollway.control.tags.repository import TagRepository
from tollway.control.tags.schemas import TagWrite
from tollway.core.errors import Conflict, NotFound
from tollway.core.principal import Scope
from tollway.db.engine import reading
from tollway.ports.spend import Days
from tollway.stores.sql.entities import tag_scope
from tollway.stores.sql.rows import Budget, Tag

_TABLE = "LiteLLM_TagTable"
_MAX_LISTED = 1_000


class Spent(NamedTuple):
    """A tag with the linked budget, and what was spent in its current window."""

    tag: Tag
    budget: Budget | None
    nanos: int


class TagService:
    """Tags, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def create(self, body: TagWrite) -> Tag:
        """Makes a tag. Raises `Conflict` for one that exists."""
        context = self._context
        blank = Tag(
            name=body.name,
            created_at=context.now,
            created_by=context.actor.name,
            updated_at=context.now,
            updated_by=context.actor.name,
        )
        async with changing(context) as unit:
            tag = await self._amended(unit, blank, body.changes())
            await TagRepository(unit.connection).add(tag, taken=Conflict(f"Tag {body.name[:100]} already exists"))
            self._note(unit, "created", None, tag)
        return tag

    async def update(self, body: TagWrite) -> Tag:
        """Changes the fields that were sent. Raises `NotFound`."""
        context = self._context
        async with changing(context) as unit:
            before = await self._existing(unit.connection, body.name)
            scope_before = await self._scope(unit.connection, before)
            tag = await self._amended(unit, before, body.changes())
            tag = msgspec.structs.replace(tag, updated_at=context.now, updated_by=context.actor.name)
            await TagRepository(unit.connection).replace(tag)
            self._note(unit, "updated", before, tag)
            scope = await self._scope(unit.connection, tag)
        await carry_spend(context, scope_before, scope)
        return tag

    async def delete(self, name: str) -> None:
        """Deletes a tag. Its calls stay in the ledger. Raises `NotFound`."""
        async with changing(self._context) as unit:
            before = await self._existing(unit.connection, name)
            rows = TagRepository(unit.connection)
            await rows.delete(rows.table.c.name == name)
            self._note(unit, "deleted", before, None)

    async def find_all(self, names: Sequence[str]) -> list[Spent]:
        """Those of these tags that exist. Raises `NotFound` if none does."""
        async with reading(self._services.engine) as connection:
            found = await TagRepository(connection).find_all(list(names))
        if not found:
            raise NotFound(f"No tags found among {', '.join(names[:10])[:200]}")
        return await self._with_spend([found[name] for name in dict.fromkeys(names) if name in found])

    async def list_all(self) -> tuple[list[Spent], int]:
        """Tags in order of name, and how many there are: more may exist than are listed."""
        async with reading(self._services.engine) as connection:
            rows = TagRepository(connection)
            return await self._with_spend(await rows.all(limit=_MAX_LISTED)), await rows.count()

    async def list_seen(self, first: date | None = None, last: date | None = None) -> list[str]:
        """Tags of calls on these UTC days, in order of name; without days, of all calls."""
        await self._services.ledger.flush_everywhere()
        spend = self._services.spend
        if first is None and last is None:
            return await spend.list_entities("tag", limit=_MAX_LISTED)
        days = Days(first or date.min, last or date.max)
        return sorted(one.group[0] for one in await spend.sum_totals(days, "tag", limit=_MAX_LISTED))

    def model_names(self, tag: Tag) -> dict[str, str]:
        """Public names of a tag's models, by id; models that are not served any more are left out."""
        by_id = self._services.snapshot().by_id
        return {model_id: by_id[model_id].name for model_id in tag.models if model_id in by_id}

    async def _amended(self, unit: Unit, tag: Tag, changes: Mapping[str, Any]) -> Tag:
        return msgspec.structs.replace(
            tag,
            description=changes.get("description", tag.description),
            models=changes.get("models", tag.models) or [],
            budget_id=await link_budget(unit, tag.budget_id, changes),
        )

    async def _existing(self, connection: AsyncConnection, name: str) -> Tag:
        tag = await TagRepository(connection).find(name)
        if tag is None:
            raise NotFound(f"Tag {name[:100]} not found")
        return tag

    async def _scope(self, connection: AsyncConnection, tag: Tag) -> Scope:
        return tag_scope(tag.name, await BudgetRows(connection).find(tag.budget_id) if tag.budget_id else None)

    async def _with_spend(self, found: Sequence[Tag]) -> list[Spent]:
        async with reading(self._services.engine) as connection:
            budgets = await BudgetRows(connection).by_id(one.budget_id for one in found)
        linked = [budgets.get(one.budget_id or "") for one in found]
        scopes = [tag_scope(one.name, budget) for one, budget in zip(found, linked, strict=True)]
        spent = await spent_nanos(self._services, scopes)
        return [Spent(*one) for one in zip(found, linked, spent, strict=True)]

    def _note(self, unit: Unit, action: str, before: Tag | None, after: Tag | None) -> None:
        named = after or before
        assert named is not None
        unit.audit(action, _TABLE, named.name, before=before, after=after)
        unit.tell("tag", named.name)
