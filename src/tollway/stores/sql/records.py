"""Queries for ledger records, built so that none of them reads more of the ledger than it may.

An index finds records by one field, in order of time. So a filter has one *anchor*: the most selective of its fields
that has an index. Whatever else it asks for, and any order but that of time, is looked for among the newest records of
the anchor only, `LOOKED_THROUGH` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    TextClause,
    and_,
    case,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.functions import Function

from tollway.core.ids import made_at_ms
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.db.ledger import MODELS, ROLLED_TOKENS, TOKEN_CLASSES, ledger
from tollway.ports.spend import RecordFilter, RecordSort

LOOKED_THROUGH = 10_000
"""How many records of an anchor are tested against the rest of a filter."""

_RATE_LIMITED = 429
_Columns = ReadOnlyColumnCollection[str, Any]

_ANCHORS = ("session_id", "end_user", "key_hashes", "user_id", "team_id", "is_success", "organization_id")
"""Fields with an index, the most selective first."""
_EQUALITIES = (
    *("user_id", "team_id", "organization_id", "end_user", "session_id", "is_success", "model", "model_group"),
    *("model_id", "provider", "error_class", "status_code", "is_cached"),
)
_RESIDUAL_COLUMNS = (*_EQUALITIES, "key_hash", "cost_nanos", "error_message")

_SORTS: Mapping[RecordSort, Callable[[_Columns], ColumnElement[Any]]] = {
    "started_at": lambda columns: columns.started_at,
    "ended_at": lambda columns: columns.ended_at,
    "cost_nanos": lambda columns: columns.cost_nanos,
    "total_tokens": lambda columns: columns.input_tokens + columns.output_tokens,
    "duration": lambda columns: columns.ended_at - columns.started_at,
    "model": lambda columns: columns.model,
    "time_to_first_token": lambda columns: func.nullif(columns.first_token_at, 0) - columns.started_at,
}


class RecordQueries(msgspec.Struct, frozen=True):
    """A page of records, and how many there are."""

    page: Select[Any]
    count: Select[int, int]
    """How many match, and among how many was looked; `LOOKED_THROUGH` of these means that there are more."""


def select_page(
    matching: RecordFilter,
    *,
    limit: int,
    offset: int = 0,
    sort_by: RecordSort = "started_at",
    is_descending: bool = True,
) -> RecordQueries:
    """The page after `offset` records, in any order."""
    anchor = _anchor(matching)
    is_by_time = sort_by == "started_at"
    rest = _without(matching, anchor)
    is_searched = bool(_residual(rest, ledger.c)) or not is_by_time
    found = _candidates(
        matching,
        anchor,
        sort_by=sort_by,
        is_descending=is_descending or not is_by_time,
        limit=LOOKED_THROUGH if is_searched else offset + limit,
        columns=_RESIDUAL_COLUMNS if is_searched else (),
    )
    wanted = select(found.c.started_at, found.c.record_id, found.c.sort_value).where(*_residual(rest, found.c))
    keys = wanted.order_by(*_order(found.c, is_descending=is_descending)).limit(limit).offset(offset).subquery("keys")
    is_same = and_(ledger.c.started_at == keys.c.started_at, ledger.c.record_id == keys.c.record_id)
    page = select(ledger).select_from(keys.join(ledger, is_same)).order_by(*_order(keys.c, is_descending=is_descending))
    looked = _candidates(
        matching,
        anchor,
        sort_by="started_at",
        is_descending=True,
        limit=LOOKED_THROUGH,
        columns=_RESIDUAL_COLUMNS if is_searched else (),
    )
    matches = func.count().filter(*(_residual(rest, looked.c) or [true()]))
    return RecordQueries(page, select(matches, func.count()).select_from(looked))


def sum_end_users(matching: RecordFilter, *, limit: int) -> RecordQueries:
    """Customers of the newest records of the anchor, with calls and nano-dollars, dearest first."""
    found = _candidates(
        matching,
        _anchor(matching),
        sort_by="started_at",
        is_descending=True,
        limit=LOOKED_THROUGH,
        columns=("end_user", "cost_nanos"),
    )
    name, nanos = found.c.end_user, func.sum(found.c.cost_nanos)
    sums = select(name, func.count(), nanos).where(name != "").group_by(name).order_by(nanos.desc(), name)
    return RecordQueries(sums.limit(limit), select(func.count(), func.count()).select_from(found))


def tagged_usage(matching: RecordFilter, *, dialect: str, is_by_tag: bool) -> tuple[FromClause, FromClause]:
    """Calls of the newest records of the anchor under their tags, in the columns of `daily_usage`; and these records.

    `is_by_tag`: a row for each tag of a call, as `entity`; else one for each call that has tags, as `""`.
    """
    found = _candidates(
        msgspec.structs.replace(matching, with_adjustments=False),
        _anchor(matching),
        sort_by="started_at",
        is_descending=True,
        limit=LOOKED_THROUGH,
        columns=_TAGGED_COLUMNS,
    )
    columns = found.c
    source: FromClause = found
    entity: ColumnElement[str] = literal("")
    functions = _JSON_FUNCTIONS[dialect]
    conditions = [functions.length(columns.tags) > 0, *_residual(matching, columns)]
    if is_by_tag:
        each = functions.elements(columns.tags).table_valued("value").alias("each")
        entity, source = each.c.value, found.join(each, true())
    counted = select(columns.record_id, entity.label("entity"), *_usage(columns, functions.day)).select_from(source)
    # A call that names a tag twice counts once.
    return counted.where(*conditions).distinct().subquery("tagged"), found


class _JsonFunctions(msgspec.Struct, frozen=True):
    """What two databases call differently."""

    elements: Callable[[Any], Function[Any]]
    length: Callable[[Any], ColumnElement[int]]
    day: Callable[[Any], ColumnElement[str]]
    """ISO 8601 of epoch microseconds."""


_JSON_FUNCTIONS = {
    "sqlite": _JsonFunctions(
        elements=func.json_each,
        length=func.json_array_length,
        day=lambda micros: func.date(micros // 1_000_000, "unixepoch"),
    ),
    "postgresql": _JsonFunctions(
        elements=func.jsonb_array_elements_text,
        length=func.jsonb_array_length,
        day=lambda micros: func.to_char(
            func.timezone("UTC", func.to_timestamp(micros // 1_000_000)), literal_column("'YYYY-MM-DD'")
        ),
    ),
}
_TAGGED_COLUMNS = (
    *("tags", "user_id", "key_hash", "kind", "is_success", "status_code", "cost_nanos", "ended_at"),
    *MODELS,
    *ROLLED_TOKENS,
)


def _usage(columns: _Columns, day: Callable[[Any], ColumnElement[str]]) -> list[ColumnElement[Any]]:
    """What one record adds to the sums, as `rollups` has it."""
    is_failure, is_timed = not_(columns.is_success), and_(columns.kind == "call", columns.is_success)
    counts: dict[str, ColumnElement[Any]] = {
        "day": day(columns.started_at),
        "spend_nanos": columns.cost_nanos,
        "calls": literal(1),
        "failures": case((is_failure, 1), else_=0),
        "rate_limited": case((and_(is_failure, columns.status_code == _RATE_LIMITED), 1), else_=0),
        "response_ms": case((is_timed, (columns.ended_at - columns.started_at) // 1000), else_=0),
        "timed_calls": case((is_timed, 1), else_=0),
    }
    own = [columns[name] for name in (*MODELS, *ROLLED_TOKENS)]
    return [*own, *(value.label(name) for name, value in counts.items())]


def select_last_calls(key_hashes: Sequence[str]) -> Select[Any]:
    """The end of each key's last call, one step in the index for each."""
    parts = []
    for key_hash in key_hashes:
        calls = select(ledger.c.key_hash, ledger.c.ended_at).where(
            ledger.c.key_hash == key_hash, ledger.c.kind == "call"
        )
        parts.append(select(calls.order_by(ledger.c.started_at.desc()).limit(1).subquery()))
    found = union_all(*parts).subquery("found")
    return select(found.c.key_hash, found.c.ended_at)


def count_in_index(matching: RecordFilter) -> Select[Any]:
    """How many records of an anchor a span of time has, adjustments left out. Reads indices alone."""
    span, adjusted = _span(matching), ledger.c.kind == literal_column("'adjustment'")
    total: ColumnElement[int] = literal(0)
    for place in _places(matching, _anchor(matching)):
        everything = select(func.count()).select_from(ledger).where(*place, *span)
        adjustments = select(func.count()).select_from(ledger).where(adjusted, *place, *span)
        total = total + everything.scalar_subquery() - adjustments.scalar_subquery()
    return select(total)


def record_from_row(row: Row[Any]) -> Record:
    """The record in a row of the ledger."""
    values = dict(row._mapping)
    usage = Usage(**{name: values.pop(name) for name in (*TOKEN_CLASSES, "is_estimated")})
    values["tags"] = tuple(values["tags"])
    values["charges"] = msgspec.convert(values["charges"], tuple[Charge, ...])
    values["metadata"] = values["metadata"].encode()
    return Record(usage=usage, **values)


def _anchor(matching: RecordFilter) -> str | None:
    if matching.any_id is not None:
        return "any_id"
    for name in _ANCHORS:
        value = getattr(matching, name)
        # Nearly all calls succeed and `""` is most records' value: an index of these would say nothing.
        if value is False or (value and value is not True):
            return name
    return None


def _without(matching: RecordFilter, anchor: str | None) -> RecordFilter:
    return matching if anchor is None else msgspec.structs.replace(matching, **{anchor: None})


def _candidates(
    matching: RecordFilter,
    anchor: str | None,
    *,
    sort_by: RecordSort,
    is_descending: bool,
    limit: int,
    columns: Sequence[str],
) -> FromClause:
    """The first records of the anchor in order of time, narrowed to the columns that are needed."""
    needed = [ledger.c[name] for name in ("started_at", "record_id", *columns)]
    by_time = [ledger.c.started_at, ledger.c.record_id]
    order = [column.desc() if is_descending else column.asc() for column in by_time]
    parts = []
    for place in _places(matching, anchor):
        part = select(*needed, _SORTS[sort_by](ledger.c).label("sort_value")).where(*place, *_span(matching))
        if not matching.with_adjustments:
            part = part.where(ledger.c.kind != "adjustment")
        if matching.kind is not None:
            part = part.where(ledger.c.kind == matching.kind)
        parts.append(part.order_by(*order).limit(limit))
    if len(parts) == 1:
        return parts[0].subquery("found")
    return union_all(*(select(part.subquery()) for part in parts)).subquery("found")


def _places(matching: RecordFilter, anchor: str | None) -> list[list[ColumnElement[bool] | TextClause]]:
    """Conditions of the anchor, each list one range of an index."""
    match anchor:
        case None:
            return [[]]
        case "any_id":
            assert matching.any_id is not None
            return [[_has_id(matching.any_id)]]
        case "is_success":
            return [[ledger.c.is_success == false(), text("NOT ledger.is_success")]]
        case "key_hashes":
            return [[ledger.c.key_hash == key_hash] for key_hash in matching.key_hashes or ()]
        case name:
            # The second follows from the first, but the partial index wants it said.
            return [[ledger.c[name] == getattr(matching, name), text(f"ledger.{name} <> ''")]]


def _span(matching: RecordFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if matching.started_from is not None:
        conditions.append(ledger.c.started_at >= matching.started_from)
    if matching.started_before is not None:
        conditions.append(ledger.c.started_at < matching.started_before)
    if matching.before is not None:
        conditions.append(ledger.c.started_at <= matching.before[0])
        conditions.append(tuple_(ledger.c.started_at, ledger.c.record_id) < tuple_(*matching.before))
    return conditions


def _residual(matching: RecordFilter, columns: _Columns) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        columns[name] == value for name in _EQUALITIES if (value := getattr(matching, name)) is not None
    ]
    if matching.key_hashes is not None:
        conditions.append(columns.key_hash.in_(matching.key_hashes))
    if matching.min_cost_nanos is not None:
        conditions.append(columns.cost_nanos >= matching.min_cost_nanos)
    if matching.max_cost_nanos is not None:
        conditions.append(columns.cost_nanos <= matching.max_cost_nanos)
    if matching.error_text is not None:
        conditions.append(columns.error_message.icontains(matching.error_text, autoescape=True))
    return conditions


def _order(columns: _Columns, *, is_descending: bool) -> list[ColumnElement[Any]]:
    values = [columns.sort_value, columns.started_at, columns.record_id]
    if is_descending:
        return [values[0].desc().nulls_last(), *(value.desc() for value in values[1:])]
    return [values[0].asc().nulls_last(), *(value.asc() for value in values[1:])]


def _has_id(wanted: str) -> ColumnElement[bool]:
    """The record, call or response of that id; each of the three is found through an index of its own."""
    columns = ledger.c
    alternatives = [
        columns.response_id == wanted,
        and_(columns.call_id == wanted, columns.call_id != columns.record_id),
    ]
    milliseconds = made_at_ms(wanted)
    if milliseconds is not None:  # a record's id says when it was made, and that is how the ledger is sorted
        made = columns.started_at.between(milliseconds * 1000, milliseconds * 1000 + 999)
        alternatives.append(and_(made, columns.record_id == wanted))
    return or_(*alternatives)
