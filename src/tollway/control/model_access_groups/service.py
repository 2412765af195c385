"""What can be done with model access groups. Membership is a field of each model: those of the file are fixed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from tollway.control.kit.budgets import BudgetRows, amend_budget, new_budget, render_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.rows import Rows
from tollway.control.kit.spending import spent_nanos
from tollway.control.kit.stored import ModelRows, is_of_file, public_name, storing
from tollway.control.model_access_groups.schemas import GroupBudget, GroupBudgetShown, GroupInfo
from tollway.core.errors import Conflict, InvalidRequest, NotFound
from tollway.core.money import dollars_from_nanos
from tollway.db.access_groups import model_access_group_budgets
from tollway.db.engine import reading
from tollway.ports.models import StoredModel
from tollway.stores.sql.entities import group_scope
from tollway.stores.sql.rows import Budget, Tracked

_TABLE = "LiteLLM_ProxyModelTable"
_BUDGET_TABLE = "LiteLLM_BudgetTable"


class Members(msgspec.Struct, frozen=True):
    """The models of a group."""

    names: tuple[str, ...]
    deployments: int


class LinkedBudget(Tracked, frozen=True, kw_only=True):
    """One row of `model_access_group_budgets`."""

    name: str
    budget_id: str


class AccessGroupService:
    """Model access groups, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def create(self, name: str, model_names: list[str] | None, model_ids: list[str] | None) -> int:
        """Puts models into a group that there was not; how many. Raises `Conflict` for one that there was."""
        async with storing(self._context) as unit:
            rows = await ModelRows(unit.connection).all()
            if name in self._groups(rows):
                raise Conflict(
                    f"Access group '{name}' already exists. Change it with PUT /access_group/{name}/update.",
                    param="access_group",
                    status=409,
                )
            chosen = self._chosen(rows, model_names, model_ids)
            await self._set_members(unit, name, rows, chosen)
        return len(chosen)

    async def update(self, name: str, model_names: list[str] | None, model_ids: list[str] | None) -> int:
        """Makes these the models of a group; how many there are now."""
        async with storing(self._context) as unit:
            rows = await ModelRows(unit.connection).all()
            self._require(name, rows)
            chosen = self._chosen(rows, model_names, model_ids)
            await self._set_members(unit, name, rows, chosen)
        return len(chosen)

    async def delete(self, name: str) -> int:
        """Takes every model out of a group, and its budget away; how many models there were."""
        async with storing(self._context) as unit:
            rows = await ModelRows(unit.connection).all()
            self._require(name, rows)
            fixed = self._of_file(name)
            if fixed:
                raise InvalidRequest(
                    f"Access group '{name}' is given to models of the configuration file ({', '.join(fixed)}). "
                    "Remove it there.",
                    param="access_group",
                    type="bad_request_error",
                )
            count = await self._set_members(unit, name, rows, chosen=())
            await self._unlink_budget(unit, name)
        return count

    async def all(self) -> list[GroupInfo]:
        """Every group, by name."""
        async with reading(self._services.engine) as connection:
            rows = await ModelRows(connection).all()
            links = await Rows(connection, model_access_group_budgets, LinkedBudget).all()
            budgets = await BudgetRows(connection).by_id(link.budget_id for link in links)
        linked = {link.name: budgets.get(link.budget_id) for link in links}
        groups = self._groups(rows)
        names = sorted(groups)
        spent = await spent_nanos(self._services, [group_scope(name, linked.get(name)) for name in names])
        return [
            GroupInfo(
                access_group=name,
                model_names=list(groups[name].names),
                deployment_count=groups[name].deployments,
                spend=dollars_from_nanos(nanos),
                budget=render_budget(self._context, linked.get(name)),
            )
            for name, nanos in zip(names, spent, strict=True)
        ]

    async def find(self, name: str) -> GroupInfo:
        """One group. Raises `NotFound`."""
        for group in await self.all():
            if group.access_group == name:
                return group
        raise _not_found(name)

    async def budget(self, name: str) -> GroupBudgetShown:
        """What a group has spent, and may. Raises `NotFound`."""
        found = await self.find(name)
        return GroupBudgetShown(access_group=name, spend=found.spend, budget=found.budget)

    async def set_budget(self, name: str, body: GroupBudget) -> GroupBudgetShown:
        """Links a budget, or gives the group limits of its own."""
        async with changing(self._context) as unit:
            self._context.check_fields(self._context.actor.role, body.changes())
            self._require(name, await ModelRows(unit.connection).all())
            links = Rows(unit.connection, model_access_group_budgets, LinkedBudget)
            budgets = BudgetRows(unit.connection)
            before = await links.find(name)
            old = await budgets.find(before.budget_id) if before is not None else None
            limits = {field: value for field, value in body.changes().items() if field != "budget_id"}
            budget = await self._wanted_budget(budgets, body.budget_id, limits, old)
            link = LinkedBudget(
                name=name,
                budget_id=budget.budget_id,
                created_at=before.created_at if before is not None else self._context.now,
                created_by=before.created_by if before is not None else self._context.actor.user_id,
                updated_at=self._context.now,
                updated_by=self._context.actor.user_id,
            )
            await (links.insert(link) if before is None else links.replace(link))
            unit.audit("updated", _BUDGET_TABLE, budget.budget_id, before=old, after=budget)
            unit.tell("budget", budget.budget_id)
            unit.tell("model_access_group", name)
        return await self.budget(name)

    async def delete_budget(self, name: str) -> GroupBudgetShown:
        """Takes a group's budget away. A budget that others link to goes on being."""
        async with changing(self._context) as unit:
            self._require(name, await ModelRows(unit.connection).all())
            if not await self._unlink_budget(unit, name):
                raise NotFound(f"Access group '{name[:100]}' has no budget.", param="access_group")
        return await self.budget(name)

    async def _wanted_budget(
        self, budgets: BudgetRows, budget_id: str | None, limits: dict[str, Any], linked: Budget | None
    ) -> Budget:
        if budget_id is not None:
            named = await budgets.named(budget_id)
            if not limits:
                return named
            changed = amend_budget(self._context, named, limits)
            await budgets.replace(changed)
            return changed
        if not limits:
            raise InvalidRequest(
                "Send a budget_id, or max_budget, soft_budget and budget_duration.",
                param="max_budget",
                type="bad_request_error",
            )
        if linked is not None:
            changed = amend_budget(self._context, linked, limits)
            await budgets.replace(changed)
            return changed
        made = new_budget(self._context, limits)
        await budgets.insert(made)
        return made

    async def _unlink_budget(self, unit: Unit, name: str) -> bool:
        links = Rows(unit.connection, model_access_group_budgets, LinkedBudget)
        link = await links.find(name)
        if link is None:
            return False
        await links.delete(links.table.c.name == name)
        unit.audit("deleted", _BUDGET_TABLE, link.budget_id, before=link)
        unit.tell("model_access_group", name)
        return True

    def _groups(self, rows: Iterable[StoredModel]) -> dict[str, Members]:
        """Every group, with its models of the file and of the database."""
        found: dict[str, list[str]] = {}
        for entry in self._services.configuration().models:
            for name in entry.model_info.get("access_groups") or ():
                found.setdefault(name, []).append(entry.model_name)
        for row in rows:
            for name in _groups_of(row):
                found.setdefault(name, []).append(public_name(row))
        return {name: Members(tuple(dict.fromkeys(models)), len(models)) for name, models in found.items()}

    def _of_file(self, name: str) -> list[str]:
        entries = self._services.configuration().models
        return [entry.model_name for entry in entries if name in (entry.model_info.get("access_groups") or ())]

    def _require(self, name: str, rows: Sequence[StoredModel]) -> None:
        if name not in self._groups(rows):
            raise _not_found(name)

    def _chosen(self, rows: Sequence[StoredModel], names: list[str] | None, ids: list[str] | None) -> Collection[str]:
        """Ids of the models that are meant. Raises `InvalidRequest` for those nobody can put into a group."""
        if not names and not ids:
            raise InvalidRequest(
                "Send model_names, or model_ids: a group has at least one model.",
                param="model_names",
                type="bad_request_error",
            )
        by_id = {row.model_id for row in rows}
        unknown = [one for one in ids or () if one not in by_id]
        by_name = {name: [row.model_id for row in rows if public_name(row) == name] for name in names or ()}
        unknown += [name for name, found in by_name.items() if not found]
        if unknown:
            raise InvalidRequest(self._why_not(unknown), param="model_names" if names else "model_ids")
        return {*(ids or ()), *(one for found in by_name.values() for one in found)}

    def _why_not(self, unknown: list[str]) -> str:
        of_file = {entry.model_name for entry in self._services.configuration().models}
        fixed = [one for one in unknown if one in of_file or is_of_file(self._services, one)]
        missing = [one for one in unknown if one not in fixed]
        texts = []
        if missing:
            texts.append(f"Model(s) not found: {', '.join(missing)[:500]}. GET /v2/model/info lists those there are.")
        if fixed:
            texts.append(
                f"Model(s) of the configuration file: {', '.join(fixed)[:500]}. Set `access_groups` in their "
                "`model_info` there."
            )
        return " ".join(texts)

    async def _set_members(self, unit: Unit, name: str, rows: Iterable[StoredModel], chosen: Collection[str]) -> int:
        """Makes `chosen` the members; how many models were changed."""
        changed = 0
        for row in rows:
            groups = _groups_of(row)
            wanted = [one for one in groups if one != name] + ([name] if row.model_id in chosen else [])
            if (name in groups) == (row.model_id in chosen):
                continue
            after = msgspec.structs.replace(
                row,
                info={**row.info, "access_groups": wanted},
                updated_at=self._context.now,
                updated_by=self._context.actor.user_id,
            )
            await ModelRows(unit.connection).replace(after)
            unit.audit(
                "updated",
                _TABLE,
                row.model_id,
                before={"access_groups": list(groups)},
                after={"access_groups": wanted},
            )
            changed += 1
        unit.tell("model_access_group", name)
        return changed


def _groups_of(row: StoredModel) -> list[str]:
    groups = row.info.get("access_groups") or []
    return [groups] if isinstance(groups, str) else list(groups)


def _not_found(name: str) -> NotFound:
    return NotFound(f"Access group '{name[:100]}' not found.", param="access_group")
