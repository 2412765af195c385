"""`/customer/*` and `/end_user/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response

from tollway.control.customers.rendering import render_customer
from tollway.control.customers.schemas import (
    CustomerCreate,
    CustomerNames,
    CustomerOut,
    CustomersBlocked,
    CustomersDeleted,
    CustomersUnblocked,
    CustomerUpdate,
)
from tollway.control.customers.service import CustomerService
from tollway.control.kit.body import say, warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page

router = resource_router("customers")


async def _customer_service(context: ContextDep) -> CustomerService:
    return CustomerService(context)


Customers = Annotated[CustomerService, Depends(_customer_service)]


@router.post("/customer/new")
@router.post("/end_user/new")
async def create_customer(
    body: CustomerCreate, response: Response, customers: Customers, context: ContextDep
) -> CustomerOut:
    """Make a customer. Budget fields make a budget of its own; `budget_id` links one that exists."""
    made = await customers.create(body)
    warn(response, body)
    return render_customer(context, made)


@router.get("/customer/info")
@router.get("/end_user/info")
async def show_customer(end_user_id: str, customers: Customers, context: ContextDep) -> CustomerOut:
    """A customer, with the linked budget and what was spent in its current window."""
    return render_customer(context, await customers.find(end_user_id))


@router.post("/customer/update")
@router.post("/end_user/update")
async def update_customer(
    body: CustomerUpdate, response: Response, customers: Customers, context: ContextDep
) -> CustomerOut:
    """Change the fields that are sent; null clears one."""
    changed = await customers.update(body)
    warn(response, body)
    return render_customer(context, changed)


@router.post("/customer/delete")
@router.post("/end_user/delete")
async def delete_customers(body: CustomerNames, response: Response, customers: Customers) -> CustomersDeleted:
    """Delete customers: all of them, or none if one does not exist. Their calls stay in the ledger."""
    deleted = await customers.delete(body.user_ids)
    warn(response, body)
    message = f"Successfully deleted customers with ids: {deleted}"
    return CustomersDeleted(deleted_customers=len(deleted), message=message)


@router.get("/customer/list")
@router.get("/end_user/list")
async def list_customers(
    response: Response,
    customers: Customers,
    context: ContextDep,
    *,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=1_000)] = 1_000,
) -> list[CustomerOut]:
    """Customers in order of id. A header says so if there are more than one answer holds."""
    found, total = await customers.list_page(Page(page, page_size))
    if total > len(found):
        say(response, f"{len(found)} of {total} customers; ask for others with page and page_size")
    return [render_customer(context, one) for one in found]


@router.post("/customer/block")
@router.post("/end_user/block")
async def block_customers(
    body: CustomerNames, response: Response, customers: Customers, context: ContextDep
) -> CustomersBlocked:
    """Refuse every call for these customers; those who do not exist yet are made."""
    blocked = await customers.block(body.user_ids)
    warn(response, body)
    return CustomersBlocked(blocked_users=[render_customer(context, one) for one in blocked])


@router.post("/customer/unblock")
@router.post("/end_user/unblock")
async def unblock_customers(body: CustomerNames, response: Response, customers: Customers) -> CustomersUnblocked:
    """Serve these customers again. The answer names everybody who is still blocked."""
    remaining, known = await customers.unblock(body.user_ids)
    missing = len(set(body.user_ids)) - known
    warn(response, body, *([f"{missing} of the customers were not found"] if missing else []))
    return CustomersUnblocked(blocked_users=remaining)
