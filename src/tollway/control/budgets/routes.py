"""`/budget/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated, NoReturn

from fastapi import Depends, Query, Response

from tollway.control.budgets.rendering import render_row, render_settings
from tollway.control.budgets.schemas import (
    BudgetCreate,
    BudgetName,
    BudgetPage,
    BudgetQuery,
    BudgetQuestion,
    BudgetRow,
    BudgetSetting,
    BudgetUpdate,
    PageFacts,
)
from tollway.control.budgets.service import BudgetService
from tollway.control.kit.actor import Actor
from tollway.control.kit.body import warn
from tollway.control.kit.context import ActorDep, ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page, PageDep, warn_of_more
from tollway.core.errors import InvalidRequest

router = resource_router("budgets")


async def _budget_service(context: ContextDep) -> BudgetService:
    return BudgetService(context)


Budgets = Annotated[BudgetService, Depends(_budget_service)]


async def _require_admin(actor: ActorDep) -> None:
    if not actor.is_admin:
        _refuse(actor)


async def _require_viewer(actor: ActorDep) -> None:
    if not actor.sees_everything:
        _refuse(actor)


def _refuse(actor: Actor) -> NoReturn:
    raise InvalidRequest(
        f"Admin-only endpoint. Your user role={actor.role}. Ask a proxy admin.", type="bad_request_error"
    )


@router.post("/budget/new")
async def create_budget(body: BudgetCreate, response: Response, budgets: Budgets, context: ContextDep) -> BudgetRow:
    """Make a budget that keys, customers, tags, organizations, projects and members can share by its `budget_id`."""
    budget = await budgets.create(body)
    warn(response, body)
    return render_row(context, budget)


@router.post("/budget/update")
async def update_budget(body: BudgetUpdate, response: Response, budgets: Budgets, context: ContextDep) -> BudgetRow:
    """Change the fields that are sent, for everything that links to the budget; null clears one."""
    budget = await budgets.update(body)
    warn(response, body)
    return render_row(context, budget)


@router.post("/budget/info")
async def show_budgets(
    body: BudgetQuestion, response: Response, budgets: Budgets, context: ContextDep
) -> list[BudgetRow]:
    """Several budgets. Those that do not exist are left out."""
    found = await budgets.find_many(body.budgets)
    warn(response, body)
    return [render_row(context, budget) for budget in found]


@router.get("/budget/list", dependencies=[Depends(_require_viewer)])
async def list_budgets(response: Response, budgets: Budgets, context: ContextDep, page: PageDep) -> list[BudgetRow]:
    """Budgets, newest first."""
    found, total = await budgets.list_page(page)
    warn_of_more(response, page, total)
    return [render_row(context, budget) for budget in found]


@router.get("/budget/settings", dependencies=[Depends(_require_viewer)])
async def show_settings(budgets: Budgets, context: ContextDep, budget_id: str) -> list[BudgetSetting]:
    """The fields of a budget with their meaning, for a form."""
    return render_settings(context, await budgets.find(budget_id))


@router.post("/budget/delete", dependencies=[Depends(_require_admin)])
async def delete_budget(body: BudgetName, response: Response, budgets: Budgets, context: ContextDep) -> BudgetRow:
    """Delete a budget. Whatever linked to it goes on without one."""
    budget = await budgets.delete(body.id)
    warn(response, body)
    return render_row(context, budget)


@router.get("/management/v1/budgets")
async def list_budget_page(budgets: Budgets, context: ContextDep, query: Annotated[BudgetQuery, Query()]) -> BudgetPage:
    """A page of the budgets, newest first."""
    page = Page(query.page, query.page_size)
    found, total = await budgets.list_page(page, search=query.search)
    facts = PageFacts(page=page.number, page_size=page.size, total=total, total_pages=page.pages(total))
    return BudgetPage(data=[render_row(context, budget) for budget in found], meta=facts)
