"""`/global/*`: what everybody spends. `GET /global/activity*` shows those who see less their own part."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response

from tollway.control.kit.body import warn
from tollway.control.kit.guard import resource_router
from tollway.control.services import ServicesDep
from tollway.control.spend.access import Fresh, Global, Seen, answer_json
from tollway.control.spend.charts import (
    chart_activity,
    chart_exceptions,
    chart_exceptions_by_deployment,
    chart_models,
    list_cache_hits,
)
from tollway.control.spend.dates import read_days, require_days
from tollway.control.spend.logs import SpendLogs
from tollway.control.spend.reports import SpendReports, report_limit
from tollway.control.spend.reset import reset_spend
from tollway.control.spend.schemas import (
    Done,
    EndUsers,
    EndUsersQuestion,
    EndUserTotal,
    GlobalSpend,
    KeyTotal,
    ModelTotal,
    ProviderTotal,
    TagNames,
    TagSpend,
)
from tollway.core.errors import Forbidden
from tollway.core.money import dollars_from_nanos
from tollway.ports.spend import Days

router = resource_router("spend")

_MAX_NAMES = 10_000
Limit = Annotated[int, Query(ge=1, le=1000)]


async def _days(services: ServicesDep, start_date: str | None = None, end_date: str | None = None) -> Days:
    return read_days(start_date, end_date, now=services.clock())


async def _required_days(start_date: str | None = None, end_date: str | None = None) -> Days:
    return require_days(start_date, end_date)


Dates = Annotated[Days, Depends(_days)]
RequiredDates = Annotated[Days, Depends(_required_days)]


@router.get("/global/spend")
async def sum_spend(context: Global, days: Dates) -> GlobalSpend:
    """Spend of everybody between two days, both included; the last 30 days without dates."""
    budget = dollars_from_nanos(context.services.settings.proxy_budget_nanos)
    return GlobalSpend(spend=dollars_from_nanos(await SpendReports(context).total(days)), max_budget=budget)


@router.get("/global/spend/report", response_model=list[dict[str, Any]])
async def report_spend(
    context: Global,
    seen: Seen,
    days: RequiredDates,
    *,
    group_by: Literal["team", "customer", "api_key"] = "team",
    api_key: str | None = None,
    internal_user_id: str | None = None,
    team_id: str | None = None,
    customer_id: str | None = None,
    limit: Limit | None = None,
) -> Response:
    """Spend by day and team or customer with the models used, or by key; of one key, user, team or customer if named.

    Lists the `limit` dearest, 50 unless said: fewer where days times teams or customers would be more than 1,800. A
    header says what is left out.
    """
    limit = limit or report_limit(days)
    reports = SpendReports(context)
    if api_key:
        report = await reports.report_by_key(days, hashes=(await seen.key(api_key)).entities, limit=limit)
    elif internal_user_id:
        report = await reports.report_by_key(days, owner={"user_id": internal_user_id}, limit=limit)
    elif team_id:
        report = await reports.report_by_day(days, "team", only=team_id, limit=limit)
    elif customer_id:
        report = await reports.report_by_day(days, "customer", only=customer_id, limit=limit)
    elif group_by == "api_key":
        report = await reports.report_by_key(days, limit=limit)
    else:
        report = await reports.report_by_day(days, group_by, only=None, limit=limit)
    return answer_json(report.rows, warning=report.warning)


@router.get("/global/spend/logs", response_model=list[dict[str, Any]])
async def list_days(context: Fresh, seen: Seen, days: Dates, api_key: str | None = None) -> Response:
    """Spend by day, of everybody or of a key; those who do not see everything get their own."""
    part = await (seen.key(api_key) if api_key else seen.own())
    named: dict[str, Any] = {}
    if api_key:
        key = (await context.services.keys.name_keys(part.entities[:1])).get(part.entities[0])
        named = {
            "api_key": part.entities[0],
            "key_alias": key.key_alias if key else None,
            "key_name": key.key_name if key else None,
        }
    return answer_json(
        [
            {"date": one.group[0], "spend": dollars_from_nanos(one.spend_nanos), **named}
            for one in await SpendReports(context).by_day(days, part)
        ]
    )


@router.get("/global/spend/keys")
async def rank_keys(context: Global, days: Dates, limit: Limit = 100) -> list[KeyTotal]:
    """Keys by spend, dearest first."""
    return [KeyTotal(**row) for row in await SpendReports(context).rank_keys(days, limit=limit)]


@router.get("/global/spend/models")
async def rank_models(context: Global, days: Dates, limit: Limit = 10) -> list[ModelTotal]:
    """Models by spend, dearest first."""
    return [ModelTotal(**row) for row in await SpendReports(context).rank_models(days, limit=limit)]


@router.get("/global/spend/teams", response_model=dict[str, Any])
async def rank_teams(context: Global, days: Dates) -> Response:
    """Spend of teams by day, and the ten dearest of them. Calls of no team are `Unassigned`."""
    return answer_json(await SpendReports(context).teams_by_day(days))


@router.get("/global/spend/provider")
async def sum_providers(context: Global, days: Dates) -> list[ProviderTotal]:
    """Spend by provider, dearest first."""
    sums = await SpendReports(context).by_provider(days)
    return [ProviderTotal(provider=one.group[0], spend=dollars_from_nanos(one.spend_nanos)) for one in sums]


@router.get("/global/spend/tags")
async def sum_tags(context: Global, days: Dates, tags: str | None = None) -> list[TagSpend]:
    """Spend by tag, dearest first; `tags`: only these, separated by commas."""
    wanted = [tag.strip() for tag in tags.split(",") if tag.strip()] if tags and tags != "all-tags" else None
    return [
        TagSpend(
            individual_request_tag=(name := one.group[0]),
            name=name,
            log_count=one.calls,
            total_spend=(dollars := dollars_from_nanos(one.spend_nanos)),
            spend=dollars,
        )
        for one in await SpendReports(context).by_tag(days, wanted)
    ]


@router.get("/global/spend/all_tag_names")
async def name_tags(context: Global) -> TagNames:
    """Every tag that a call ever had."""
    return TagNames(tag_names=await context.services.spend.list_entities("tag", limit=_MAX_NAMES))


@router.get("/global/all_end_users")
async def name_end_users(context: Global) -> EndUsers:
    """Every customer that a call was ever made for."""
    return EndUsers(end_users=await context.services.spend.list_entities("end_user", limit=_MAX_NAMES))


@router.post("/global/spend/end_users")
async def rank_end_users(
    context: Global, response: Response, body: EndUsersQuestion | None = None
) -> list[EndUserTotal]:
    """The hundred customers who spent most; with `api_key`, of that key's newest calls."""
    asked = body or EndUsersQuestion()
    warn(response, asked)
    days = read_days(asked.startTime, asked.endTime, now=context.now_s)
    if not asked.api_key:
        return [EndUserTotal(**row) for row in await SpendReports(context).rank_end_users(days)]
    ranked, is_complete = await SpendLogs(context).rank_end_users(days, asked.api_key)
    if not is_complete:
        response.headers["x-litellm-spend-logs-truncated"] = "true"
    return [EndUserTotal(**row) for row in ranked]


@router.get("/global/activity", response_model=dict[str, Any])
async def show_activity(context: Fresh, seen: Seen, days: RequiredDates) -> Response:
    """Requests and tokens by day."""
    return answer_json(await chart_activity(context, days, await seen.own()))


@router.get("/global/activity/model", response_model=list[dict[str, Any]])
async def show_model_activity(context: Fresh, seen: Seen, days: RequiredDates) -> Response:
    """Requests and tokens of each model by day."""
    return answer_json(await chart_models(context, days, await seen.own()))


@router.get("/global/activity/exceptions", response_model=dict[str, Any])
async def show_exceptions(context: Fresh, days: RequiredDates, model_group: str) -> Response:
    """Calls of a model that a rate limit refused (429), by day."""
    return answer_json(await chart_exceptions(context, days, model_group))


@router.get("/global/activity/exceptions/deployment", response_model=list[dict[str, Any]])
async def show_deployment_exceptions(context: Fresh, days: RequiredDates, model_group: str) -> Response:
    """Calls of a model that a rate limit refused (429), by day and deployment."""
    return answer_json(await chart_exceptions_by_deployment(context, days, model_group))


@router.get("/global/activity/cache_hits", response_model=list[dict[str, Any]])
async def show_cache_hits(context: Fresh, days: RequiredDates) -> Response:
    """Requests of the busiest keys by model, and how many a cache answered."""
    return answer_json(await list_cache_hits(context, days))


@router.post("/global/spend/reset")
async def reset_all_spend(context: Fresh) -> Done:
    """Make what keys and teams have spent in their current budget windows nothing. The master key alone may."""
    if not context.actor.principal.is_admin:
        raise Forbidden("Only the master key may reset the spend of everybody.")
    await reset_spend(context)
    return Done(message="Spend for all API Keys and Teams reset successfully")


@router.post("/global/spend/refresh")
async def refresh_spend(_context: Fresh) -> Done:
    """Brings every call that was answered into the views. They do that by themselves; older clients ask for it."""
    return Done(message="Spend views are up to date")
