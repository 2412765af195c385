"""Who spent what: reports by day, team, customer and key, and the rankings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tollway.control.kit.context import Context
from tollway.control.spend.repository import SpendRepository
from tollway.control.spend.visibility import EVERYTHING, Slice
from tollway.core.money import dollars_from_nanos
from tollway.ports.spend import MONEY, Days, Dimension, Owner, SpendSum, Sum, UsageRow

Grouping = Literal["team", "customer", "api_key"]
UNASSIGNED = "Unassigned"
_GROUPED: Mapping[Grouping, Dimension] = {"team": "team", "customer": "end_user"}
_REPORTED: tuple[Sum, ...] = ("spend_nanos", "calls", "input_tokens", "output_tokens")
_Models = dict[str, tuple[int, int]]
"""Nano-dollars and tokens of each."""
_MOST, _FEWEST = 50, 10
_CELLS = 1_800
"""Days times teams or customers."""
_TOP_TEAMS = 10
_DAILY_TEAMS = 100


class Report(msgspec.Struct, frozen=True):
    """Rows, and what was left out to keep them few."""

    rows: list[dict[str, Any]]
    warning: str | None = None


class SpendReports:
    """Reports, for one request."""

    def __init__(self, context: Context) -> None:
        self._spend = context.services.spend
        self._keys = context.services.keys
        self._repository = SpendRepository(context.services.engine)

    async def total(self, days: Days) -> int:
        """Nano-dollars that everybody spent."""
        (sum_of_all,) = await self._spend.sum_usage(days)
        return sum_of_all.spend_nanos

    async def by_day(self, days: Days, part: Slice = EVERYTHING) -> list[SpendSum]:
        """Days with calls, oldest first."""
        sums = await self._spend.sum_usage(days, part.dimension, part.entities, by=("day",))
        return sorted(sums, key=lambda one: one.group)

    async def by_provider(self, days: Days) -> list[SpendSum]:
        """Providers, dearest first."""
        return await self._spend.sum_usage(days, by=("provider",))

    async def rank_keys(self, days: Days, *, limit: int) -> list[dict[str, Any]]:
        """Keys, dearest first."""
        sums = await self._spend.sum_totals(days, "key", only=MONEY, limit=limit)
        keys = await self._keys.name_keys([one.group[0] for one in sums])
        return [
            {
                "api_key": (key_hash := one.group[0]),
                "key_alias": key.key_alias if (key := keys.get(key_hash)) else None,
                "key_name": key.key_name if key else None,
                "total_spend": dollars_from_nanos(one.spend_nanos),
            }
            for one in sums
        ]

    async def rank_models(self, days: Days, *, limit: int) -> list[dict[str, Any]]:
        """Models, dearest first."""
        sums = (await self._spend.sum_usage(days, by=("provider", "model")))[:limit]
        return [
            {
                "model": "/".join(filter(None, one.group)) or "unknown",
                "total_spend": dollars_from_nanos(one.spend_nanos),
            }
            for one in sums
        ]

    async def rank_end_users(self, days: Days, *, limit: int = 100) -> list[dict[str, Any]]:
        """Customers, dearest first."""
        sums = await self._spend.sum_totals(days, "end_user", only=MONEY, limit=limit)
        return [
            {
                "end_user": one.group[0],
                "total_count": one.calls,
                "total_spend": dollars_from_nanos(one.spend_nanos),
            }
            for one in sums
        ]

    async def by_tag(self, days: Days, tags: Sequence[str] | None = None) -> list[SpendSum]:
        """Tags, dearest first. A call counts for each of its tags."""
        return await self._spend.sum_totals(days, "tag", entities=tags, only=MONEY)

    async def teams_by_day(self, days: Days) -> dict[str, Any]:
        """Spend of teams by day, and the dearest of them."""
        ranked = await self._spend.sum_totals(days, "team", only=MONEY)
        shown = [one.group[0] for one in ranked[:_DAILY_TEAMS]]
        aliases = await self._repository.team_aliases(shown)
        totals: defaultdict[str, int] = defaultdict(int)
        for one in ranked[:_DAILY_TEAMS]:
            totals[aliases.get(one.group[0], UNASSIGNED)] += one.spend_nanos
        by_day: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for one in await self._spend.sum_totals(days, "team", by=("day", "entity"), entities=shown, only=MONEY):
            day, team_id = one.group
            by_day[day][aliases.get(team_id, UNASSIGNED)] += one.spend_nanos
        top = sorted(totals, key=lambda name: -totals[name])[:_TOP_TEAMS]
        return {
            "daily_spend": [
                {"date": day, **{name: dollars_from_nanos(by_day[day].get(name, 0)) for name in totals}}
                for day in sorted(by_day)
            ],
            "teams": top,
            "total_spend_per_team": [
                {"team_id": name, "total_spend": dollars_from_nanos(totals[name])} for name in top
            ],
        }

    async def report_by_day(
        self, days: Days, grouping: Literal["team", "customer"], *, only: str | None, limit: int
    ) -> Report:
        """For each day, teams or customers with the models they used. Beyond `limit` of them, the dearest."""
        dimension = _GROUPED[grouping]
        ranked = await self._spend.sum_totals(
            days, dimension, entities=None if only is None else [only], only=MONEY, limit=limit
        )
        shown = [one.group[0] for one in ranked]
        spent = _by_model(await self._spend.list_usage(days, dimension, shown))
        names = await self._repository.team_aliases(shown) if grouping == "team" else {}
        by_day: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for (day, entity), models in sorted(spent.items()):
            by_day[day].append({**_label(grouping, entity, names), **_render_models(models)})
        rows = [{"group_by_day": day, f"{grouping}s": entities} for day, entities in by_day.items()]
        return Report(rows, await self._left_out(days, dimension, ranked) if only is None else None)

    async def report_by_key(
        self, days: Days, *, hashes: Sequence[str] | None = None, owner: Mapping[Owner, str] | None = None, limit: int
    ) -> Report:
        """Keys with the models they used: these, or those of an owner, or all. Beyond `limit`, the dearest."""
        owners = {name: (value,) for name, value in (owner or {}).items()}
        ranked = await self._spend.sum_totals(days, "key", entities=hashes, owners=owners, only=MONEY, limit=limit)
        shown = [one.group[0] for one in ranked]
        sums = await self._spend.sum_usage(days, "key", shown, by=("entity", "model"), owners=owners, only=_REPORTED)
        rows = _with_models("api_key", shown, sums)
        return Report(rows, None if hashes or owner else await self._left_out(days, "key", ranked))

    async def report_of(self, days: Days, name: str, part: Slice) -> list[dict[str, Any]]:
        """Models that each entity of a slice used; `name` is what the wire calls an entity of its dimension."""
        sums = await self._spend.sum_usage(days, part.dimension, part.entities, by=("entity", "model"), only=_REPORTED)
        return _with_models(name, part.entities, sums)

    async def members_of(self, team_id: str, days: Days) -> list[dict[str, Any]]:
        """What each user spent with keys of a team, dearest first."""
        sums = await self._spend.sum_totals(days, "key", by=("user_id",), owners={"team_id": (team_id,)})
        people = await self._repository.users_by_id(one.group[0] for one in sums)
        return [
            {
                "user_id": (user_id := one.group[0]) or None,
                "user_email": people[user_id].user_email if user_id in people else None,
                "user_alias": people[user_id].user_alias if user_id in people else None,
                "spend": dollars_from_nanos(one.spend_nanos),
                "api_requests": one.calls,
                "successful_requests": one.calls - one.failures,
                "failed_requests": one.failures,
                "prompt_tokens": one.usage.input_tokens,
                "completion_tokens": one.usage.output_tokens,
                "total_tokens": one.usage.total_tokens,
            }
            for one in sums
        ]

    async def _left_out(self, days: Days, dimension: Dimension, shown: Sequence[SpendSum]) -> str | None:
        whole: Dimension = "any_end_user" if dimension == "end_user" else "all"
        (total,) = await self._spend.sum_usage(days, whole, only=MONEY)
        rest = total.calls - sum(one.calls for one in shown)
        if not rest:
            return None
        nanos = total.spend_nanos - sum(one.spend_nanos for one in shown)
        return (
            f"only the {len(shown)} dearest are listed; {rest} calls of others, {dollars_from_nanos(nanos)} dollars, "
            "are left out: raise limit to see more"
        )


def report_limit(days: Days) -> int:
    """How many teams or customers a report lists unless told otherwise: so many that its size is bounded."""
    return max(_FEWEST, min(_MOST, _CELLS // ((days.last - days.first).days + 1)))


def _label(grouping: Grouping, entity: str, names: Mapping[str, str]) -> dict[str, Any]:
    if grouping == "team":
        return {"team_name": names.get(entity) or entity or UNASSIGNED, "team_id": entity or None}
    return {"customer": entity}


class _ModelSpend(msgspec.Struct, gc=False):
    model: str
    spend: float
    total_tokens: int
    api_key: str | None = None
    """Sums of teams and customers are not kept by key."""


def _by_model(usage: Iterable[UsageRow]) -> Mapping[tuple[str, str], _Models]:
    """What was spent on a day by an entity."""
    spent: defaultdict[tuple[str, str], _Models] = defaultdict(dict)
    for day, entity, model, nanos, tokens in usage:
        models = spent[day, entity]
        if model in models:
            known_nanos, known_tokens = models[model]
            nanos, tokens = known_nanos + nanos, known_tokens + tokens
        models[model] = nanos, tokens
    return spent


def _render_models(models: _Models) -> dict[str, Any]:
    return {
        "total_spend": dollars_from_nanos(sum([nanos for nanos, _ in models.values()])),
        "metadata": [
            _ModelSpend(model, dollars_from_nanos(nanos), tokens) for model, (nanos, tokens) in sorted(models.items())
        ],
    }


def _with_models(name: str, entities: Iterable[str], sums: Iterable[SpendSum]) -> list[dict[str, Any]]:
    by_entity: dict[str, list[SpendSum]] = {entity: [] for entity in entities}
    for one in sums:
        by_entity[one.group[0]].append(one)
    return [
        {
            name: entity,
            **_totals(models),
            "model_details": [{"model": one.group[1], **_totals([one])} for one in models],
        }
        for entity, models in by_entity.items()
    ]


def _totals(sums: Sequence[SpendSum]) -> dict[str, Any]:
    return {
        "total_cost": dollars_from_nanos(sum(one.spend_nanos for one in sums)),
        "total_input_tokens": sum(one.usage.input_tokens for one in sums),
        "total_output_tokens": sum(one.usage.output_tokens for one in sums),
    }
