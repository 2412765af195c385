"""`/spend/*`: single calls, tags and users, and what calls would cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, Query, Response
from fastapi.responses import StreamingResponse

from tollway.control.kit.body import WARNING_HEADER, warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page
from tollway.control.spend.access import Fresh, Global, answer_json
from tollway.control.spend.costs import calculate, estimate
from tollway.control.spend.dates import first_micros, read_date, read_days, read_moment
from tollway.control.spend.logs import LogQuery, SortBy, SpendLogs
from tollway.control.spend.rendering import render_days, render_record
from tollway.control.spend.reports import SpendReports
from tollway.control.spend.schemas import (
    Cost,
    CostEstimate,
    CostQuestion,
    EstimateQuestion,
    ProviderBudgets,
    RequestContent,
    TagTotal,
)
from tollway.control.spend.users import list_users
from tollway.core.errors import InvalidRequest
from tollway.core.money import dollars_from_nanos
from tollway.core.record import Record
from tollway.ports.spend import RecordPage

router = resource_router("spend")

TRUNCATED = "x-litellm-spend-logs-truncated"
_SECOND = 1_000_000
_CUT = "only the newest matching records were looked through: narrow the dates, or filter by key, team, user or session"


@router.get("/spend/logs", response_model=list[dict[str, Any]])
async def list_calls(
    context: Fresh,
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
    logs = SpendLogs(context)
    if start_date and end_date and summarize and not request_id:
        days = read_days(start_date, end_date, now=context.now_s)
        sums = await logs.sum_days(days, api_key=api_key, user_id=user_id)
        warning = "only the 100 dearest keys and users are named; 'spend' and 'models' are complete"
        return answer_json(render_days(sums, days), warning=warning if sums.is_cut else None)
    first, last = read_date("start_date", start_date), read_date("end_date", end_date)
    query = LogQuery(
        api_key=api_key or None,
        user_id=user_id,
        request_id=request_id,
        started_from=first_micros(first) if first else None,
        started_before=first_micros(last + timedelta(days=1)) if last else None,
    )
    matching = await logs.select(query)
    if matching is not None and include_adjustments:
        matching = msgspec.structs.replace(matching, with_adjustments=True)
    headers = {TRUNCATED: "true"} if await logs.is_long(matching) else {}
    return StreamingResponse(_array(logs.stream(matching)), media_type="application/json", headers=headers)


async def _log_query(
    start_date: str | None = None,
    end_date: str | None = None,
    *,
    api_key: str | None = None,
    user_id: str | None = None,
    request_id: str | None = None,
    session_id: str | None = None,
    team_id: str | None = None,
    end_user: str | None = None,
    min_spend: float | None = None,
    max_spend: float | None = None,
    status_filter: Literal["success", "failure"] | None = None,
    cache_hit_filter: Literal["hit", "miss"] | None = None,
    model: str | None = None,
    model_id: str | None = None,
    model_group: str | None = None,
    key_alias: str | None = None,
    error_code: str | None = None,
    error_message: str | None = None,
) -> LogQuery:
    started_from, until = read_moment("start_date", start_date), read_moment("end_date", end_date)
    if until < started_from:
        raise InvalidRequest("start_date must not be after end_date.", param="start_date", type="bad_request")
    return LogQuery(
        api_key=api_key or None,
        key_alias=key_alias or None,
        user_id=user_id or None,
        team_id=team_id or None,
        end_user=end_user or None,
        request_id=request_id or None,
        session_id=session_id or None,
        model=model or None,
        model_id=model_id or None,
        model_group=model_group or None,
        min_spend=min_spend,
        max_spend=max_spend,
        status=status_filter,
        cache_hit=cache_hit_filter,
        error_code=error_code or None,
        error_message=error_message or None,
        started_from=started_from,
        started_before=until + _SECOND,  # the second named is part of the span
    )


async def _page(page: Annotated[int, Query(ge=1)] = 1, page_size: Annotated[int, Query(ge=1, le=1000)] = 50) -> Page:
    return Page(page, page_size)


Pages = Annotated[Page, Depends(_page)]


@router.get("/spend/logs/ui", response_model=dict[str, Any])
@router.get("/spend/logs/v2", response_model=dict[str, Any])
async def page_calls(
    context: Fresh,
    query: Annotated[LogQuery, Depends(_log_query)],
    page: Pages,
    sort_by: SortBy = "startTime",
    sort_order: Literal["asc", "desc"] = "desc",
) -> Response:
    """A page of calls between two moments (`YYYY-MM-DD HH:MM:SS`, UTC).

    Filters and orders that no index serves look through the newest calls only; `is_truncated` and a header say so.
    """
    logs = SpendLogs(context)
    matching = await logs.select(query)
    found = await logs.page(matching, page, sort_by=sort_by, is_descending=sort_order == "desc")
    return _render_page(found, page)


@router.get("/spend/logs/session/ui", response_model=dict[str, Any])
async def page_session(context: Fresh, session_id: str, page: Pages) -> Response:
    """A page of the calls of a session, oldest first."""
    logs = SpendLogs(context)
    matching = await logs.select(LogQuery(session_id=session_id))
    return _render_page(await logs.page(matching, page, is_descending=False), page)


@router.get("/spend/logs/ui/{request_id}")
async def show_call(context: Fresh, request_id: str) -> RequestContent | None:
    """What a call said and was answered: nothing is stored of it, so an empty answer, or null for an unknown call."""
    logs = SpendLogs(context)
    found = await logs.page(await logs.select(LogQuery(request_id=request_id)), Page(1, 1))
    return RequestContent() if found.records else None


@router.get("/spend/tags")
async def sum_tags(context: Global, start_date: str | None = None, end_date: str | None = None) -> list[TagTotal]:
    """Spend by tag, dearest first; the last 30 days without dates."""
    days = read_days(start_date, end_date, now=context.now_s)
    return [
        TagTotal(
            individual_request_tag=one.group[0],
            log_count=one.calls,
            total_spend=dollars_from_nanos(one.spend_nanos),
        )
        for one in await SpendReports(context).by_tag(days)
    ]


@router.get("/spend/users", response_model=list[dict[str, Any]])
async def list_users_by_spend(
    context: Fresh, user_id: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Response:
    """Users, the dearest first; for those who do not see everything, their own row."""
    return answer_json(await list_users(context, user_id=user_id or None, limit=limit))


@router.post("/spend/calculate")
async def calculate_cost(body: CostQuestion, response: Response, context: ContextDep) -> Cost:
    """What a request would cost (its prompt), or what an answer has cost. Dollars."""
    nanos = await calculate(context, body)
    warn(response, body)
    return Cost(cost=dollars_from_nanos(nanos))


@router.post("/cost/estimate")
async def estimate_cost(body: EstimateQuestion, response: Response, context: ContextDep) -> CostEstimate:
    """What calls of a size would cost: each, by day and by month. Dollars."""
    warn(response, body)
    return estimate(context, body)


@router.get("/provider/budgets")
async def show_provider_budgets() -> ProviderBudgets:
    """Budgets of providers: there are none yet."""
    return ProviderBudgets(providers={})


def _render_page(found: RecordPage, page: Page) -> Response:
    rows = {
        "data": [render_record(record) for record in found.records],
        "total": found.total,
        "page": page.number,
        "page_size": page.size,
        "total_pages": page.pages(found.total),
        "is_truncated": not found.is_complete,
    }
    answer = answer_json(rows)
    if not found.is_complete:
        answer.headers[TRUNCATED] = "true"
        answer.headers[WARNING_HEADER] = _CUT
    return answer


async def _array(parts: AsyncIterator[list[Record]]) -> AsyncIterator[bytes]:
    separator = b"["
    async for records in parts:
        if records:
            yield separator + msgspec.json.encode([render_record(record) for record in records])[1:-1]
            separator = b","
    yield b"[]" if separator == b"[" else b"]"
