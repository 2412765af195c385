"""What can be done with customers. Each operation is one transaction; changes of spend follow its commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.customers.repository import CustomerRepository
from tollway.control.customers.schemas import CustomerCreate, CustomerUpdate
from tollway.control.kit.budgets import BudgetRows, link_budget
from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.limits import check_dollars
from tollway.control.kit.pagination import Page
from tollway.control.kit.spending import carry_spend, set_spend, spent_nanos
from tollway.core.errors import Conflict, NotFound
from tollway.core.money import nanos_from_dollars
from tollway.core.principal import Scope
from tollway.db.engine import reading
from tollway.stores.sql.entities import customer_scope
from tollway.stores.sql.rows import Budget, Customer

_TABLE = "LiteLLM_EndUserTable"
_MAX_BLOCKED_LISTED = 10_000

_COLUMNS = {
    "alias": "alias",
    "blocked": "is_blocked",
    "allowed_model_region": "allowed_model_region",
    "default_model": "default_model",
    "models": "models",
}
"""Fields with a column of their own, as they are."""
_EMPTY: Mapping[str, Any] = {"models": [], "blocked": False}
"""What null means where a column cannot be."""
_OPTIONS = ("object_permission",)


class Spent(NamedTuple):
    """A customer with the linked budget, and what was spent in its current window."""

    customer: Customer
    budget: Budget | None
    nanos: int


class CustomerService:
    """Customers, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def create(self, body: CustomerCreate) -> Spent:
        """Makes a customer. Raises `Conflict` for one that exists."""
        changes = self._checked(body.changes())
        context = self._context
        await self._services.ledger.flush_everywhere()
        async with changing(context) as unit:
            blank = Customer(
                customer_id=body.user_id,
                created_at=context.now,
                created_by=context.actor.name,
                updated_at=context.now,
                updated_by=context.actor.name,
            )
            customer = await self._amended(unit, blank, changes)
            await CustomerRepository(unit.connection).add(customer, taken=_exists(body.user_id))
            self._note(unit, "created", None, customer)
            scope = customer_scope(customer.customer_id, await self._budget(unit.connection, customer))
        # One of that name may have been deleted: a new customer begins where it is told to.
        await set_spend(context, scope, nanos_from_dollars(changes.get("spend") or 0))
        return (await self._with_spend([customer]))[0]

    async def find(self, customer_id: str) -> Spent:
        """A customer. Raises `NotFound`."""
        # Whoever was served a moment ago is a customer already.
        await self._services.ledger.flush_everywhere()
        async with reading(self._services.engine) as connection:
            customer = await self._existing(connection, customer_id, param="end_user_id")
        return (await self._with_spend([customer]))[0]

    async def update(self, body: CustomerUpdate) -> Spent:
        """Changes the fields that were sent. Raises `NotFound`."""
        changes = self._checked(body.changes())
        await self._services.ledger.flush_everywhere()
        async with changing(self._context) as unit:
            before = await self._existing(unit.connection, body.user_id, param="user_id")
            scope_before = customer_scope(before.customer_id, await self._budget(unit.connection, before))
            customer = self._touched(await self._amended(unit, before, changes))
            await CustomerRepository(unit.connection).replace(customer)
            self._note(unit, "updated", before, customer)
            scope = customer_scope(customer.customer_id, await self._budget(unit.connection, customer))
        await self._settle_spend(scope_before, scope, changes.get("spend"))
        return (await self._with_spend([customer]))[0]

    async def delete(self, ids: Sequence[str]) -> list[str]:
        """Deletes customers, or none if one of them does not exist: `NotFound`. What they spent stays in the ledger."""
        wanted = list(dict.fromkeys(ids))
        await self._services.ledger.flush_everywhere()
        async with changing(self._context) as unit:
            rows = CustomerRepository(unit.connection)
            found = await rows.find_all(wanted)
            missing = [one for one in wanted if one not in found]
            if missing:
                raise _missing(", ".join(missing[:10]), param="user_ids")
            await rows.delete(rows.table.c.customer_id.in_(wanted))
            for customer in found.values():
                self._note(unit, "deleted", customer, None)
        return wanted

    async def block(self, ids: Sequence[str]) -> list[Spent]:
        """Blocks customers; those who do not exist yet are made."""
        wanted = list(dict.fromkeys(ids))
        async with changing(self._context) as unit:
            rows = CustomerRepository(unit.connection)
            await rows.ensure(wanted, at=self._context.now, by=self._context.actor.name)
            blocked = await self._set_blocked(unit, wanted, is_blocked=True)
        return await self._with_spend(blocked)

    async def unblock(self, ids: Sequence[str]) -> tuple[list[str], int]:
        """Lets customers call again: who is blocked all the same, and how many of those named exist."""
        async with changing(self._context) as unit:
            unblocked = await self._set_blocked(unit, list(dict.fromkeys(ids)), is_blocked=False)
            remaining = await CustomerRepository(unit.connection).blocked_ids(limit=_MAX_BLOCKED_LISTED)
        return remaining, len(unblocked)

    async def list_page(self, page: Page) -> tuple[list[Spent], int]:
        """A page of the customers in order of id, and how many there are."""
        await self._services.ledger.flush_everywhere()
        async with reading(self._services.engine) as connection:
            found, total = await CustomerRepository(connection).page(page=page)
        return await self._with_spend(found), total

    def _checked(self, changes: dict[str, Any]) -> dict[str, Any]:
        check_dollars("spend", changes.get("spend"))
        return changes

    async def _amended(self, unit: Unit, customer: Customer, changes: Mapping[str, Any]) -> Customer:
        values = {
            column: _EMPTY.get(name) if changes[name] is None else changes[name]
            for name, column in _COLUMNS.items()
            if name in changes
        }
        options = customer.options | {name: changes[name] for name in _OPTIONS if name in changes}
        return msgspec.structs.replace(
            customer,
            **values,
            options={name: value for name, value in options.items() if value is not None},
            budget_id=await link_budget(unit, customer.budget_id, changes),
        )

    async def _set_blocked(self, unit: Unit, ids: Sequence[str], *, is_blocked: bool) -> list[Customer]:
        rows = CustomerRepository(unit.connection)
        found = await rows.find_all(ids)
        changed = []
        for before in (found[one] for one in ids if one in found):
            customer = self._touched(msgspec.structs.replace(before, is_blocked=is_blocked))
            await rows.replace(customer)
            self._note(unit, "blocked" if is_blocked else "unblocked", before, customer)
            changed.append(customer)
        return changed

    async def _settle_spend(self, before: Scope, after: Scope, forced: float | None) -> None:
        """Sets the spend that was asked for, or takes it along into the window of a new budget_duration."""
        if forced is not None:
            await set_spend(self._context, after, nanos_from_dollars(forced))
        else:
            await carry_spend(self._context, before, after)

    async def _existing(self, connection: AsyncConnection, id: str, *, param: str) -> Customer:
        customer = await CustomerRepository(connection).find(id)
        if customer is None:
            raise _missing(id, param=param)
        return customer

    async def _budget(self, connection: AsyncConnection, customer: Customer) -> Budget | None:
        """The budget whose window the customer spends in: the linked one, else the default of the settings."""
        budget_id = customer.budget_id or self._services.settings.end_user_budget_id
        return await BudgetRows(connection).find(budget_id) if budget_id else None

    async def _with_spend(self, found: Sequence[Customer]) -> list[Spent]:
        default_id = self._services.settings.end_user_budget_id
        async with reading(self._services.engine) as connection:
            budgets = await BudgetRows(connection).by_id([*(one.budget_id for one in found), default_id])
        scopes = [customer_scope(one.customer_id, budgets.get(one.budget_id or default_id or "")) for one in found]
        spent = await spent_nanos(self._services, scopes)
        return [Spent(one, budgets.get(one.budget_id or ""), nanos) for one, nanos in zip(found, spent, strict=True)]

    def _touched(self, customer: Customer) -> Customer:
        context = self._context
        return msgspec.structs.replace(customer, updated_at=context.now, updated_by=context.actor.name)

    def _note(self, unit: Unit, action: str, before: Customer | None, after: Customer | None) -> None:
        named = after or before
        assert named is not None
        unit.audit(action, _TABLE, named.customer_id, before=before, after=after)
        unit.tell("customer", named.customer_id)


def _exists(id: str) -> Conflict:
    return Conflict(
        f"Customer already exists, passed user_id={id[:100]}. Change it with POST /customer/update.",
        param="user_id",
        type="bad_request",
    )


def _missing(ids: str, *, param: str) -> NotFound:
    return NotFound(f"End User Id={ids[:1_000]} does not exist in db", param=param, type="not_found")
