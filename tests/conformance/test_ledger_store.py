"""What every `LedgerStore` and `SpendReader` must do, on every database."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, empty_database, open_database
from tests.support.records import KEY, NOON, make_record, records

from tollway.core.errors import StoreUnavailable
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.db.engine import open_engine, reading
from tollway.db.upgrade import upgrade
from tollway.ports.ledger import Unstorable
from tollway.ports.spend import RecordFilter
from tollway.stores.sql.ledger import SqlLedgerStore, select_records

DAY = 86_400_000_000
EVER = (date(1970, 1, 1), date(2100, 1, 1))


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
def store(engine: AsyncEngine) -> SqlLedgerStore:
    return SqlLedgerStore(engine)


def day_of(record: Record) -> date:
    return datetime.fromtimestamp(record.started_at / 1e6, UTC).date()


@pytest.mark.parametrize("database", DATABASES)
@given(
    written=st.lists(records, min_size=1, max_size=12, unique_by=lambda record: record.record_id),
    batches=st.lists(st.lists(st.integers(0, 11), max_size=12), max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_sums_equal_the_records_however_often_and_in_whatever_batches_they_come(
    database: str, written: list[Record], batches: list[list[int]]
) -> None:
    async def check(folder: Path) -> None:
        async with open_database(database, folder) as engine:
            store = SqlLedgerStore(engine)
            seen: set[str] = set()
            for batch in [*batches, [*range(len(written))]]:
                offered = [written[index] for index in batch if index < len(written)]
                new = {record.record_id for record in offered} - seen
                assert await store.insert(offered) == len(new)
                seen |= new
            assert await everything(store) == newest_first(written)
            assert await windows_in(store, written) == windows_of(written)
            assert await days_in(store) == days_of(written)

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(check(Path(name)))


async def everything(store: SqlLedgerStore) -> list[Record]:
    return await store.list_records(RecordFilter(), limit=1000)


def newest_first(written: list[Record]) -> list[Record]:
    return sorted(written, key=attrgetter("started_at", "record_id"), reverse=True)


async def windows_in(store: SqlLedgerStore, written: list[Record]) -> dict[Charge, int]:
    known = list({charge for record in written for charge in record.charges})
    return dict(zip(known, await store.window_spend(known), strict=True))


def windows_of(written: list[Record]) -> dict[Charge, int]:
    sums: dict[Charge, int] = {}
    for record in written:
        for charge in record.charges:
            sums[charge] = sums.get(charge, 0) + record.cost_nanos
    return sums


async def days_in(store: SqlLedgerStore) -> dict[tuple[date | None, str], list[int]]:
    sums = await store.sum_by_day(*EVER, by=["key_hash"])
    return {
        (found.day, found.group[0]): [found.spend_nanos, found.calls, found.failures, found.usage.total_tokens]
        for found in sums
    }


def days_of(written: list[Record]) -> dict[tuple[date | None, str], list[int]]:
    sums: dict[tuple[date | None, str], Counter[int]] = {}
    for record in written:
        if record.kind != "adjustment":
            values = (record.cost_nanos, 1, not record.is_success, record.usage.total_tokens)
            total = sums.setdefault((day_of(record), record.key_hash), Counter())
            for place, value in enumerate(values):
                total[place] += value
    return {key: [total[place] for place in range(4)] for key, total in sums.items()}


@given(record=records)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("database", DATABASES)
def test_every_field_of_a_record_comes_back_as_it_was(database: str, record: Record) -> None:
    async def check(folder: Path) -> None:
        async with open_database(database, folder) as engine:
            store = SqlLedgerStore(engine)
            await store.insert([record])
            assert await everything(store) == [record]

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
    assert await store.window_spend([Charge("api_key", KEY, 0)]) == [20 * 60_000]


async def test_an_unknown_window_has_spent_nothing(store: SqlLedgerStore) -> None:
    assert await store.window_spend([]) == []
    await store.insert([make_record()])
    assert await store.window_spend([Charge("team", "x", 0), Charge("api_key", KEY, 0), Charge("api_key", KEY, 1)]) == [
        0,
        60_000,
        0,
    ]


async def test_records_are_listed_newest_first_in_pages(store: SqlLedgerStore) -> None:
    written = [make_record(NOON + second) for second in range(5)]
    await store.insert(written)
    newest = written[::-1]
    assert await store.list_records(RecordFilter(), limit=2) == newest[:2]
    assert await store.list_records(RecordFilter(), limit=2, offset=2) == newest[2:4]
    assert await store.count_records(RecordFilter()) == 5


@pytest.mark.parametrize(
    ("matching", "expected"),
    [
        (RecordFilter(started_from=NOON + 1), [1, 2]),
        (RecordFilter(started_before=NOON + 1), [0]),
        (RecordFilter(any_id="call-1"), [1]),
        (RecordFilter(any_id="response-2"), [2]),
        (RecordFilter(user_id="bob"), [1]),
        (RecordFilter(user_id="bob", is_success=True), []),
        (RecordFilter(is_success=False), [1]),
        (RecordFilter(kind="adjustment"), [2]),
        (RecordFilter(min_cost_nanos=2), [1, 2]),
        (RecordFilter(max_cost_nanos=2, min_cost_nanos=2), [1]),
        (RecordFilter(status_code=500), [1]),
    ],
)
async def test_a_filter_finds_what_matches_all_of_it(
    store: SqlLedgerStore, matching: RecordFilter, expected: list[int]
) -> None:
    await store.insert(
        [
            make_record(NOON, call_id="call-0", response_id="response-0", cost_nanos=1),
            make_record(NOON + 1, call_id="call-1", user_id="bob", cost_nanos=2, is_success=False, status_code=500),
            make_record(NOON + 2, response_id="response-2", kind="adjustment", cost_nanos=3),
        ]
    )
    found = await store.list_records(matching, limit=10)
    assert sorted(record.started_at - NOON for record in found) == expected
    assert await store.count_records(matching) == len(expected)


async def test_days_are_summed_by_group_and_dearest_come_first(store: SqlLedgerStore) -> None:
    await store.insert(
        [
            make_record(NOON - DAY, model_group="small", cost_nanos=1, usage=Usage(input_tokens=5)),
            make_record(NOON, model_group="small", cost_nanos=2, is_success=False),
            make_record(NOON, model_group="large", cost_nanos=40, usage=Usage(output_tokens=7)),
            make_record(NOON, user_id="bob", model_group="large", cost_nanos=500),
        ]
    )
    first, last = date(2025, 12, 31), date(2026, 1, 1)
    by_day = await store.sum_by_day(first, last, by=["model_group"], where={"user_id": "ada"})
    assert [(found.day, found.group, found.spend_nanos, found.calls, found.failures) for found in by_day] == [
        (first, ("small",), 1, 1, 0),
        (last, ("large",), 40, 1, 0),
        (last, ("small",), 2, 1, 1),
    ]
    by_model = await store.sum_by(first, last, by=["model_group"])
    assert [(found.group, found.spend_nanos) for found in by_model] == [(("large",), 540), (("small",), 3)]
    assert (await store.total(first, first)).usage == Usage(input_tokens=5)
    assert (await store.total(*EVER)).spend_nanos == 543
    assert (await store.total(date(2030, 1, 1), date(2030, 1, 2))).calls == 0


@pytest.mark.parametrize("cost", [2**63, -(2**63) - 1])
async def test_a_value_no_database_can_hold_is_refused_for_good_and_nothing_is_stored(
    store: SqlLedgerStore, cost: int
) -> None:
    with pytest.raises(Unstorable):
        await store.insert([make_record(), make_record(cost_nanos=cost)])
    assert await everything(store) == []


@pytest.mark.parametrize("database", DATABASES)
async def test_a_database_that_cannot_be_reached_is_an_outage_and_comes_back(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "not-there-yet"
    url = empty_database(database, folder)
    engine = open_engine(url)
    store = SqlLedgerStore(engine)
    record = make_record()
    for attempt in (store.insert([record]), store.window_spend(record.charges), store.count_records(RecordFilter())):
        with pytest.raises(StoreUnavailable) as raised:
            await attempt
        assert (b"retry-after", b"5") in raised.value.headers
        assert str(tmp_path) not in raised.value.message
    folder.mkdir()
    await upgrade(url)
    assert await store.insert([record]) == 1
    await engine.dispose()


@pytest.mark.parametrize(
    ("matching", "indices"),
    [
        (
            RecordFilter(any_id="01a20bcc-258d-7989-8720-957a1ed53d6d"),
            ["ix_ledger_call_id", "ix_ledger_response_id", "sqlite_autoindex_ledger_1"],
        ),
        (RecordFilter(any_id="x"), ["ix_ledger_call_id", "ix_ledger_response_id"]),
        (RecordFilter(key_hash="x"), ["ix_ledger_key_hash_started_at"]),
        (RecordFilter(user_id="x"), ["ix_ledger_user_id_started_at"]),
        (RecordFilter(started_from=5), ["sqlite_autoindex_ledger_1"]),
    ],
)
async def test_listing_reads_indices_and_not_the_whole_ledger(
    tmp_path: Path, matching: RecordFilter, indices: list[str]
) -> None:
    listing = select_records(matching).limit(9)
    async with open_database("sqlite", tmp_path) as engine, reading(engine) as connection:
        compiled = listing.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
        plan = " ".join(str(row) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}"))
    assert all(f"USING INDEX {index}" in plan for index in indices), plan
    assert "SCAN" not in plan
    assert "SCAN" not in plan
