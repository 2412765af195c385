from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from scripts import generate_schema
from sqlalchemy import Row, Table, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, empty_database, migrated_database
from tests.support.records import NOON, make_record

from tollway.core.errors import Misconfigured, StoreUnavailable
from tollway.core.usage import Usage
from tollway.db.engine import open_engine, reading
from tollway.db.ledger import daily_totals, daily_usage
from tollway.db.migrate import differences, migrate, newest_revision, take_back
from tollway.db.sessions import session_totals
from tollway.db.upgrade import current_revision, head_revision, upgrade
from tollway.db.url import sqlite_url
from tollway.ports.spend import Dimension
from tollway.stores.sql.ledger import SqlLedgerStore


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


@pytest.mark.parametrize("database", DATABASES)
async def test_the_migrations_make_the_tables_that_the_code_describes(database: str, tmp_path: Path) -> None:
    url = empty_database(database, tmp_path)
    await migrate(url)
    assert await differences(url) == []
    assert await current_revision(url) == head_revision()


@pytest.mark.parametrize("database", DATABASES)
async def test_every_migration_can_be_taken_back(database: str, tmp_path: Path) -> None:
    url = empty_database(database, tmp_path)
    await migrate(url)
    await take_back(url, to="base")
    assert await current_revision(url) is None
    await migrate(url)
    assert await differences(url) == []


@pytest.mark.parametrize("database", DATABASES)
async def test_rollups_made_from_the_ledger_are_those_kept_while_it_was_written(database: str, tmp_path: Path) -> None:
    url = empty_database(database, tmp_path)
    await migrate(url)
    engine = open_engine(url)
    await SqlLedgerStore(engine).insert(
        [
            make_record(
                NOON + number * 7 * 3_600_000_000,
                kind=("call", "call", "import", "adjustment")[number % 4],
                key_hash=f"key-{number % 3}" if number % 5 else "",
                user_id="ada" if number % 2 else "",
                team_id="red" if number % 3 else "",
                organization_id="acme" if number % 4 else "",
                end_user=f"customer-{number % 2}" if number % 3 else "",
                model_id=f"deployment-{number % 2}",
                is_success=number % 6 != 0,
                status_code=429 if number % 12 == 0 else 500 if number % 6 == 0 else 200,
                tags=("a", "a", f"b'{number % 2}") if number % 2 else (),
                usage=Usage(input_tokens=number, cache_write_1h_tokens=2, output_tokens=3),
                ended_at=NOON + number * 7 * 3_600_000_000 + number * 1_999_999,
                cost_nanos=10**number,
            )
            for number in range(18)
        ]
    )
    kept = await rows_of(engine, daily_usage), await rows_of(engine, daily_totals)
    await take_back(url, to="0002")
    async with reading(engine) as connection:
        (spent,) = await connection.execute(text("SELECT sum(spend_nanos), sum(calls) FROM daily_spend"))
    assert tuple(spent) == (sum(10**number for number in range(18) if number % 4 != 3), 14)
    await migrate(url)
    assert kept == (await rows_of(engine, daily_usage), await rows_of(engine, daily_totals))
    assert {row.dimension for row in kept[0]} == set(get_args(Dimension)) - {"project"}  # unknown until now
    await engine.dispose()


@pytest.mark.parametrize("database", DATABASES)
async def test_sums_of_sessions_made_from_the_ledger_are_those_kept_while_it_was_written(
    database: str, tmp_path: Path
) -> None:
    url = empty_database(database, tmp_path)
    await migrate(url)
    engine = open_engine(url)
    await SqlLedgerStore(engine).insert(
        [
            make_record(
                NOON + number,
                kind=("call", "call", "adjustment")[number % 3],
                session_id=f"run-{number % 2}" if number % 5 else "",
                user_id="ada",
                is_success=number % 4 != 0,
                cost_nanos=10**number,
            )
            for number in range(12)
        ]
    )
    kept = await rows_of(engine, session_totals)
    await take_back(url, to="0006")
    await migrate(url)
    assert await rows_of(engine, session_totals) == kept
    assert [(row.session_id, row.calls) for row in kept] == [("run-0", 2), ("run-1", 4)]
    await engine.dispose()


async def rows_of(engine: AsyncEngine, table: Table) -> list[Row[Any]]:
    async with reading(engine) as connection:
        return list(await connection.execute(select(table).order_by(*table.primary_key)))


def test_the_revision_known_at_start_is_alembics_newest() -> None:
    assert head_revision() == newest_revision()


def test_the_schema_of_new_files_is_what_the_migrations_make() -> None:
    assert generate_schema.TARGET.read_text() == generate_schema.render(), "run scripts/generate_schema.py"


async def test_a_new_file_gets_the_schema_and_a_current_one_is_left_alone(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new folder" / "tollway.db")
    assert await current_revision(url) is None
    assert await upgrade(url) is True
    assert stat.filemode((tmp_path / "new folder" / "tollway.db").stat().st_mode) == "-rw-------"
    assert await current_revision(url) == head_revision()
    assert await differences(url) == []
    assert await upgrade(url) is False


async def test_workers_that_start_together_make_the_schema_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "tollway.db")
    await asyncio.gather(*(upgrade(url) for _ in range(5)))
    assert await differences(url) == []


async def test_a_database_without_our_tables_is_migrated_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "tollway.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    assert await upgrade(sqlite_url(path)) is True
    assert await current_revision(sqlite_url(path)) == head_revision()
    assert {"theirs", "ledger", "virtual_keys"} <= tables(path)


async def test_a_migration_that_fails_changes_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "tollway.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE virtual_keys (id INTEGER)")
    with pytest.raises(Misconfigured, match="virtual_keys") as raised:
        await upgrade(sqlite_url(path))
    assert "tollway db upgrade" in raised.value.message
    assert tables(path) == {"virtual_keys"}


async def test_the_schema_of_a_newer_version_is_used_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tollway.db"
    await upgrade(sqlite_url(path))
    set_revision(path, "9999")
    assert await upgrade(sqlite_url(path)) is False
    assert "newer" in caplog.text


async def test_a_file_that_is_no_database_is_an_outage_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "tollway.db"
    path.write_text("not a database, whatever the name says")
    with pytest.raises(StoreUnavailable, match=str(path)):
        await upgrade(sqlite_url(path))


async def test_a_folder_that_cannot_be_made_is_an_outage_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be created"):
        await upgrade(sqlite_url(tmp_path / "file" / "tollway.db"))


def test_looking_at_the_schema_imports_neither_sqlalchemy_nor_alembic(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from tollway.db.upgrade import upgrade
assert asyncio.run(upgrade({sqlite_url(tmp_path / "x.db")!r}))
assert not {{"sqlalchemy", "alembic", "aiosqlite", "asyncpg"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_looking_at_a_postgres_schema_takes_the_driver_and_nothing_more(tmp_path: Path) -> None:
    async with migrated_database("postgres", tmp_path) as url:
        code = f"""
import asyncio, sys
from tollway.db.upgrade import upgrade
assert not asyncio.run(upgrade({url!r}))
assert not {{"sqlalchemy", "alembic", "aiosqlite"}} & set(sys.modules)
"""
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True)
