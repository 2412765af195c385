"""What every `LedgerStore` and `SpendReader` must do, on every database."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, date, datetime
from operator import add, attrgetter
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import ClauseElement, select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, MissingDatabase, open_database
from tests.support.records import KEY, NOON, make_record, records

from tollway.core.errors import StoreUnavailable
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.db.engine import open_engine, reading
from tollway.db.sessions import session_totals
from tollway.ports.ledger import Unstorable, WindowSum
from tollway.ports.spend import Days, Dimension, RecordFilter, RecordSort, SpendSum
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.records import count_in_index, select_last_calls, select_page
from tollway.stores.sql.spend import SqlSpendReader, select_entities

DAY = 86_400_000_000
EVER = Days(date(1970, 1, 1), date(2100, 1, 1))
NO_WHOLE_WEEK = Days(date(2025, 12, 26), date(2026, 1, 1))
WEEK_AND_MORE = Days(date(2025, 12, 20), date(2025, 12, 30))


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
def store(engine: AsyncEngine) -> SqlLedgerStore:
    return SqlLedgerStore(engine)


@pytest.fixture
def spend(engine: AsyncEngine) -> SqlSpendReader:
    return SqlSpendReader(engine)


def day_of(record: Record) -> date:
    return datetime.fromtimestamp(record.started_at / 1e6, UTC).date()


@pytest.mark.parametrize("database", DATABASES)
@given(
    written=st.lists(records, min_size=1, max_size=12, unique_by=lambda record: record.record_id),
    batches=st.lists(st.lists(st.integers(0, 11), max_size=12), max_size=6),
)
@settings(max_examples=8, deadline=None)
def test_sums_equal_the_records_however_often_and_in_whatever_batches_they_come(
    database: str, written: list[Record], batches: list[list[int]]
) -> None:
    async def check(folder: Path) -> None:
        async with open_database(database, folder) as engine:
            store, spend = SqlLedgerStore(engine), SqlSpendReader(engine)
            seen: set[str] = set()
            for batch in [*batches, [*range(len(written))]]:
                offered = [written[index] for index in batch if index < len(written)]
                new = {record.record_id for record in offered} - seen
                assert await store.insert(offered) == len(new)
                seen |= new
            stored = [as_stored(database, record) for record in written]
            assert await everything(spend) == newest_first(stored)
            assert await windows_in(store, written) == windows_of(written)
            assert await sessions_in(engine) == sessions_of(stored)
            for dimension, entities_of in DIMENSIONS.items():
                expected = days_of(stored, entities_of)
                assert await usage_in(spend, dimension, expected) == expected, dimension
                assert await totals_in(spend, dimension) == expected, dimension
                assert await rows_in(spend, dimension, expected) == spend_and_tokens(expected), dimension
                named = sorted({entity for _, entity in expected})[::2]
                for days in (EVER, NO_WHOLE_WEEK, WEEK_AND_MORE):
                    sums = added_up(expected, days)
                    assert await entities_in(spend, days, dimension) == sums, (dimension, days)
                    some = {entity: counts for entity, counts in sums.items() if entity in named}
                    assert await entities_in(spend, days, dimension, named) == some, (dimension, days)

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(check(Path(name)))


def as_stored(database: str, record: Record) -> Record:
    """Postgres has no NUL: it is made visible there."""
    if database == "sqlite":
        return record
    return msgspec.structs.replace(
        record,
        **{name: shown(value) for name, value in msgspec.structs.asdict(record).items() if isinstance(value, str)},
        tags=tuple(map(shown, record.tags)),
        metadata=shown(record.metadata.decode()).encode(),
        charges=tuple(
            Charge(charge.scope_kind, shown(charge.scope_id), charge.window_start) for charge in record.charges
        ),
    )


def shown(text: str) -> str:
    return text.replace("\0", "␀")


async def everything(spend: SqlSpendReader) -> list[Record]:
    return await spend.list_records(RecordFilter(), limit=1000)


def newest_first(written: list[Record]) -> list[Record]:
    return sorted(written, key=attrgetter("started_at", "record_id"), reverse=True)


async def windows_in(store: SqlLedgerStore, written: list[Record]) -> dict[Charge, WindowSum]:
    known = list({charge for record in written for charge in record.charges})
    return dict(zip(known, await store.window_sums(known), strict=True))


def windows_of(written: list[Record]) -> dict[Charge, WindowSum]:
    """Every record is spend; calls alone are counted."""
    sums: dict[Charge, WindowSum] = {}
    for record in written:
        for charge in record.charges:
            before = sums.get(charge, WindowSum())
            calls = before.calls + (1 if record.kind == "call" else 0)
            sums[charge] = WindowSum(before.nanos + record.cost_nanos, calls)
    return sums


async def sessions_in(engine: AsyncEngine) -> dict[tuple[str, str], tuple[int, ...]]:
    """What is kept of each session, whose key it was aside."""
    async with reading(engine) as connection:
        rows = list(await connection.execute(select(session_totals)))
    names = ("spend_nanos", "calls", "failures", "first_seen_at", "last_seen_at")
    return {(row.spend_id, row.session_id): tuple(getattr(row, name) for name in names) for row in rows}


def sessions_of(written: list[Record]) -> dict[tuple[str, str], tuple[int, ...]]:
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for record in written:
        if record.session_id and record.kind == "call":
            of_key = [charge.scope_id for charge in record.charges if charge.scope_kind == "api_key"]
            key = ((of_key or [record.key_hash])[0], record.session_id)
            nanos, calls, failures, first, last = found.get(key, (0, 0, 0, record.started_at, record.ended_at))
            found[key] = (
                nanos + record.cost_nanos,
                calls + 1,
                failures + (0 if record.is_success else 1),
                min(first, record.started_at),
                max(last, record.ended_at),
            )
    return found


DIMENSIONS: dict[Dimension, Callable[[Record], Iterable[str]]] = {
    "all": lambda record: [""],
    "key": lambda record: [record.key_hash],
    "team": lambda record: [record.team_id],
    "user": lambda record: filter(None, [record.user_id]),
    "organization": lambda record: filter(None, [record.organization_id]),
    "project": lambda record: filter(None, [record.project_id]),
    "end_user": lambda record: filter(None, [record.end_user]),
    "deployment": lambda record: filter(None, [record.model_id]),
    "tag": lambda record: set(record.tags),
    "any_team": lambda record: [""] if record.team_id else [],
    "any_organization": lambda record: [""] if record.organization_id else [],
    "any_end_user": lambda record: [""] if record.end_user else [],
    "any_tag": lambda record: [""] if record.tags else [],
}
"""Every dimension, and the entities of it that a record counts for."""

Sums = dict[tuple[str, str], list[int]]


def test_every_dimension_is_compared() -> None:
    assert DIMENSIONS.keys() == set(get_args(Dimension))


def figures(found: SpendSum) -> list[int]:
    counts = [found.spend_nanos, found.calls, found.failures, found.rate_limited, found.response_ms, found.timed_calls]
    return [*counts, found.usage.total_tokens, found.usage.cache_read_tokens, found.usage.cache_write_1h_tokens]


async def usage_in(spend: SqlSpendReader, dimension: Dimension, expected: Sums) -> Sums:
    entities = sorted({entity for _, entity in expected})
    sums = await spend.sum_usage(EVER, dimension, entities, by=["day", "entity"])
    return {(found.group[0], found.group[1]): figures(found) for found in sums}


async def rows_in(spend: SqlSpendReader, dimension: Dimension, expected: Sums) -> Sums:
    sums: Sums = {}
    entities = sorted({entity for _, entity in expected})
    for day, entity, _, nanos, tokens in await spend.list_usage(EVER, dimension, entities):
        sums[day, entity] = list(map(add, sums.get((day, entity), [0, 0]), [nanos, tokens]))
    return sums


def spend_and_tokens(sums: Sums) -> Sums:
    return {group: [counts[0], counts[6]] for group, counts in sums.items()}


async def entities_in(
    spend: SqlSpendReader, days: Days, dimension: Dimension, entities: list[str] | None = None
) -> dict[str, list[int]]:
    return {found.group[0]: figures(found) for found in await spend.sum_totals(days, dimension, entities=entities)}


def added_up(sums: Sums, days: Days) -> dict[str, list[int]]:
    whole: dict[str, list[int]] = {}
    for (day, entity), counts in sums.items():
        if days.first.isoformat() <= day <= days.last.isoformat():
            whole[entity] = list(map(add, whole.get(entity, [0] * len(counts)), counts))
    return whole


async def totals_in(spend: SqlSpendReader, dimension: Dimension) -> Sums:
    sums = await spend.sum_totals(EVER, dimension, by=["day", "entity"])
    return {(found.group[0], found.group[1]): figures(found) for found in sums}


def days_of(written: list[Record], entities_of: Callable[[Record], Iterable[str]]) -> Sums:
    sums: Sums = {}
    for record in written:
        if record.kind != "adjustment":
            for entity in entities_of(record):
                known = sums.setdefault((day_of(record).isoformat(), entity), [0] * 9)
                sums[day_of(record).isoformat(), entity] = list(map(add, known, figures_of(record)))
    return sums


def figures_of(record: Record) -> list[int]:
    is_timed = record.kind == "call" and record.is_success
    is_limited = not record.is_success and record.status_code == 429
    taken = (record.ended_at - record.started_at) // 1000 if is_timed else 0
    usage = record.usage
    counts = [record.cost_nanos, 1, int(not record.is_success), int(is_limited), taken, int(is_timed)]
    return [*counts, usage.total_tokens, usage.cache_read_tokens, usage.cache_write_1h_tokens]


@given(record=records)
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("database", DATABASES)
def test_every_field_of_a_record_comes_back_as_it_was(database: str, record: Record) -> None:
    async def check(folder: Path) -> None:
        async with open_database(database, folder) as engine:
            await SqlLedgerStore(engine).insert([record])
            assert await everything(SqlSpendReader(engine)) == [as_stored(database, record)]

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(check(Path(name)))


async def test_concurrent_writers_of_the_same_records_count_each_once(engine: AsyncEngine) -> None:
    store, other = SqlLedgerStore(engine), SqlLedgerStore(engine)
    written = [make_record() for _ in range(20)]
    inserted = 0
    for start in range(0, 20, 5):
        batch = written[start : start + 10]
        outcomes = await asyncio.gather(store.insert(batch), other.insert(batch), return_exceptions=True)
        inserted += sum(outcome for outcome in outcomes if isinstance(outcome, int))
    assert inserted == 20
    assert await store.window_sums([Charge("api_key", KEY, 0)]) == [WindowSum(20 * 60_000, 20)]


async def test_workers_that_add_to_the_same_sums_in_any_order_never_deadlock(tmp_path: Path) -> None:
    async with open_database("postgres", tmp_path) as engine:
        keys = [f"{number:02}" * 32 for number in range(10)]

        async def work(seed: int) -> None:
            store = SqlLedgerStore(engine)
            for turn in range(10):
                shuffled = Random(100 * seed + turn).sample(keys, len(keys))
                await store.insert(
                    [make_record(charges=(Charge("api_key", key, 0),), key_hash=key) for key in shuffled]
                )

        await asyncio.gather(*(work(seed) for seed in range(4)))
        sums = await SqlLedgerStore(engine).window_sums([Charge("api_key", key, 0) for key in keys])
    assert sums == [WindowSum(4 * 10 * 60_000, 40)] * len(keys)


async def test_nothing_was_settled_in_an_unknown_window(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    assert await store.window_sums([]) == []
    await store.insert([make_record()])
    asked = [Charge("team", "x", 0), Charge("api_key", KEY, 0), Charge("api_key", KEY, 1)]
    assert await store.window_sums(asked) == [WindowSum(), WindowSum(60_000, 1), WindowSum()]
    assert await spend.window_spend(asked) == [0, 60_000, 0]


async def test_records_are_listed_newest_first_in_pages(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    written = [make_record(NOON + second) for second in range(5)]
    await store.insert(written)
    newest = written[::-1]
    assert await spend.list_records(RecordFilter(), limit=2) == newest[:2]
    assert await spend.list_records(RecordFilter(), limit=2, offset=2) == newest[2:4]
    assert await spend.list_records(RecordFilter(), limit=2, offset=2, is_descending=False) == written[2:4]
    last = newest[1]
    after = RecordFilter(before=(last.started_at, last.record_id))
    assert await spend.list_records(after, limit=9) == newest[2:]


@pytest.mark.parametrize(
    ("matching", "expected"),
    [
        (RecordFilter(started_from=NOON + 1), [1, 2]),
        (RecordFilter(started_before=NOON + 1), [0]),
        (RecordFilter(any_id="call-1"), [1]),
        (RecordFilter(any_id="response-2"), [2]),
        (RecordFilter(key_hashes=(KEY, "other")), [0, 1, 2]),
        (RecordFilter(key_hashes=("other",), user_id="bob"), [1]),
        (RecordFilter(user_id="bob"), [1]),
        (RecordFilter(user_id="bob", is_success=True), []),
        (RecordFilter(team_id="red"), [0]),
        (RecordFilter(organization_id="acme"), [0]),
        (RecordFilter(end_user="eve"), [2]),
        (RecordFilter(session_id="s", model_group="gpt-4o"), [2]),
        (RecordFilter(is_success=False), [1]),
        (RecordFilter(is_success=True), [0, 2]),
        (RecordFilter(kind="adjustment"), [2]),
        (RecordFilter(with_adjustments=False), [0, 1]),
        (RecordFilter(min_cost_nanos=2), [1, 2]),
        (RecordFilter(max_cost_nanos=2, min_cost_nanos=2), [1]),
        (RecordFilter(status_code=500), [1]),
        (RecordFilter(error_text="TOO_busy"), [1]),
        (RecordFilter(error_text="too%busy"), []),
    ],
)
async def test_a_filter_finds_what_matches_all_of_it(
    store: SqlLedgerStore, spend: SqlSpendReader, matching: RecordFilter, expected: list[int]
) -> None:
    bob = {"user_id": "bob", "key_hash": "other", "error_message": "much too_busy"}
    eve = {"end_user": "eve", "session_id": "s"}
    await store.insert(
        [
            make_record(NOON, response_id="response-0", cost_nanos=1, team_id="red", organization_id="acme"),
            make_record(NOON + 1, call_id="call-1", cost_nanos=2, is_success=False, status_code=500, **bob),
            make_record(NOON + 2, response_id="response-2", kind="adjustment", cost_nanos=3, **eve),
        ]
    )
    found = await spend.page_records(matching, limit=10)
    assert sorted(record.started_at - NOON for record in found.records) == expected
    assert (found.total, found.is_complete) == (len(expected), True)
    assert await spend.list_records(matching, limit=10) == found.records


SORTED: dict[RecordSort, Callable[[Record], Any]] = {
    "started_at": lambda record: record.started_at,
    "ended_at": lambda record: record.ended_at,
    "cost_nanos": lambda record: record.cost_nanos,
    "total_tokens": lambda record: record.usage.total_tokens,
    "duration": lambda record: record.ended_at - record.started_at,
    "model": lambda record: record.model,
    "time_to_first_token": lambda record: record.first_token_at - record.started_at,
}


@pytest.mark.parametrize("sort_by", get_args(RecordSort))
@pytest.mark.parametrize("is_descending", [True, False])
async def test_records_are_sorted_by_any_figure(
    store: SqlLedgerStore, spend: SqlSpendReader, sort_by: RecordSort, is_descending: bool
) -> None:
    written = [
        make_record(
            NOON + number,
            ended_at=NOON + 1000 * (number * 5 % 7),
            first_token_at=NOON + 500 * (number * 3 % 7) + 1,
            cost_nanos=number * 4 % 7,
            usage=Usage(input_tokens=number * 6 % 7),
            model=f"model-{number * 2 % 7}",
        )
        for number in range(7)
    ]
    await store.insert(written)
    expected = sorted(written, key=SORTED[sort_by], reverse=is_descending)
    for offset in (0, 3):
        page = await spend.page_records(
            RecordFilter(), limit=3, offset=offset, sort_by=sort_by, is_descending=is_descending
        )
        assert page.records == expected[offset : offset + 3]


async def test_a_search_looks_through_the_newest_records_and_says_so(
    store: SqlLedgerStore, spend: SqlSpendReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.stores.sql.records.LOOKED_THROUGH", 3)
    monkeypatch.setattr("tollway.stores.sql.spend.LOOKED_THROUGH", 3)
    await store.insert([make_record(NOON + number, model=f"model-{number % 2}") for number in range(4)])
    found = await spend.page_records(RecordFilter(model="model-0"), limit=10)
    assert ([record.started_at - NOON for record in found.records], found.total, found.is_complete) == ([2], 1, False)


async def test_calls_are_counted_without_adjustments(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    await store.insert([make_record(NOON + n, kind="adjustment" if n == 2 else "call") for n in range(5)])
    for matching in (RecordFilter(key_hashes=(KEY, "none")), RecordFilter(user_id="ada"), RecordFilter()):
        span = msgspec.structs.replace(matching, started_from=NOON + 1, started_before=NOON + 4)
        assert await spend.count_calls(span) == 2


async def test_the_last_call_of_each_key_is_found(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    late = make_record(NOON + 9, key_hash="b")
    await store.insert([make_record(NOON), late, make_record(NOON + 20, key_hash="b", kind="adjustment")])
    assert await spend.last_calls([KEY, "b", "c"]) == {KEY: NOON + 250_000, "b": late.ended_at}
    assert await spend.last_calls([]) == {}


async def test_customers_of_a_key_are_ranked(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    await store.insert([make_record(NOON + n, end_user="ab"[n % 2], cost_nanos=n) for n in range(4)])
    await store.insert([make_record(NOON + 9), make_record(NOON + 10, key_hash="other", end_user="c")])
    ranked = await spend.rank_end_users(RecordFilter(key_hashes=(KEY,)), limit=5)
    assert ranked == ([("b", 2, 4), ("a", 2, 2)], True)


async def test_entities_are_listed_by_name(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    assert await spend.list_entities("tag", limit=9) == []
    await store.insert([make_record(NOON, tags=("b", "a")), make_record(NOON + DAY, tags=("c", "a"))])
    assert await spend.list_entities("tag", limit=9) == ["a", "b", "c"]
    assert await spend.list_entities("tag", limit=2) == ["a", "b"]


async def test_sums_are_grouped_filtered_and_dearest_come_first(store: SqlLedgerStore, spend: SqlSpendReader) -> None:
    await store.insert(
        [
            make_record(NOON - DAY, model_group="small", cost_nanos=1, usage=Usage(input_tokens=5)),
            make_record(NOON, model_group="small", cost_nanos=2, is_success=False),
            make_record(NOON, model_group="large", cost_nanos=40, usage=Usage(output_tokens=7)),
            make_record(NOON, user_id="bob", model_group="large", cost_nanos=500),
        ]
    )
    days = Days(date(2025, 12, 31), date(2026, 1, 1))
    of_ada = await spend.sum_usage(days, "user", ["ada"], by=["day", "model_group"])
    assert sorted((*found.group, found.spend_nanos, found.calls, found.failures) for found in of_ada) == [
        ("2025-12-31", "small", 1, 1, 0),
        ("2026-01-01", "large", 40, 1, 0),
        ("2026-01-01", "small", 2, 1, 1),
    ]
    by_model = await spend.sum_usage(days, by=["model_group"])
    assert [(found.group, found.spend_nanos) for found in by_model] == [(("large",), 540), (("small",), 3)]
    (of_bobs_key,) = await spend.sum_usage(None, "key", [KEY], owners={"user_id": ["bob"]})
    assert of_bobs_key.spend_nanos == 500
    (of_bob,) = await spend.sum_totals(days, "key", by=["entity"], entities=[KEY], owners={"user_id": ["bob", "eve"]})
    assert (of_bob.group, of_bob.spend_nanos) == ((KEY,), 500)
    (small,) = await spend.sum_usage(None, models="small", only=["spend_nanos"])
    assert (small.spend_nanos, small.calls) == (3, 0)
    ranked = await spend.sum_totals(days, "user", limit=1)
    assert [(found.group, found.spend_nanos) for found in ranked] == [(("bob",), 500)]
    (nothing,) = await spend.sum_usage(Days(date(2030, 1, 1), date(2030, 1, 2)))
    assert nothing == SpendSum()


@pytest.mark.parametrize("cost", [2**63, -(2**63) - 1])
async def test_a_value_no_database_can_hold_is_refused_for_good_and_nothing_is_stored(
    store: SqlLedgerStore, spend: SqlSpendReader, cost: int
) -> None:
    with pytest.raises(Unstorable):
        await store.insert([make_record(), make_record(cost_nanos=cost)])
    assert await everything(spend) == []


@pytest.mark.parametrize("database", DATABASES)
async def test_a_database_that_cannot_be_reached_is_an_outage_and_comes_back(database: str, tmp_path: Path) -> None:
    missing = MissingDatabase(database, tmp_path)
    engine = open_engine(missing.url)
    store = SqlLedgerStore(engine)
    record = make_record()
    reads = SqlSpendReader(engine).list_records(RecordFilter(), limit=1)
    for attempt in (store.insert([record]), store.window_sums(record.charges), reads):
        with pytest.raises(StoreUnavailable) as raised:
            await attempt
        assert (b"retry-after", b"5") in raised.value.headers
        assert "/" not in raised.value.message
    await missing.appear()
    assert await store.insert([record]) == 1
    await engine.dispose()


ANCHORS = [
    (
        RecordFilter(any_id="01a20bcc-258d-7989-8720-957a1ed53d6d"),
        ["ix_ledger_call_id", "ix_ledger_response_id", "sqlite_autoindex_ledger_1"],
    ),
    (RecordFilter(any_id="x"), ["ix_ledger_call_id", "ix_ledger_response_id"]),
    (RecordFilter(key_hashes=("x",)), ["ix_ledger_key_hash_started_at"]),
    (RecordFilter(key_hashes=("x", "y")), ["ix_ledger_key_hash_started_at"]),
    (RecordFilter(user_id="x"), ["ix_ledger_user_id_started_at"]),
    (RecordFilter(team_id="x"), ["ix_ledger_team_id_started_at"]),
    (RecordFilter(organization_id="x"), ["ix_ledger_organization_id_started_at"]),
    (RecordFilter(end_user="x"), ["ix_ledger_end_user_started_at"]),
    (RecordFilter(session_id="x"), ["ix_ledger_session_id_started_at"]),
    (RecordFilter(is_success=False), ["ix_ledger_failures"]),
    (RecordFilter(), ["sqlite_autoindex_ledger_1"]),
]


@pytest.mark.parametrize("rest", [{}, {"model": "m"}, {"with_adjustments": False}])
@pytest.mark.parametrize("sort_by", ["started_at", "cost_nanos"])
@pytest.mark.parametrize(("anchor", "indices"), ANCHORS)
async def test_listing_reads_indices_and_not_the_whole_ledger(
    tmp_path: Path, anchor: RecordFilter, indices: list[str], rest: dict[str, Any], sort_by: RecordSort
) -> None:
    span = {} if anchor.any_id else {"started_from": 5, "started_before": 9}
    matching = msgspec.structs.replace(anchor, **span, **rest)
    queries = select_page(matching, limit=9, sort_by=sort_by)
    async with open_database("sqlite", tmp_path) as engine:
        for query in (queries.page, queries.count):
            plan = await plan_of(engine, query)
            assert all(f"INDEX {index}" in plan for index in indices), plan
            assert "SCAN ledger" not in plan


async def plan_of(engine: AsyncEngine, query: ClauseElement) -> str:
    async with reading(engine) as connection:
        compiled = query.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
        steps = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
        return " | ".join(str(step) for step in steps.scalars("detail"))


async def test_counting_and_naming_read_indices(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as engine:
        for anchor, indices in ANCHORS[2:]:
            plan = await plan_of(engine, count_in_index(msgspec.structs.replace(anchor, started_from=5)))
            assert all(f"INDEX {index}" in plan for index in indices), plan
            assert "SCAN ledger" not in plan
        for query in (select_entities("tag"), select_last_calls(["a", "b"])):
            plan = await plan_of(engine, query)
            assert "SCAN ledger" not in plan
            assert "SCAN daily_usage" not in plan, plan
