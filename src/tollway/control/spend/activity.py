"""Daily activity: for each day what was used, by model, provider, endpoint, key and entity.

Models are complete. Keys and entities can be thousands, so the dearest of the whole span are shown, and the answer says
how many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from tollway.control.kit.context import Context
from tollway.control.kit.pagination import Page
from tollway.control.spend.metrics import Breakdown, render_keys, render_metrics, render_totals
from tollway.control.spend.own_tags import OwnTags
from tollway.control.spend.repository import SpendRepository
from tollway.control.spend.visibility import Slice
from tollway.ports.spend import MONEY, Days, Dimension, SpendSum, UsageColumn, UsageReader

MAX_ENTITIES = 50
"""Entities that are broken down; the dearest of the whole span."""

_ENDPOINTS = {
    "acompletion": "/chat/completions",
    "atext_completion": "/completions",
    "aembedding": "/embeddings",
    "aresponses": "/responses",
    "anthropic_messages": "/messages",
    "aimage_generation": "/images/generations",
    "atranscription": "/audio/transcriptions",
    "aspeech": "/audio/speech",
    "arerank": "/rerank",
    "amoderation": "/moderations",
}
_FACETS: tuple[tuple[str, UsageColumn], ...] = (
    *(("models", "model"), ("model_groups", "model_group"), ("providers", "provider"), ("endpoints", "call_type")),
)
_PARTS: Mapping[Dimension, Dimension] = {
    "any_team": "team",
    "any_organization": "organization",
    "any_end_user": "end_user",
    "any_tag": "tag",
    "all": "user",
}
"""What an answer about all of a kind is broken down by."""
_BY_MODEL: tuple[UsageColumn, ...] = ("day", *(column for _, column in _FACETS))


class ActivityFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What of a slice is wanted."""

    days: Days
    model: str | None = None
    """A model group, or what the provider calls it."""
    key_hashes: tuple[str, ...] = ()
    """One key, with its earlier hashes."""
    max_keys: int = 5


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a page of days shows."""

    models: list[SpendSum]
    keys: list[SpendSum]
    """Grouped by day, key and models."""
    entities: list[SpendSum]
    """Grouped by day and entity."""
    entity_keys: list[SpendSum]
    """Grouped by day, entity and key."""
    shown_keys: Sequence[str]
    key_count: int


async def daily_activity(context: Context, part: Slice, wanted: ActivityFilter, page: Page | None) -> dict[str, Any]:
    """The contract's body. Pages are pages of days, newest first; None: all days at once."""
    spend = _reader(context, part)
    if part.callers is not None:
        wanted = msgspec.structs.replace(wanted, key_hashes=())  # the callers say it
    active = await _active_days(spend, part, wanted)
    shown = active if page is None else active[page.offset : page.offset + page.size]
    days = Days(date.fromisoformat(shown[-1]), date.fromisoformat(shown[0])) if shown else None
    found = await _find(spend, part, msgspec.structs.replace(wanted, days=days)) if days else None
    number, pages = (1, int(bool(shown))) if page is None else (page.number, page.pages(len(active)))
    metadata = {
        **render_totals(found.models if found else ()),
        "page": number,
        "total_pages": pages,
        "has_more": number < pages,
        "api_key_limit": wanted.max_keys if found else None,
        "total_api_keys": found.key_count if found else None,
        "entity_total_api_keys": None,
    }
    return {"results": await _render(context, part, found, shown) if found else [], "metadata": metadata}


def _reader(context: Context, part: Slice) -> UsageReader:
    spend = context.services.spend
    return spend if part.callers is None else OwnTags(spend, part.callers)


async def _active_days(spend: UsageReader, part: Slice, wanted: ActivityFilter) -> list[str]:
    """Days with calls, newest first."""
    sums = await _usage(spend, part, wanted, by=("day",))
    return sorted((one.group[0] for one in sums), reverse=True)


async def _usage(
    spend: UsageReader, part: Slice, wanted: ActivityFilter, *, by: Sequence[UsageColumn]
) -> list[SpendSum]:
    """The slice itself, or what the wanted key has spent in it."""
    if not wanted.key_hashes:
        return await spend.sum_usage(wanted.days, part.dimension, part.entities, by=by, models=wanted.model)
    owner = {part.owner: part.entities} if part.owner else {}
    return await spend.sum_usage(wanted.days, "key", wanted.key_hashes, by=by, owners=owner, models=wanted.model)


async def _find(spend: UsageReader, part: Slice, wanted: ActivityFilter) -> _Found:
    owner = {part.owner: part.entities} if part.owner else {}
    knows_keys = part.owner is not None or part.dimension in ("all", "key")
    ranked: list[SpendSum] = []
    if wanted.key_hashes or part.dimension == "key":
        named = wanted.key_hashes or part.entities
        ranked = await spend.sum_totals(wanted.days, "key", entities=named, owners=owner, only=MONEY)
    elif knows_keys:
        ranked = await spend.sum_totals(wanted.days, "key", owners=owner, only=MONEY)
    shown = [one.group[0] for one in ranked[: wanted.max_keys]]
    parts = await _parts(spend, part, wanted)
    entities, entity_keys = await _entities(spend, part, wanted, parts, shown)
    return _Found(
        models=await _usage(spend, part, wanted, by=_BY_MODEL),
        keys=await spend.sum_usage(
            wanted.days, "key", shown, by=("entity", *_BY_MODEL), owners=owner, models=wanted.model
        )
        if shown
        else [],
        entities=entities,
        entity_keys=entity_keys,
        shown_keys=shown,
        key_count=len(ranked),
    )


async def _parts(spend: UsageReader, part: Slice, wanted: ActivityFilter) -> tuple[Dimension, Sequence[str]]:
    """The entities to break down."""
    inner = _PARTS.get(part.dimension)
    if inner is None:
        return part.dimension, part.entities[:MAX_ENTITIES]
    dearest = await spend.sum_totals(wanted.days, inner, only=MONEY, limit=MAX_ENTITIES + 1)
    return inner, [one.group[0] for one in dearest if one.group[0]][:MAX_ENTITIES]


async def _entities(
    spend: UsageReader,
    part: Slice,
    wanted: ActivityFilter,
    parts: tuple[Dimension, Sequence[str]],
    keys: Sequence[str],
) -> tuple[list[SpendSum], list[SpendSum]]:
    dimension, entities = parts
    owner = Slice(dimension=dimension).owner
    if dimension == "key" or not entities:
        return [], []
    entity_keys = []
    if owner and keys:
        entity_keys = await spend.sum_totals(
            wanted.days, "key", by=("day", owner, "entity"), entities=keys, owners={owner: entities}
        )
    if wanted.key_hashes:  # the answer is about one key: what it spent in each entity
        return entity_keys, entity_keys
    if wanted.model is not None:
        by_model = await spend.sum_usage(wanted.days, dimension, entities, by=("day", "entity"), models=wanted.model)
        return by_model, []
    return await spend.sum_totals(wanted.days, dimension, by=("day", "entity"), entities=entities), entity_keys


async def _render(context: Context, part: Slice, found: _Found, days: Iterable[str]) -> list[dict[str, Any]]:
    keys = await _describe_keys(context, found.shown_keys)
    dimension = _PARTS.get(part.dimension, part.dimension)
    labels = await _describe_entities(context, dimension, {one.group[1] for one in found.entities})
    by_day: dict[str, _Day] = {day: _Day() for day in days}
    for one in found.models:
        by_day[one.group[0]].add_model(one)
    for one in found.keys:
        by_day[one.group[1]].add_key(one)
    for one in found.entities:
        by_day[one.group[0]].entities[one.group[1]].sums.append(one)
    for one in found.entity_keys:
        day, entity, key_hash = one.group
        by_day[day].entities[entity].by_key[key_hash].append(one)
    return [by_day[day].render(day, keys, labels) for day in by_day]


class _Day:
    def __init__(self) -> None:
        self.sums: list[SpendSum] = []
        self.facets: dict[str, defaultdict[str, Breakdown]] = {name: defaultdict(Breakdown) for name, _ in _FACETS}
        self.keys: defaultdict[str, list[SpendSum]] = defaultdict(list)
        self.entities: defaultdict[str, Breakdown] = defaultdict(Breakdown)

    def add_model(self, one: SpendSum) -> None:
        self.sums.append(one)
        for (name, _), value in zip(_FACETS, one.group[1:], strict=True):
            self.facets[name][_shown(name, value)].sums.append(one)

    def add_key(self, one: SpendSum) -> None:
        key_hash, _, *values = one.group
        self.keys[key_hash].append(one)
        for (name, _), value in zip(_FACETS, values, strict=True):
            self.facets[name][_shown(name, value)].by_key[key_hash].append(one)

    def render(
        self, day: str, keys: Mapping[str, dict[str, Any]], labels: Mapping[str, dict[str, Any]]
    ) -> dict[str, Any]:
        breakdown: dict[str, Any] = {"mcp_servers": {}}
        for name, entries in self.facets.items():
            breakdown[name] = {value: entry.render({}, keys) for value, entry in entries.items()}
        breakdown["api_keys"] = render_keys(self.keys, keys)
        breakdown["entities"] = {
            entity: entry.render(labels.get(entity, {}), keys) for entity, entry in self.entities.items()
        }
        return {"date": day, "metrics": render_metrics(self.sums), "breakdown": breakdown}


def _shown(facet: str, value: str) -> str:
    return _ENDPOINTS.get(value, value) if facet == "endpoints" else value


async def _describe_keys(context: Context, hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
    known = await context.services.keys.name_keys(hashes)
    owners = {key.user_id for key in known.values() if key.user_id}
    people = await SpendRepository(context.services.engine).users_by_id(owners)
    described: dict[str, dict[str, Any]] = {}
    for key_hash in hashes:
        key = known.get(key_hash)
        user_id = key.user_id if key else None
        described[key_hash] = {
            "key_alias": key.key_alias if key else None,
            "team_id": key.team_id if key else None,
            "user_id": user_id,
            "user_email": people[user_id].user_email if user_id in people else None,
            "key_exists": key is not None and key.deleted_at is None,
        }
    return described


async def _describe_entities(context: Context, dimension: Dimension, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    repository = SpendRepository(context.services.engine)
    if dimension == "team":
        return {team_id: {"team_alias": alias} for team_id, alias in (await repository.team_aliases(ids)).items()}
    if dimension == "user":
        people = await repository.users_by_id(ids)
        return {
            user_id: {"user_email": user.user_email, "user_alias": user.user_alias} for user_id, user in people.items()
        }
    return {}
