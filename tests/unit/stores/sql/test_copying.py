from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support import postgres
from tests.support.databases import DATABASES, open_database
from tests.support.filled import everything, fill

from tollway.core.errors import Conflict
from tollway.db.engine import open_engine, reading, writing
from tollway.db.keys import deleted_keys
from tollway.db.ledger import ledger
from tollway.db.users import users
from tollway.stores.sql import copying
from tollway.stores.sql.copying import TABLES, copy_rows, filled_tables
from tollway.stores.sql.upkeep import list_partitions

ROWS = 90


def ignore(_table: str, _copied: int, _total: int) -> None: ...


@asynccontextmanager
async def partitioned_database() -> AsyncIterator[AsyncEngine]:
    """One of Postgres that nobody uses afterwards: partitions stay in it."""
    databases = postgres.databases()
    url = databases.new_url()
    databases.create_migrated(url)
    engine = open_engine(url)
    yield engine
    await engine.dispose()
    databases.drop(url)


def opened(kind: str, folder: Path) -> AbstractAsyncContextManager[AsyncEngine]:
    return partitioned_database() if kind == "postgres" else open_database(kind, folder)


def folders(tmp_path: Path) -> Iterator[Path]:
    for number in itertools.count():
        folder = tmp_path / str(number)
        folder.mkdir()
        yield folder


@pytest.mark.parametrize("there", DATABASES)
async def test_every_row_of_every_table_comes_back_as_it_went(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_ROWS_AT_ONCE", 40)
    told: list[tuple[str, int, int]] = []
    folder = folders(tmp_path)
    async with open_database("sqlite", next(folder)) as source, opened(there, next(folder)) as target:
        await fill(source, ROWS)
        copied = await copy_rows(source, target, lambda *step: told.append(step))
        async with open_database("sqlite", next(folder)) as back:
            await copy_rows(target, back, ignore)
            assert await everything(back) == await everything(source)
            assert await filled_tables(back) == [table.name for table in TABLES]
    assert copied.rows == {table.name: 1 if table.name == "ledger_horizon" else ROWS for table in TABLES}
    assert [step for step in told if step[0] == "users"] == [("users", 40, 90), ("users", 80, 90), ("users", 90, 90)]


async def test_history_gets_partitions_of_its_months(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as source, partitioned_database() as target:
        await fill(source, ROWS)
        await copy_rows(source, target, ignore)
        async with reading(target) as connection:
            names = {one.name for one in await list_partitions(connection)}
            strays = (await connection.exec_driver_sql("SELECT count(*) FROM ledger_default")).scalar()
    assert names > {"ledger_2026_05", "ledger_2026_06", "ledger_2026_07"}
    assert strays == 0


async def test_numbers_go_on_after_those_that_were_copied(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as source, partitioned_database() as target:
        await fill(source, ROWS)
        await copy_rows(source, target, ignore)
        async with writing(target) as connection:
            one = (await connection.execute(select(deleted_keys).limit(1))).mappings().one()
            made = await connection.execute(
                insert(deleted_keys)
                .values({name: one[name] for name in one if name != "id"})
                .returning(deleted_keys.c.id)
            )
            assert made.scalar_one() == ROWS + 1


async def test_a_second_copy_brings_what_has_come_and_changed_since(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as source, partitioned_database() as target:
        await fill(source, 5)
        await copy_rows(source, target, ignore)
        async with writing(source) as connection:
            await connection.execute(update(users).values(user_alias="other"))
            one = (await connection.execute(select(ledger).limit(1))).mappings().one()
            await connection.execute(insert(ledger).values({**one, "record_id": "new"}))
        await copy_rows(source, target, ignore)
        assert await everything(target) == await everything(source)


async def test_rows_that_are_gone_from_the_source_are_told(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as source, partitioned_database() as target:
        await fill(source, 5)
        await copy_rows(source, target, ignore)
        async with writing(source) as connection:
            await connection.execute(delete(users).where(users.c.user_id.startswith("00001")))
        with pytest.raises(Conflict, match=r"users \(4 and 5\)"):
            await copy_rows(source, target, ignore)


async def test_a_row_that_another_one_stands_against_is_told(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as source, partitioned_database() as target:
        await fill(source, 2)
        await copy_rows(source, target, ignore)
        async with writing(source) as connection:
            await connection.execute(update(users).where(users.c.user_id.startswith("00001")).values(user_id="other"))
        with pytest.raises(Conflict, match=r"users: a row of the source stands against another one"):
            await copy_rows(source, target, ignore)


async def test_nul_is_made_visible_where_it_cannot_be_stored(tmp_path: Path) -> None:
    async with open_database("sqlite", tmp_path) as source, partitioned_database() as target:
        await fill(source, 2)
        async with writing(source) as connection:
            first = users.c.user_id.startswith("00001")
            await connection.execute(
                update(users).where(first).values(user_alias="a\x00b", metadata={"x\x00": ["\x00y", {"z": "\x00"}]})
            )
        copied = await copy_rows(source, target, ignore)
        async with reading(target) as connection:
            row = (await connection.execute(select(users).where(first))).mappings().one()
    assert copied.altered == 1
    assert row["user_alias"] == "a␀b"
    assert row["metadata"] == {"x␀": ["␀y", {"z": "␀"}]}
