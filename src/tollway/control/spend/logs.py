"""`/spend/logs*`: single calls, and calls summed by day.

No listing may cost what the ledger is long. Where a filter names no more than one entity, the rollups know how many
calls each day has: that makes the total, and the day of a page deep in a listing. Within the day it is found by halves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from tollway.control.kit.context import Context
from tollway.control.kit.pagination import Page
from tollway.control.spend.dates import day_of, first_micros
from tollway.control.spend.repository import SpendRepository
from tollway.control.spend.visibility import Slice, Visibility
from tollway.core.errors import InvalidRequest
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.record import Record
from tollway.ports.spend import MONEY, Days, Dimension, Owner, RecordFilter, RecordPage, RecordSort, SpendSum

MAX_RECORDS = 10_000
"""Of a listing without pages."""
_CHUNK = 200
_DEEP = 2_000
"""An offset that is not stepped over record by record."""
_MAX_GROUPS = 100
_MEMBER_PERMISSION = "/spend/logs"

SortBy = Literal["startTime", "endTime", "spend", "total_tokens", "request_duration_ms", "model", "ttft_ms"]
SORTS: dict[SortBy, RecordSort] = {
    "startTime": "started_at",
    "endTime": "ended_at",
    "spend": "cost_nanos",
    "total_tokens": "total_tokens",
    "request_duration_ms": "duration",
    "model": "model",
    "ttft_ms": "time_to_first_token",
}

_FIELDS: dict[str, Dimension] = {
    "key_hashes": "key",
    "user_id": "user",
    "team_id": "team",
    "organization_id": "organization",
    "end_user": "end_user",
}
"""Fields of a filter that name an entity, and its dimension."""


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What `/spend/logs/v2` can be asked for. Money in dollars, the rest as the ledger has it."""

    api_key: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    end_user: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    model: str | None = None
    model_id: str | None = None
    model_group: str | None = None
    min_spend: float | None = None
    max_spend: float | None = None
    status: str | None = None
    cache_hit: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    started_from: int | None = None
    started_before: int | None = None


class DailySums(NamedTuple):
    """Sums by day and one more thing each; and whether keys or users were too many to name all."""

    totals: list[SpendSum]
    users: list[SpendSum]
    models: list[SpendSum]
    keys: list[SpendSum]
    is_cut: bool


class _Span(NamedTuple):
    """How many calls there are from one moment on, and before another."""

    start: int
    end: int
    calls: int


class SpendLogs:
    """The ledger's records, for one request."""

    def __init__(self, context: Context) -> None:
        self._spend = context.services.spend
        self._repository = SpendRepository(context.services.engine)
        self._visibility = Visibility(context)
        self._sees_everything = context.actor.sees_everything

    async def select(self, query: LogQuery) -> RecordFilter | None:
        """The filter for what is asked, narrowed to what the caller may see; None: it can match nothing.

        Raises `Forbidden`, or `InvalidRequest` for a value that cannot be.
        """
        part = await self._visible(query)
        hashes = await self._hashes(query)
        if part.dimension == "key":
            hashes = part.entities if hashes is None else tuple(set(hashes) & set(part.entities))
        if hashes == ():
            return None
        seen = {"user_id": query.user_id, "team_id": query.team_id}
        if part.dimension in ("user", "team"):
            (entity,) = part.entities
            if seen[f"{part.dimension}_id"] not in (None, entity):
                return None
            seen[f"{part.dimension}_id"] = entity
        return RecordFilter(
            started_from=query.started_from,
            started_before=query.started_before,
            with_adjustments=False,
            any_id=query.request_id,
            key_hashes=hashes,
            user_id=seen["user_id"],
            team_id=seen["team_id"],
            end_user=query.end_user,
            session_id=query.session_id,
            is_success=_is_success(query),
            is_cached=None if query.cache_hit is None else query.cache_hit == "hit",
            model=query.model,
            model_id=query.model_id,
            model_group=query.model_group,
            status_code=_status_code(query.error_code),
            error_class=None if query.error_code is None or query.error_code.isdigit() else query.error_code,
            error_text=query.error_message,
            min_cost_nanos=None if query.min_spend is None else nanos_from_dollars(query.min_spend),
            max_cost_nanos=None if query.max_spend is None else nanos_from_dollars(query.max_spend),
        )

    async def page(
        self, matching: RecordFilter | None, page: Page, *, sort_by: SortBy = "startTime", is_descending: bool = True
    ) -> RecordPage:
        """A page of records. `is_complete` False: `total` counts the newest records only."""
        if matching is None:
            return RecordPage(records=[], total=0, is_complete=True)
        part = _only_entity(matching)
        spans = [] if part is None else await self._spans(matching, part)
        total = sum(span.calls for span in spans)
        if part is not None and sort_by == "startTime":
            records = await self._page_by_time(matching, spans, page, is_descending=is_descending)
            return RecordPage(records=records, total=total, is_complete=True)
        found = await self._spend.page_records(
            matching, limit=page.size, offset=page.offset, sort_by=SORTS[sort_by], is_descending=is_descending
        )
        return found if part is None else msgspec.structs.replace(found, total=total)

    async def is_long(self, matching: RecordFilter | None) -> bool:
        """Whether more match than a listing without pages shows."""
        if matching is None:
            return False
        return bool(await self._spend.list_records(matching, limit=1, offset=MAX_RECORDS))

    async def stream(self, matching: RecordFilter | None) -> AsyncIterator[list[Record]]:
        """Records in parts, newest first, `MAX_RECORDS` at most: few enough at a time to leave others their turn."""
        left = MAX_RECORDS if matching is not None else 0
        while matching is not None and left:
            records = await self._spend.list_records(matching, limit=min(left, _CHUNK))
            yield records
            if len(records) < _CHUNK:
                return
            left -= len(records)
            last = records[-1]
            matching = msgspec.structs.replace(matching, before=(last.started_at, last.record_id))

    async def sum_days(self, days: Days, *, api_key: str | None, user_id: str | None) -> DailySums:
        """Spend by day with users, models and keys: of a key, of a user, or of all the caller may see."""
        part = await self._visible(LogQuery(api_key=api_key, user_id=user_id))
        spend = self._spend
        owners: dict[Owner, Sequence[str]] = {} if user_id is None else {"user_id": (user_id,)}
        if part.owner is not None:
            owners[part.owner] = part.entities
        if api_key:
            part = await self._visibility.key(api_key)
        hashes = part.entities if part.dimension == "key" else None
        ranked = await spend.sum_totals(days, "key", entities=hashes, owners=owners, only=MONEY, limit=_MAX_GROUPS + 1)
        shown = [one.group[0] for one in ranked[:_MAX_GROUPS]]
        keys = await spend.sum_totals(days, "key", by=("day", "entity"), entities=shown, owners=owners, only=MONEY)
        if part.dimension == "all":
            best = await spend.sum_totals(days, "user", only=MONEY, limit=_MAX_GROUPS + 1)
            ids = [one.group[0] for one in best[:_MAX_GROUPS]]
            users = await spend.sum_totals(days, "user", by=("day", "entity"), entities=ids, only=MONEY)
        else:
            best = []
            users = await spend.sum_totals(
                days, "key", by=("day", "user_id"), entities=hashes, owners=owners, only=MONEY
            )
        by_model = await spend.sum_usage(
            days, part.dimension, part.entities, by=("day", "model"), owners=owners if hashes else None, only=MONEY
        )
        totals = await spend.sum_usage(
            days, part.dimension, part.entities, by=("day",), owners=owners if hashes else None, only=MONEY
        )
        is_cut = len(ranked) > _MAX_GROUPS or len(best) > _MAX_GROUPS
        return DailySums(totals, users, by_model, keys, is_cut)

    async def rank_end_users(self, days: Days, api_key: str) -> tuple[list[dict[str, Any]], bool]:
        """The customers who spent most by a key, and whether all of its calls were looked at."""
        part = await self._visibility.key(api_key)
        matching = RecordFilter(
            started_from=first_micros(days.first),
            started_before=first_micros(days.last + timedelta(days=1)),
            with_adjustments=False,
            key_hashes=part.entities,
        )
        ranked, is_complete = await self._spend.rank_end_users(matching, limit=_MAX_GROUPS)
        return [
            {"end_user": name, "total_count": calls, "total_spend": dollars_from_nanos(nanos)}
            for name, calls, nanos in ranked
        ], is_complete

    async def _visible(self, query: LogQuery) -> Slice:
        if query.team_id is not None and not self._sees_everything:
            return await self._visibility.teams([query.team_id], permission=_MEMBER_PERMISSION)
        if query.api_key:
            return await self._visibility.key(query.api_key)
        if query.user_id is not None:
            return await self._visibility.user(query.user_id)
        return await self._visibility.own()

    async def _hashes(self, query: LogQuery) -> tuple[str, ...] | None:
        if query.key_alias is None:
            return None
        return tuple(await self._repository.hashes_by_alias(query.key_alias))

    async def _spans(self, matching: RecordFilter, part: Slice) -> list[_Span]:
        """Calls of one entity, oldest first: of whole days from the rollups, the rest from an index."""
        edges, days = _split(matching)
        counted = [_Span(*edge, await self._spend.count_calls(_between(matching, *edge))) for edge in edges]
        by_day = [] if days is None else await self._by_day(days, part)
        return sorted(counted + [_whole_day(one) for one in by_day])

    async def _page_by_time(
        self, matching: RecordFilter, spans: Sequence[_Span], page: Page, *, is_descending: bool
    ) -> list[Record]:
        offset, bound = page.offset, "started_before" if is_descending else "started_from"
        for span in sorted(spans, reverse=is_descending):
            if offset < span.calls:
                near, left = await self._skip_within(matching, span, offset, is_descending=is_descending)
                rest = msgspec.structs.replace(matching, **{bound: near})
                return await self._spend.list_records(rest, limit=page.size, offset=left, is_descending=is_descending)
            offset -= span.calls
        return []

    async def _skip_within(
        self, matching: RecordFilter, span: _Span, offset: int, *, is_descending: bool
    ) -> tuple[int, int]:
        """A moment before the offset is reached, and what is left of it from there: counting in an index is many times
        faster than stepping over records.
        """
        near, far = (span.end, span.start) if is_descending else (span.start, span.end)
        while offset >= _DEEP and abs(far - near) > 1:
            middle = (near + far) // 2
            calls = await self._spend.count_calls(_between(matching, min(near, middle), max(near, middle)))
            if offset < calls:
                far = middle
            else:
                near, offset = middle, offset - calls
        return near, offset

    async def _by_day(self, days: Days, part: Slice) -> list[SpendSum]:
        if part.dimension == "key":
            return await self._spend.sum_usage(days, "key", part.entities, by=("day",), only=MONEY)
        return await self._spend.sum_totals(days, part.dimension, by=("day",), entities=part.entities, only=MONEY)


def _is_success(query: LogQuery) -> bool | None:
    if query.error_code is not None or query.error_message is not None:
        return False
    return None if query.status is None else query.status == "success"


def _status_code(error_code: str | None) -> int | None:
    if error_code is None or not error_code.isdigit():
        return None
    if len(error_code) > 3:
        raise InvalidRequest(
            f"Invalid error_code {error_code[:20]!r}. Use an HTTP status, or the class of an error.",
            param="error_code",
            type="bad_request",
        )
    return int(error_code)


def _only_entity(matching: RecordFilter) -> Slice | None:
    """The entity that a filter asks for, if it asks for nothing but that and a span of time."""
    rest = msgspec.structs.replace(matching, started_from=None, started_before=None)
    for name, dimension in _FIELDS.items():
        value = getattr(matching, name)
        if value is not None and msgspec.structs.replace(rest, **{name: None}) == _CALLS:
            return Slice(dimension=dimension, entities=value if isinstance(value, tuple) else (value,))
    return Slice() if rest == _CALLS else None


_CALLS = RecordFilter(with_adjustments=False)


def _split(matching: RecordFilter) -> tuple[list[tuple[int, int]], Days | None]:
    """The span of a filter as its whole days, and the parts of days before and after them."""
    start, end = matching.started_from or 0, matching.started_before or 0
    first, last = day_of(start), day_of(end)
    whole_from = first if first_micros(first) == start else first + timedelta(days=1)
    if whole_from >= last:
        return [(start, end)] if start < end else [], None
    edges = [(start, first_micros(whole_from)), (first_micros(last), end)]
    return [edge for edge in edges if edge[0] < edge[1]], Days(whole_from, last - timedelta(days=1))


def _whole_day(one: SpendSum) -> _Span:
    day = date.fromisoformat(one.group[0])
    return _Span(first_micros(day), first_micros(day + timedelta(days=1)), one.calls)


def _between(matching: RecordFilter, start: int, end: int) -> RecordFilter:
    return msgspec.structs.replace(matching, started_from=start, started_before=end)
