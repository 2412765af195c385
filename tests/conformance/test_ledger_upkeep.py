"""Retention and partitions: what `LedgerStore.maintain` must do, on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support import postgres
from tests.support.databases import DATABASES, MissingDatabase, empty_database
from tests.support.records import KEY, make_record

from tollway.core.errors import StoreUnavailable
from tollway.core.record import Charge
from tollway.db.engine import open_engine, reading, writing
from tollway.db.ledger import TOKEN_CLASSES, ledger, spend_windows
from tollway.db.migrate import migrate, take_back
from tollway.db.partitions import micros_of
from tollway.db.pool import PoolSettings
from tollway.ports.ledger import Retention
from tollway.ports.spend import Days, RecordFilter
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.spend import SqlSpendReader
from tollway.stores.sql.upkeep import horizon, list_partitions

DAY = 86_400_000_000
NOW = datetime(2031, 5, 17, 8, tzinfo=UTC).timestamp()
TODAY = micros_of(date(2031, 5, 17))
EVER = Days(date(1970, 1, 1), date(2100, 1, 1))


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with own_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
async def on_postgres(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with own_database("postgres", tmp_path) as engine:
        yield engine


@asynccontextmanager
async def own_database(kind: str, folder: Path) -> AsyncIterator[AsyncEngine]:
    """One that nobody uses afterwards: partitions are made in it."""
    database = MissingDatabase(kind, folder)
    await database.appear()
    engine = open_engine(database.url, pool=PoolSettings(size=5))
    try:
        yield engine
    finally:
        await engine.dispose()
        if kind == "postgres":
            postgres.databases().drop(database.url)


async def maintain_all(engine: AsyncEngine, retention: Retention | None, now: float = NOW) -> int:
    """Every step that is due; how many."""
    store, steps = SqlLedgerStore(engine), 1
    while await store.maintain(now, retention):
        steps += 1
    return steps


async def starts(engine: AsyncEngine) -> list[int]:
    records = await SqlSpendReader(engine).list_records(RecordFilter(), limit=1000)
    return sorted(record.started_at for record in records)


async def names(engine: AsyncEngine) -> list[str]:
    async with reading(engine) as connection:
        return [partition.name for partition in await list_partitions(connection)]


async def test_without_retention_every_record_stays(engine: AsyncEngine) -> None:
    await SqlLedgerStore(engine).insert([make_record(TODAY - 4000 * DAY), make_record(TODAY)])
    await maintain_all(engine, None)
    assert await starts(engine) == [TODAY - 4000 * DAY, TODAY]
    assert await horizon(engine) is None


async def test_records_whose_time_is_over_go_and_the_rest_stays(engine: AsyncEngine) -> None:
    kept = [TODAY - 40 * DAY, TODAY - 40 * DAY + 1, TODAY - 1, TODAY]
    over = [TODAY - 40 * DAY - 1, TODAY - 41 * DAY, TODAY - 100 * DAY, TODAY - 500 * DAY]
    await SqlLedgerStore(engine).insert([make_record(at) for at in kept + over])
    await maintain_all(engine, Retention(days=40))
    assert await starts(engine) == kept
    assert await horizon(engine) == TODAY - 40 * DAY


async def test_sums_go_on_counting_what_was_dropped(engine: AsyncEngine) -> None:
    store, spend = SqlLedgerStore(engine), SqlSpendReader(engine)
    await store.insert([make_record(TODAY - 90 * DAY), make_record(TODAY)])
    before = await spend.sum_usage(EVER, by=["day"]), await spend.sum_totals(EVER, "key")
    await maintain_all(engine, Retention(days=1))
    assert await starts(engine) == [TODAY]
    assert (await spend.sum_usage(EVER, by=["day"]), await spend.sum_totals(EVER, "key")) == before
    assert await spend.window_spend([Charge("api_key", KEY, 0)]) == [120_000]


async def test_one_step_deletes_no_more_than_a_batch(engine: AsyncEngine) -> None:
    await maintain_all(engine, None)
    today = [make_record(TODAY - DAY + n) for n in range(25)]
    await SqlLedgerStore(engine).insert(today)
    store, counts = SqlLedgerStore(engine), []
    while await store.maintain(NOW, Retention(days=0, batch_size=10)):
        counts.append(len(await starts(engine)))
    assert [count for count in dict.fromkeys(counts) if count < 25] == [15, 5, 0]


async def test_the_horizon_never_goes_back(engine: AsyncEngine) -> None:
    await SqlLedgerStore(engine).insert([make_record(TODAY - 9 * DAY)])
    await maintain_all(engine, Retention(days=5))
    await SqlLedgerStore(engine).insert([make_record(TODAY - 40 * DAY)])
    await maintain_all(engine, Retention(days=30))
    assert (await horizon(engine), await starts(engine)) == (TODAY - 5 * DAY, [])


async def test_records_are_inserted_and_read_while_others_are_dropped(engine: AsyncEngine) -> None:
    store = SqlLedgerStore(engine)
    await store.insert([make_record(TODAY - 50 * DAY + n) for n in range(300)])

    async def go_on() -> None:
        for n in range(30):
            await store.insert([make_record(TODAY + n)])
            await asyncio.sleep(0)

    await asyncio.gather(maintain_all(engine, Retention(days=30, batch_size=20)), go_on())
    assert await starts(engine) == [TODAY + n for n in range(30)]


async def test_an_sqlite_file_becomes_smaller(tmp_path: Path) -> None:
    async with own_database("sqlite", tmp_path) as engine:
        store, file = SqlLedgerStore(engine), Path(engine.url.database or "")
        await store.insert([make_record(TODAY - 9 * DAY + n, metadata=b'"%s"' % (b"x" * 2000)) for n in range(1000)])
        await checkpoint(engine)
        before = size_of(file)
        await maintain_all(engine, Retention(days=2, batch_size=100))
        await checkpoint(engine)
        assert before > 2_000_000
        assert size_of(file) < before / 3


def size_of(file: Path) -> int:
    return file.stat().st_size


async def checkpoint(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")


async def test_partitions_are_made_ahead_of_time(on_postgres: AsyncEngine) -> None:
    before = await names(on_postgres)
    assert await maintain_all(on_postgres, None) == 4
    assert await names(on_postgres) == [*before, "ledger_2031_05", "ledger_2031_06", "ledger_2031_07"]
    assert await maintain_all(on_postgres, None) == 1


async def test_rows_of_a_month_are_in_its_partition(on_postgres: AsyncEngine) -> None:
    await maintain_all(on_postgres, None)
    await SqlLedgerStore(on_postgres).insert([make_record(TODAY), make_record(TODAY - 4000 * DAY)])
    assert await rows_in(on_postgres, "ledger_2031_05") == 1
    assert await rows_in(on_postgres, "ledger_default") == 1


async def test_rows_that_came_before_their_partition_move_into_it(on_postgres: AsyncEngine) -> None:
    written = [make_record(TODAY + n) for n in range(3)]
    await SqlLedgerStore(on_postgres).insert([*written, make_record(TODAY - 4000 * DAY)])
    await maintain_all(on_postgres, None)
    assert await rows_in(on_postgres, "ledger_2031_05") == 3
    assert await rows_in(on_postgres, "ledger_default") == 1
    assert await SqlLedgerStore(on_postgres).insert(written) == 0


async def test_a_month_that_is_over_is_dropped_as_a_whole(on_postgres: AsyncEngine) -> None:
    await maintain_all(on_postgres, None)
    june = datetime(2031, 7, 20, tzinfo=UTC).timestamp()
    await maintain_all(on_postgres, Retention(days=18), now=june)
    assert [name for name in await names(on_postgres) if name.startswith("ledger_2031")] == [
        "ledger_2031_07",
        "ledger_2031_08",
        "ledger_2031_09",
    ]


async def test_replicas_that_come_at_once_make_each_partition_once(on_postgres: AsyncEngine) -> None:
    await asyncio.gather(*(maintain_all(on_postgres, Retention(days=30)) for _ in range(4)))
    assert (await names(on_postgres))[-3:] == ["ledger_2031_05", "ledger_2031_06", "ledger_2031_07"]


async def test_upkeep_gives_up_soon_where_somebody_reads(on_postgres: AsyncEngine) -> None:
    await maintain_all(on_postgres, None)
    later = datetime(2031, 12, 1, tzinfo=UTC).timestamp()
    async with reading(on_postgres) as connection:
        await connection.execute(select(func.count()).select_from(ledger))
        with pytest.raises(StoreUnavailable):
            await SqlLedgerStore(on_postgres).maintain(later, Retention(days=30))
    assert await SqlLedgerStore(on_postgres).maintain(later, Retention(days=30)) is True


@pytest.mark.parametrize("has_rows", [True, False])
async def test_a_ledger_of_before_becomes_a_partition(has_rows: bool, tmp_path: Path) -> None:
    url = empty_database("postgres", tmp_path)
    await migrate(url, to="0006")
    engine = open_engine(url)
    now = datetime.now(UTC)
    written = [make_record(int(now.timestamp() * 1e6) - n * 40 * DAY) for n in range(3)] if has_rows else []
    async with writing(engine) as connection:
        rows = [row_of_before(record) for record in written]
        if rows:
            await connection.execute(insert(ledger), rows)
    await migrate(url)
    assert await starts(engine) == sorted(record.started_at for record in written)
    assert await SqlLedgerStore(engine).insert(written) == 0
    partitions = await names(engine)
    assert partitions[0].startswith("ledger_before_") is has_rows
    assert await maintain_all(engine, None, now=now.timestamp()) <= 2
    await SqlLedgerStore(engine).insert([make_record(int(now.timestamp() * 1e6))])
    assert await rows_in(engine, "ledger_default") == 0
    assert len(await indices_of(engine, "ledger")) == len(await indices_of(engine, partitions[0])) == 11
    await engine.dispose()


@pytest.mark.parametrize("database", DATABASES)
async def test_windows_of_before_count_calls_alone(database: str, tmp_path: Path) -> None:
    url = empty_database(database, tmp_path)
    await migrate(url)
    engine = open_engine(url)
    charge = Charge("api_key", KEY, 0)
    kinds = ("call", "adjustment", "adjustment")
    await SqlLedgerStore(engine).insert(
        [make_record(TODAY + n, kind=kind, charges=(charge,)) for n, kind in enumerate(kinds)]
    )
    await take_back(url, to="0006")
    assert await counted(engine) == 3
    await migrate(url)
    assert await counted(engine) == 1
    await engine.dispose()


async def counted(engine: AsyncEngine) -> int:
    async with reading(engine) as connection:
        return int((await connection.execute(select(spend_windows.c.records))).scalar_one())


SINCE_THEN = frozenset({"cache_key", "is_cached", "saved_nanos", "attempts"})


def row_of_before(record: Any) -> dict[str, Any]:
    names = [name for name in record.__struct_fields__ if name != "usage" and name not in SINCE_THEN]
    values = {name: getattr(record, name) for name in names}
    usage = {name: getattr(record.usage, name) for name in (*TOKEN_CLASSES, "is_estimated")}
    return values | usage | {"tags": list(record.tags), "charges": [], "metadata": record.metadata.decode()}


async def rows_in(engine: AsyncEngine, partition: str) -> int:
    async with reading(engine) as connection:
        counted = await connection.exec_driver_sql(f'SELECT count(*) FROM ONLY "{partition}"')
        return int(counted.scalar_one())


async def indices_of(engine: AsyncEngine, table: str) -> list[str]:
    async with reading(engine) as connection:
        found = await connection.exec_driver_sql("SELECT indexname FROM pg_indexes WHERE tablename = $1", (table,))
        return list(found.scalars())


async def test_recording_and_seeding_never_read_the_ledger(engine: AsyncEngine) -> None:
    store = SqlLedgerStore(engine)
    with statements_of(engine) as sent:
        await store.insert([make_record(end_user="eve"), make_record(team_id="red")])
        await store.window_sums([Charge("api_key", KEY, 0)])
    reads = [text for text in sent if text.lstrip().upper().startswith("SELECT")]
    assert len(reads) == 1
    assert "spend_windows" in reads[0]
    assert not [text for text in sent if "FROM ledger" in text]


async def test_seeding_finds_windows_by_their_key(engine: AsyncEngine) -> None:
    with statements_of(engine) as sent:
        await SqlLedgerStore(engine).window_sums([Charge("api_key", KEY, 0)])
    (query,) = [text for text in sent if "spend_windows" in text]
    plan = await plan_of(engine, query)
    assert "pk_spend_windows" in plan or "USING PRIMARY KEY" in plan


async def plan_of(engine: AsyncEngine, query: str) -> str:
    is_postgres = engine.dialect.name == "postgresql"
    async with engine.connect() as connection:
        if is_postgres:
            await connection.exec_driver_sql("SET enable_seqscan = off")
        explain = "EXPLAIN" if is_postgres else "EXPLAIN QUERY PLAN"
        rows = await connection.exec_driver_sql(f"{explain} {query}", ("api_key", KEY, 0))
        return "\n".join(str(tuple(row)) for row in rows)


@contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[str]]:
    """Everything that is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    with closing(_Listening(engine, note)):
        yield sent


class _Listening:
    def __init__(self, engine: AsyncEngine, note: Any) -> None:
        self._engine, self._note = engine, note

    def close(self) -> None:
        event.remove(self._engine.sync_engine, "before_cursor_execute", self._note)
