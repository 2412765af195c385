"""`/global/activity*`: requests, tokens and refusals by day, for charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from tollway.control.kit.context import Context
from tollway.control.spend.visibility import Slice
from tollway.ports.spend import MONEY, Days, SpendSum

_TOP_KEYS = 20


async def chart_activity(context: Context, days: Days, part: Slice) -> dict[str, Any]:
    """Requests and tokens by day."""
    return _chart(await context.services.spend.sum_usage(days, part.dimension, part.entities, by=("day",)))


async def chart_models(context: Context, days: Days, part: Slice) -> list[dict[str, Any]]:
    """The same for each model group, the busiest first."""
    sums = await context.services.spend.sum_usage(days, part.dimension, part.entities, by=("day", "model_group"))
    charts = [{"model": model, **_chart(some)} for model, some in _grouped(sums).items()]
    return sorted(charts, key=lambda chart: (-chart["sum_api_requests"], chart["model"]))


async def chart_exceptions(context: Context, days: Days, model_group: str) -> dict[str, Any]:
    """Calls of a model group that ended in status 429, by day."""
    sums = await context.services.spend.sum_usage(days, by=("day", "model_group"))
    return _exceptions(one for one in sums if one.group[1] == model_group)


async def chart_exceptions_by_deployment(context: Context, days: Days, model_group: str) -> list[dict[str, Any]]:
    """The same for each of its deployments."""
    spend = context.services.spend
    deployments = [one.group[0] for one in await spend.sum_totals(days, "deployment", only=MONEY)]
    sums = await spend.sum_usage(days, "deployment", deployments, by=("day", "entity", "model_group"))
    served = [one for one in sums if one.group[2] == model_group]
    addresses = _addresses(context)
    return [
        {"api_base": addresses.get(model_id, model_id), "model_id": model_id, **_exceptions(some)}
        for model_id, some in sorted(_grouped(served).items())
    ]


async def list_cache_hits(context: Context, days: Days) -> list[dict[str, Any]]:
    """Requests of the busiest keys by model, and how many a cache answered."""
    spend = context.services.spend
    ranked = await spend.sum_totals(days, "key", only=MONEY, limit=_TOP_KEYS)
    hashes = [one.group[0] for one in ranked]
    keys = await context.services.keys.name_keys(hashes)
    sums = await spend.sum_usage(days, "key", hashes, by=("entity", "call_type", "model"))
    rows = []
    for one in sums:
        key_hash, call_type, model = one.group
        key = keys.get(key_hash)
        rows.append(
            {
                "api_key": (key.key_alias if key else None) or "Unnamed Key",
                "call_type": call_type,
                "model": model,
                "total_rows": one.calls,
                "cache_hit_true_rows": 0,
                "cached_completion_tokens": 0,
                "generated_completion_tokens": one.usage.output_tokens,
            }
        )
    return rows


def _grouped(sums: Iterable[SpendSum]) -> Mapping[str, list[SpendSum]]:
    groups: defaultdict[str, list[SpendSum]] = defaultdict(list)
    for one in sums:
        groups[one.group[1]].append(one)
    return groups


def _chart(sums: Iterable[SpendSum]) -> dict[str, Any]:
    daily = [
        {"date": _short(day), "api_requests": calls, "total_tokens": tokens}
        for day, calls, tokens in sorted((one.group[0], one.calls, one.usage.total_tokens) for one in sums)
    ]
    return {
        "daily_data": daily,
        "sum_api_requests": sum(one["api_requests"] for one in daily),
        "sum_total_tokens": sum(one["total_tokens"] for one in daily),
    }


def _exceptions(sums: Iterable[SpendSum]) -> dict[str, Any]:
    counted = sorted((one.group[0], one.rate_limited) for one in sums if one.rate_limited)
    return {
        "daily_data": [{"date": _short(day), "num_rate_limit_exceptions": count} for day, count in counted],
        "sum_num_rate_limit_exceptions": sum(count for _, count in counted),
    }


def _addresses(context: Context) -> dict[str, str]:
    snapshot = context.services.snapshot()
    return {
        deployment.id: deployment.api_base
        for group in snapshot.groups.values()
        for deployment in group.deployments
        if deployment.api_base
    }


def _short(day: str) -> str:
    return date.fromisoformat(day).strftime("%b %d")
