from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock
from tests.support.databases import open_database
from tests.support.records import KEY, make_record

from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.accounting.segment import SegmentReader
from tollway.core.errors import Overloaded, StoreUnavailable
from tollway.core.principal import Scope
from tollway.core.record import Charge, Record
from tollway.db.engine import open_engine
from tollway.db.upgrade import upgrade
from tollway.db.url import sqlite_url
from tollway.ports.counters import Refusal, Unseeded
from tollway.ports.ledger import Retention, WindowSum
from tollway.ports.spend import RecordFilter
from tollway.stores.memory.counters import MemoryCounterStore
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.spend import SqlSpendReader

ROOT = Path(__file__).parents[3]
SCOPE = Scope(kind="api_key", id=KEY)
CHARGE = Charge("api_key", KEY, 0)


class Setup:
    """A ledger on a real journal, real counters and a real database."""

    def __init__(self, folder: Path, engine: AsyncEngine, store: SqlLedgerStore | None = None) -> None:
        self.folder = folder / "journal"
        self.database = folder / "tollway.db"
        self.clock = FakeClock()
        self.store = store or SqlLedgerStore(engine)
        self.spend = SqlSpendReader(engine)
        self.counters = MemoryCounterStore(self.clock)
        self.journal = FileJournal(self.folder, probe_interval_s=0)
        self.ledger = Ledger(self.journal, self.store, self.counters, self.clock, interval_s=0.005, batch_size=3)

    async def append(self, count: int) -> list[Record]:
        written = [make_record() for _ in range(count)]
        for record in written:
            await self.journal.append(record)
        return written

    async def stored(self) -> set[str]:
        return {record.record_id for record in await self.spend.list_records(RecordFilter(), limit=10_000)}

    def files(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database("sqlite", tmp_path) as engine:
        yield engine


@pytest.fixture
def setup(tmp_path: Path, engine: AsyncEngine) -> Setup:
    return Setup(tmp_path, engine)


def ids(written: Sequence[Record]) -> set[str]:
    return {record.record_id for record in written}


async def eventually(condition: str, holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < give_up_at, condition
        await asyncio.sleep(0.005)


async def test_after_a_flush_everything_appended_before_is_in_the_database(setup: Setup) -> None:
    written = await setup.append(10)
    assert await setup.stored() == set()
    await setup.ledger.flush()
    assert await setup.stored() == ids(written)
    assert setup.files() == []
    assert setup.journal.buffered == 0
    await setup.ledger.close()


async def test_concurrent_flushes_each_see_what_was_appended_before_them(setup: Setup) -> None:
    async def append_and_read() -> None:
        written = await setup.append(3)
        await setup.ledger.flush()
        assert ids(written) <= await setup.stored()

    await asyncio.gather(*(append_and_read() for _ in range(10)))
    assert len(await setup.stored()) == 30
    await setup.ledger.close()


async def test_a_cancelled_reader_does_not_interrupt_the_flush(setup: Setup) -> None:
    written = await setup.append(20)
    reader = asyncio.create_task(setup.ledger.flush())
    await asyncio.sleep(0.001)
    reader.cancel()
    await setup.ledger.flush()
    assert await setup.stored() == ids(written)
    await setup.ledger.close()


async def test_in_the_background_records_reach_the_database_by_themselves(setup: Setup) -> None:
    setup.ledger.start()
    await setup.append(10)
    await eventually("the segment is gone", lambda: setup.files() == [])
    assert len(await setup.stored()) == 10
    await setup.ledger.close()


async def test_closing_flushes_and_leaves_an_empty_folder(setup: Setup) -> None:
    setup.ledger.start()
    written = await setup.append(4)
    await setup.ledger.close()
    assert await setup.stored() == ids(written)
    assert setup.files() == []


async def test_a_dead_workers_records_are_replayed_once_however_often(
    setup: Setup, tmp_path: Path, engine: AsyncEngine
) -> None:
    written = await setup.append(5)
    (name,) = setup.files()
    copy = (setup.folder / name).read_bytes()
    setup.journal.close()
    for round_ in range(3):
        (setup.folder / f"{round_}-again.journal").write_bytes(copy)
        restarted = Setup(tmp_path, engine)
        assert await restarted.ledger.replay() == (2 if round_ == 0 else 1)
        await restarted.ledger.close()
    assert await setup.stored() == ids(written)
    assert await setup.store.window_sums([CHARGE]) == [WindowSum(5 * 60_000, 5)]


async def test_a_running_worker_adopts_the_journal_of_one_that_died(
    setup: Setup, tmp_path: Path, engine: AsyncEngine
) -> None:
    setup.ledger.start()
    await asyncio.sleep(0.02)
    other = Setup(tmp_path, engine)
    written = await other.append(5)
    other.journal.close()
    setup.clock.advance(11)
    await eventually("the orphan is gone", lambda: setup.files() == [])
    assert await setup.stored() == ids(written)
    await setup.ledger.close()


async def test_while_the_database_is_locked_memory_does_not_grow_and_nothing_is_lost(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tollway")
    with closing(sqlite3.connect(setup.database)) as other:
        other.execute("BEGIN IMMEDIATE")
        written = await setup.append(10)
        with pytest.raises(StoreUnavailable):
            await setup.ledger.flush()
        setup.ledger.start()
        for _ in range(5):
            written += await setup.append(200)
            with pytest.raises(StoreUnavailable):
                await setup.ledger.flush()
            assert setup.journal.buffered == 0
        assert len(setup.files()) == 2, "the one that failed and the one being written"
        other.rollback()
    await eventually("everything is stored", lambda: setup.files() == [])
    assert await setup.stored() == ids(written)
    assert await setup.store.window_sums([CHARGE]) == [WindowSum(len(written) * 60_000, len(written))]
    assert [entry.levelname for entry in caplog.records] == ["ERROR", "WARNING"]
    await setup.ledger.close()


async def test_without_a_database_at_closing_records_wait_for_the_next_start(tmp_path: Path) -> None:
    away = tmp_path / "away"
    url = sqlite_url(away / "tollway.db")
    engine = open_engine(url)
    setup = Setup(tmp_path, engine)
    setup.ledger.start()
    written = await setup.append(5)
    await setup.ledger.close()
    assert len(setup.files()) == 1

    away.mkdir()
    await upgrade(url)
    restarted = Setup(tmp_path, engine)
    assert await restarted.ledger.replay() == 1
    assert await restarted.stored() == ids(written)
    await restarted.ledger.close()
    await engine.dispose()


async def test_a_record_that_no_database_takes_is_put_aside_and_holds_nobody_up(setup: Setup) -> None:
    before = await setup.append(4)
    impossible = make_record(cost_nanos=2**63)
    await setup.journal.append(impossible)
    after = await setup.append(4)
    await setup.ledger.flush()
    assert await setup.stored() == ids(before + after)
    assert list(SegmentReader(setup.folder / "rejected.frames")) == [impossible]
    await setup.ledger.close()


class BusyStore(SqlLedgerStore):
    """Its upkeep cannot be done at first; then it takes three steps."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.looks = 0

    async def maintain(self, now: float, retention: Retention | None) -> bool:
        self.looks += 1
        if self.looks == 1:
            raise StoreUnavailable("somebody reads what it would change")
        await super().maintain(now, retention)
        return self.looks < 4


async def test_upkeep_goes_on_step_by_step_and_is_tried_again_later(tmp_path: Path, engine: AsyncEngine) -> None:
    store = BusyStore(engine)
    setup = Setup(tmp_path, engine, store)
    setup.ledger.start()
    await eventually("it was tried", lambda: store.looks == 1)
    await setup.append(4)
    await eventually("records go on", lambda: setup.files() == [])
    assert store.looks == 1
    setup.clock.advance(60)
    await eventually("all steps were done", lambda: store.looks == 4)
    await setup.append(4)
    await eventually("records go on", lambda: setup.files() == [])
    assert store.looks == 4
    setup.clock.advance(86_400)
    await eventually("it is done once more", lambda: store.looks == 5)
    await setup.ledger.close()


class SurprisingStore(SqlLedgerStore):
    """Fails once in a way nobody thought of."""

    surprises = 1

    async def insert(self, records: Sequence[Record]) -> int:
        if self.surprises:
            self.surprises -= 1
            raise RuntimeError("nobody thought of this")
        return await super().insert(records)


async def test_no_error_ends_the_flushing(
    tmp_path: Path, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(tmp_path, engine, SurprisingStore(engine))
    written = await setup.append(5)
    setup.ledger.start()
    await eventually("the segment is gone", lambda: setup.files() == [])
    assert await setup.stored() == ids(written)
    assert "nobody thought of this" in caplog.text
    await setup.ledger.close()


async def test_an_adjustment_counts_at_once_and_in_the_ledger(setup: Setup) -> None:
    await setup.counters.seed(CHARGE, 100, 1)
    record = await setup.ledger.record_adjustment(CHARGE, -100, key_hash=KEY, metadata=b'{"reason":"reset"}')
    assert await setup.counters.spent(SCOPE) == 0
    await setup.ledger.flush()
    assert await setup.spend.list_records(RecordFilter(kind="adjustment"), limit=5) == [record]
    assert await setup.store.window_sums([CHARGE]) == [WindowSum(-100, 0)]
    await setup.ledger.close()


async def test_an_adjustment_that_cannot_be_recorded_does_not_count(setup: Setup) -> None:
    await setup.counters.seed(CHARGE, 100, 1)
    setup.folder.rmdir()
    with pytest.raises(Overloaded):
        await setup.ledger.record_adjustment(CHARGE, -100)
    assert await setup.counters.spent(SCOPE) == 100
    setup.folder.mkdir()
    await setup.ledger.close()


class SlowStore(SqlLedgerStore):
    """Answers with what was spent a moment ago."""

    has_read = asyncio.Event()
    may_answer = asyncio.Event()

    async def window_sums(self, charges: Sequence[Charge]) -> list[WindowSum]:
        sums = await super().window_sums(charges)
        self.has_read.set()
        await self.may_answer.wait()
        return sums


async def test_an_adjustment_made_while_a_counter_is_filled_counts_exactly_once(
    tmp_path: Path, engine: AsyncEngine
) -> None:
    store = SlowStore(engine)
    store.has_read, store.may_answer = asyncio.Event(), asyncio.Event()
    setup = Setup(tmp_path, engine, store)
    await setup.append(1)
    await setup.ledger.flush()
    filling = asyncio.create_task(setup.ledger.seed([CHARGE]))
    await store.has_read.wait()
    await setup.ledger.record_adjustment(CHARGE, 5)
    store.may_answer.set()
    await filling
    assert await setup.counters.spent(SCOPE) == 60_005
    await setup.ledger.record_adjustment(CHARGE, 7)
    await setup.ledger.seed([CHARGE])
    assert await setup.counters.spent(SCOPE) == 60_012
    await setup.ledger.close()


async def test_a_counter_is_filled_with_the_calls_that_were_made_too(setup: Setup) -> None:
    await setup.append(3)
    await setup.ledger.record_adjustment(CHARGE, -60_000)
    await setup.ledger.flush()
    await setup.ledger.seed([CHARGE])
    scope = Scope(kind="api_key", id=KEY, max_calls=4)
    assert not isinstance(await setup.counters.reserve([scope], tokens=0, cost_nanos=0), Refusal | Unseeded)
    refusal = await setup.counters.reserve([scope], tokens=0, cost_nanos=0)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.spent_nanos) == ("calls", 120_000)
    await setup.ledger.close()


async def test_a_counter_filled_before_the_last_runs_journal_is_stored_waits_for_it(
    setup: Setup, tmp_path: Path, engine: AsyncEngine
) -> None:
    await setup.append(3)
    setup.journal.close()
    restarted = Setup(tmp_path, engine)
    with closing(sqlite3.connect(setup.database)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await restarted.ledger.replay()
        with pytest.raises(StoreUnavailable):
            await restarted.ledger.seed([CHARGE])
        other.rollback()
    await restarted.ledger.seed([CHARGE])
    assert await restarted.counters.spent(SCOPE) == 3 * 60_000
    await restarted.ledger.close()


async def test_counters_idle_for_long_are_forgotten_once_their_spend_is_stored(setup: Setup) -> None:
    await setup.counters.seed(CHARGE, 5, 1)
    setup.clock.advance(601)
    setup.ledger.start()
    for _ in range(1000):
        if await setup.counters.spent(SCOPE) is None:
            break
        await asyncio.sleep(0.005)
    assert await setup.counters.spent(SCOPE) is None
    await setup.ledger.close()


ROUNDS = 6


async def test_killed_at_any_moment_the_ledger_holds_every_acknowledged_call_exactly_once(tmp_path: Path) -> None:
    moments = random.Random(7)
    acknowledged: set[str] = set()
    in_flight: set[str] = set()
    async with open_database("sqlite", tmp_path) as engine:
        for _ in range(ROUNDS):
            said = await asyncio.to_thread(run_until_killed, tmp_path, lines=moments.randrange(1, 1500))
            acknowledged |= {line[4:] for line in said if line.startswith("ack ")}
            in_flight |= {line[4:] for line in said if line.startswith("try ")}
        in_flight -= acknowledged
        assert len(in_flight) <= ROUNDS
        setup = Setup(tmp_path, engine)
        assert await setup.stored(), "records reached the database while the writers ran, not only now"
        await setup.ledger.replay()
        found = [record.record_id for record in await setup.spend.list_records(RecordFilter(), limit=100_000)]
        assert len(found) == len(set(found))
        assert acknowledged <= set(found) <= acknowledged | in_flight
        assert await setup.store.window_sums([CHARGE]) == [WindowSum(len(found) * 60_000, len(found))]
        assert setup.files() == []
        await setup.ledger.close()


def run_until_killed(folder: Path, *, lines: int) -> list[str]:
    """Starts a writer, kills it after so many lines, and gives every whole line it said."""
    command = [sys.executable, "-m", "tests.support.ledger_writer", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.readlines()
    return [line.decode().strip() for line in said if line.endswith(b"\n")]
