"""`/spend/*` and `/global/spend*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from tollway.control.kit.body import warn
from tollway.control.kit.guard import GuardedRoute
from tollway.control.services import Caller, ServicesDep
from tollway.control.spend.rendering import render_days, render_record
from tollway.control.spend.schemas import Cost, CostQuestion, GlobalSpend, KeyTotal, ModelTotal
from tollway.control.spend.service import Days, SpendService, read_date, read_days
from tollway.core.money import dollars_from_nanos

router = APIRouter(route_class=GuardedRoute, tags=["spend"])


def _spend_service(services: ServicesDep, caller: Caller) -> SpendService:
    return SpendService(services, caller)


def _days(services: ServicesDep, start_date: str | None = None, end_date: str | None = None) -> Days:
    return read_days(start_date, end_date, now=services.clock())


Spend = Annotated[SpendService, Depends(_spend_service)]
Dates = Annotated[Days, Depends(_days)]


@router.get("/spend/logs", response_model=list[dict[str, Any]])
async def list_calls(
    spend: Spend,
    services: ServicesDep,
    *,
    api_key: str | None = None,
    user_id: str | None = None,
    request_id: str | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    summarize: bool = True,
    include_adjustments: bool = False,
) -> Response:
    """Calls, newest first; with both dates, spend per day unless `summarize=false`.

    `api_key`: a key or its hash. `include_adjustments`: also show records that set or reset spend by hand.
    """
    if start_date and end_date and summarize and not request_id:
        days = read_days(start_date, end_date, now=services.clock())
        sums = await spend.sum_days(days, api_key=api_key, user_id=user_id)
        return _json(render_days(sums, days.first, days.last))
    records, is_truncated = await spend.list_records(
        api_key=api_key,
        user_id=user_id,
        request_id=request_id,
        first=read_date("start_date", start_date),
        last=read_date("end_date", end_date),
        includes_adjustments=include_adjustments,
    )
    answer = _json([render_record(record) for record in records])
    if is_truncated:
        answer.headers["x-litellm-spend-logs-truncated"] = "true"
    return answer


@router.post("/spend/calculate")
async def calculate_cost(body: CostQuestion, response: Response, spend: Spend) -> Cost:
    """What a request would cost (its prompt), or what an answer has cost. Dollars."""
    nanos = await spend.calculate(body)
    warn(response, body)
    return Cost(cost=dollars_from_nanos(nanos))


@router.get("/global/spend")
async def sum_spend(spend: Spend, services: ServicesDep, days: Dates) -> GlobalSpend:
    """Spend of everybody between two days, both included; the last 30 days without dates."""
    budget = dollars_from_nanos(services.proxy_budget_nanos)
    return GlobalSpend(spend=dollars_from_nanos(await spend.total(days)), max_budget=budget)


@router.get("/global/spend/keys")
async def rank_keys(
    spend: Spend, services: ServicesDep, days: Dates, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[KeyTotal]:
    """Keys by spend, dearest first."""
    sums = await spend.by_key(days, limit=limit)
    keys = await services.keys.name_keys([one.group[0] for one in sums])
    return [
        KeyTotal(
            api_key=one.group[0],
            key_alias=key.key_alias if (key := keys.get(one.group[0])) else None,
            key_name=key.key_name if key else None,
            total_spend=dollars_from_nanos(one.spend_nanos),
        )
        for one in sums
    ]


@router.get("/global/spend/models")
async def rank_models(spend: Spend, days: Dates, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[ModelTotal]:
    """Models by spend, dearest first."""
    return [
        ModelTotal(
            model="/".join(filter(None, one.group)) or "unknown", total_spend=dollars_from_nanos(one.spend_nanos)
        )
        for one in await spend.by_model(days, limit=limit)
    ]


def _json(rows: list[dict[str, Any]]) -> Response:
    # Thousands of rows of our own making: validating and encoding them through models would hold the event loop.
    return Response(msgspec.json.encode(rows), media_type="application/json")
