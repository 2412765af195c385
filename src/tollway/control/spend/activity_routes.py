"""`/{user,team,tag,organization,customer}/daily/activity`, and reports of one key, user, team or organization."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Response

from tollway.control.kit.context import Context
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page
from tollway.control.spend.access import Fresh, Seen, answer_json
from tollway.control.spend.activity import ActivityFilter, daily_activity
from tollway.control.spend.dates import require_days
from tollway.control.spend.own_tags import OwnTags
from tollway.control.spend.reports import SpendReports
from tollway.control.spend.visibility import Slice
from tollway.core.errors import InvalidRequest

router = resource_router("spend")

_TEAM_ACTIVITY = "/team/daily/activity"


async def _wanted(
    seen: Seen,
    start_date: str | None = None,
    end_date: str | None = None,
    *,
    model: str | None = None,
    api_key: str | None = None,
    api_key_limit: Annotated[int, Query(ge=0, le=100)] = 5,
) -> ActivityFilter:
    return ActivityFilter(
        days=require_days(start_date, end_date),
        model=model or None,
        key_hashes=await seen.hashes_of(api_key) if api_key else (),
        max_keys=api_key_limit,
    )


async def _page(page: Annotated[int, Query(ge=1)] = 1, page_size: Annotated[int, Query(ge=1, le=1000)] = 50) -> Page:
    return Page(page, page_size)


Wanted = Annotated[ActivityFilter, Depends(_wanted)]
Days = Annotated[Page, Depends(_page)]


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


async def _user(seen: Seen, user_id: str | None = None) -> Slice:
    return await seen.user(user_id or None)


async def _teams(seen: Seen, team_ids: str | None = None) -> Slice:
    return await seen.teams(_names(team_ids), permission=_TEAM_ACTIVITY)


async def _organizations(seen: Seen, organization_ids: str | None = None) -> Slice:
    return await seen.organizations(_names(organization_ids))


async def _tags(seen: Seen, tags: str | None = None, api_key: str | None = None) -> Slice:
    return await seen.tags(_names(tags), key=api_key or None)


async def _customers(end_user_ids: str | None = None) -> Slice:
    wanted = tuple(_names(end_user_ids))
    return Slice(dimension="end_user", entities=wanted) if wanted else Slice(dimension="any_end_user")


User = Annotated[Slice, Depends(_user)]
Teams = Annotated[Slice, Depends(_teams)]
Organizations = Annotated[Slice, Depends(_organizations)]
Tags = Annotated[Slice, Depends(_tags)]
Customers = Annotated[Slice, Depends(_customers)]


@router.get("/user/daily/activity", response_model=dict[str, Any])
async def show_user_days(context: Fresh, user: User, wanted: Wanted, page: Days) -> Response:
    """What a user used by day; without `user_id`, everybody's or the caller's own. Pages are pages of days."""
    return answer_json(await daily_activity(context, user, wanted, page))


@router.get("/user/daily/activity/aggregated", response_model=dict[str, Any])
async def show_all_user_days(context: Fresh, user: User, wanted: Wanted) -> Response:
    """What a user used by day, all days on one page."""
    return answer_json(await daily_activity(context, user, wanted, None))


@router.get("/team/daily/activity", response_model=dict[str, Any])
async def show_team_days(context: Fresh, teams: Teams, wanted: Wanted, page: Days) -> Response:
    """What teams used by day; without `team_ids`, all that the caller may see."""
    return answer_json(await daily_activity(context, teams, wanted, page))


@router.get("/team/daily/activity/aggregated", response_model=dict[str, Any])
async def show_all_team_days(context: Fresh, teams: Teams, wanted: Wanted) -> Response:
    """What teams used by day, all days on one page."""
    return answer_json(await daily_activity(context, teams, wanted, None))


@router.get("/organization/daily/activity", response_model=dict[str, Any])
async def show_organization_days(context: Fresh, organizations: Organizations, wanted: Wanted, page: Days) -> Response:
    """What organizations used by day; without `organization_ids`, all that the caller may see."""
    return answer_json(await daily_activity(context, organizations, wanted, page))


@router.get("/organization/daily/activity/aggregated", response_model=dict[str, Any])
async def show_all_organization_days(context: Fresh, organizations: Organizations, wanted: Wanted) -> Response:
    """What organizations used by day, all days on one page."""
    return answer_json(await daily_activity(context, organizations, wanted, None))


@router.get("/tag/daily/activity", response_model=dict[str, Any])
async def show_tag_days(context: Fresh, tags: Tags, wanted: Wanted, page: Days) -> Response:
    """What was used under tags by day: by everybody, or by the caller alone where they see no more than that. A call
    counts for each of the tags named; without `tags`, once.
    """
    return answer_json(await daily_activity(context, tags, wanted, page), warning=await _more(context, tags, wanted))


@router.get("/tag/daily/activity/aggregated", response_model=dict[str, Any])
async def show_all_tag_days(context: Fresh, tags: Tags, wanted: Wanted) -> Response:
    """What was used under tags by day, all days on one page."""
    return answer_json(await daily_activity(context, tags, wanted, None), warning=await _more(context, tags, wanted))


@router.get("/end_user/daily/activity", response_model=dict[str, Any])
@router.get("/customer/daily/activity", response_model=dict[str, Any])
async def show_customer_days(context: Fresh, customers: Customers, wanted: Wanted, page: Days) -> Response:
    """What customers used by day; without `end_user_ids`, all of them."""
    return answer_json(await daily_activity(context, customers, wanted, page))


@router.get("/end_user/daily/activity/aggregated", response_model=dict[str, Any])
@router.get("/customer/daily/activity/aggregated", response_model=dict[str, Any])
async def show_all_customer_days(context: Fresh, customers: Customers, wanted: Wanted) -> Response:
    """What customers used by day, all days on one page."""
    return answer_json(await daily_activity(context, customers, wanted, None))


@router.get("/key/spend/report", response_model=list[dict[str, Any]])
async def report_key(
    context: Fresh, seen: Seen, start_date: str | None = None, end_date: str | None = None, api_key: str | None = None
) -> Response:
    """Spend of a key by model; without `api_key`, of the key that asks."""
    days = require_days(start_date, end_date)
    part = await seen.key(api_key or context.actor.key_hash)
    return answer_json(await SpendReports(context).report_of(days, "api_key", part))


@router.get("/user/spend/report", response_model=list[dict[str, Any]])
async def report_user(
    context: Fresh, seen: Seen, start_date: str | None = None, end_date: str | None = None, user_id: str | None = None
) -> Response:
    """Spend of a user by model; without `user_id`, of the caller's."""
    days = require_days(start_date, end_date)
    wanted = user_id or context.actor.user_id
    part = await seen.user(_required("user_id", wanted))
    return answer_json(await SpendReports(context).report_of(days, "user_id", part))


@router.get("/team/spend/report", response_model=list[dict[str, Any]])
async def report_team(
    context: Fresh, seen: Seen, start_date: str | None = None, end_date: str | None = None, team_id: str | None = None
) -> Response:
    """Spend of a team by model; without `team_id`, of the key's."""
    days = require_days(start_date, end_date)
    wanted = _required("team_id", team_id or context.actor.principal.team_id)
    part = await seen.teams([wanted], permission=_TEAM_ACTIVITY)
    return answer_json(await SpendReports(context).report_of(days, "team_id", part))


@router.get("/organization/spend/report", response_model=list[dict[str, Any]])
async def report_organization(
    context: Fresh,
    seen: Seen,
    start_date: str | None = None,
    end_date: str | None = None,
    organization_id: str | None = None,
) -> Response:
    """Spend of an organization by model; without `organization_id`, of the key's."""
    days = require_days(start_date, end_date)
    wanted = _required("organization_id", organization_id or context.actor.principal.organization_id)
    part = await seen.organizations([wanted])
    return answer_json(await SpendReports(context).report_of(days, "organization_id", part))


@router.get("/team/spend/by_user", response_model=dict[str, Any])
async def report_members(
    context: Fresh, seen: Seen, start_date: str | None = None, end_date: str | None = None, team_id: str | None = None
) -> Response:
    """Spend of a team by the users whose keys spent it, dearest first."""
    days = require_days(start_date, end_date)
    wanted = _required("team_id", team_id or context.actor.principal.team_id)
    await seen.teams([wanted], permission=_TEAM_ACTIVITY)
    return answer_json({"team_id": wanted, "users": await SpendReports(context).members_of(wanted, days)})


async def _more(context: Context, part: Slice, wanted: ActivityFilter) -> str | None:
    if part.callers is None or await OwnTags(context.services.spend, part.callers).is_complete(wanted.days):
        return None
    return "only the newest calls of these days were looked at; ask for fewer days"


def _required(name: str, value: str | None) -> str:
    if value:
        return value
    raise InvalidRequest(f"{name} is required.", param=name, type="bad_request_error")
