"""What a batch of records adds to the daily sums. Pure.

A batch repeats few combinations of key and model. So records are added up by these first, and most dimensions are
derived from those few sums; only customers and tags are added up record by record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from operator import attrgetter
from typing import Any

from tollway.core.record import Record
from tollway.db.ledger import MODELS, OWNERS, ROLLED_TOKENS, week_of
from tollway.ports.spend import BY_WEEK, Dimension

Values = tuple[Any, ...]
_Groups = defaultdict[Values, list[Values]]

_MICROS_PER_DAY = 86_400_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = date(1970, 1, 1).weekday()
_WEEKS = {dimension: week_of(dimension) for dimension in BY_WEEK}
_RATE_LIMITED = 429
_NO_OWNERS = ("",) * len(OWNERS)

_USER, _TEAM, _ORGANIZATION, _PROJECT = map(OWNERS.index, ("user_id", "team_id", "organization_id", "project_id"))
_models = attrgetter(*MODELS)
_owners = attrgetter("key_hash", *OWNERS)
_token_counts = attrgetter(*(f"usage.{name}" for name in ROLLED_TOKENS))


def rollup_rows(records: Iterable[Record]) -> tuple[list[Values], list[Values]]:
    """Rows to add to `daily_usage` and to `daily_totals`, in the order of their keys."""
    usage: _Groups = defaultdict(list)
    by_key: _Groups = defaultdict(list)
    for record in records:
        if record.kind == "adjustment":
            continue
        day, models, counts = record.started_at // _MICROS_PER_DAY, _models(record), _counts(record)
        by_key[day, _owners(record), record.model_id, models].append(counts)
        if record.end_user:
            usage["end_user", record.end_user, day, _NO_OWNERS, models].append(counts)
            usage["any_end_user", "", day, _NO_OWNERS, models].append(counts)
        if record.tags:
            usage["any_tag", "", day, _NO_OWNERS, models].append(counts)
        for tag in set(record.tags):
            usage["tag", tag, day, _NO_OWNERS, models].append(counts)
    for (day, (key_hash, *owners), model_id, models), sums in _summed(by_key):
        usage["key", key_hash, day, tuple(owners), models].append(sums)
        for dimension, entity in _dimensions(owners, model_id):
            usage[dimension, entity, day, _NO_OWNERS, models].append(sums)
    totals: _Groups = defaultdict(list)
    usage_rows = []
    for (dimension, entity, day, owners, models), sums in _summed(usage):
        date_text = _date_text(day)
        usage_rows.append((dimension, entity, date_text, *owners, *models, *sums))
        totals[dimension, date_text, entity, *owners].append(sums)
        if dimension in _WEEKS:
            monday = day - (day + _EPOCH_WEEKDAY) % 7
            totals[_WEEKS[dimension], _date_text(monday), entity, *owners].append(sums)
    return sorted(usage_rows), sorted((*key, *sums) for key, sums in _summed(totals))


def _date_text(day: int) -> str:
    return date.fromordinal(_EPOCH_DAY + day).isoformat()


def _dimensions(owners: list[str], model_id: str) -> Iterable[tuple[Dimension, str]]:
    yield "all", ""
    yield "team", owners[_TEAM]
    if owners[_TEAM]:
        yield "any_team", ""
    if owners[_USER]:
        yield "user", owners[_USER]
    if owners[_ORGANIZATION]:
        yield "organization", owners[_ORGANIZATION]
        yield "any_organization", ""
    if owners[_PROJECT]:
        yield "project", owners[_PROJECT]
    if model_id:
        yield "deployment", model_id


def _counts(record: Record) -> Values:
    is_timed = record.kind == "call" and record.is_success
    return (
        record.cost_nanos,
        1,
        int(not record.is_success),
        int(not record.is_success and record.status_code == _RATE_LIMITED),
        *_token_counts(record),
        (record.ended_at - record.started_at) // 1000 if is_timed else 0,
        int(is_timed),
    )


def _summed(groups: _Groups) -> Iterable[tuple[Values, Values]]:
    for key, counts in groups.items():
        yield key, counts[0] if len(counts) == 1 else tuple(map(sum, zip(*counts, strict=True)))
