"""Migrations only expand: what wrote to the schema before one goes on writing after it.

In a rolling upgrade the first new gateway upgrades the schema, and the old ones serve on it until they are replaced.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, create_engine, insert, inspect
from sqlalchemy.types import ARRAY, JSON, Boolean, DateTime, LargeBinary, String, TypeEngine
from tests.support.databases import DATABASES, empty_database

from tollway.db.engine import open_engine, writing
from tollway.db.migrate import _config, migrate
from tollway.db.partitions import is_described

OLDEST = "0003"
"""It took away a table of versions that nobody had yet; from here on the rule holds."""


def revisions() -> list[str]:
    """Oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in script.walk_revisions() if revision.revision >= OLDEST][::-1]


def is_ours(table: str) -> bool:
    """Whether gateways know it by name: partitions are parts of the ledger."""
    return table != "alembic_version" and is_described(table, "table", None)


class Schema:
    """What a database has at one revision, as it says itself."""

    def __init__(self, connection: Connection) -> None:
        self._metadata = MetaData()
        self._metadata.reflect(connection, resolve_fks=False)
        inspector = inspect(connection)
        self.tables = {table.name: table for table in self._metadata.sorted_tables if is_ours(table.name)}
        self.keys = {
            name: {tuple(index["column_names"]) for index in inspector.get_indexes(name) if index["unique"]}
            | {tuple(found["column_names"]) for found in inspector.get_unique_constraints(name)}
            | {tuple(inspector.get_pk_constraint(name)["constrained_columns"])}
            for name in self.tables
        }
        self.checks = {
            name: {found["sqltext"] for found in inspector.get_check_constraints(name)} for name in self.tables
        }
        self.references = {
            name: {tuple(found["constrained_columns"]) for found in inspector.get_foreign_keys(name)}
            for name in self.tables
        }


def narrowed(old: Schema, new: Schema) -> list[str]:
    """What a migration takes away from those who knew the schema before."""
    found = []
    for name, before in old.tables.items():
        after = new.tables.get(name)
        if after is None:
            found.append(f"table {name} is gone")
            continue
        found += [f"{name}.{column.name}: {why}" for column in before.columns if (why := _narrowed(column, after))]
        found += [
            f"{name}.{column.name} is new, and nobody before gives it a value"
            for column in after.columns
            if column.name not in before.columns and not column.nullable and column.server_default is None
        ]
        for kind in ("keys", "checks", "references"):
            if more := getattr(new, kind)[name] - getattr(old, kind)[name]:
                found.append(f"{name} has further {kind}: {more}")
    return found


def _narrowed(before: Column[Any], table: Table) -> str:
    after = table.columns.get(before.name)
    if after is None:
        return "is gone"
    if before.nullable and not after.nullable:
        return "must not be null any more"
    if before.server_default is not None and after.server_default is None:
        return "has no default any more"
    if type(before.type) is not type(after.type):
        return f"was {before.type!r} and is {after.type!r}"
    return ""


def a_row(table: Table, number: int) -> dict[str, Any]:
    """Values for every column that the table had, different for each number."""
    return {column.name: a_value(column.type, number) for column in table.columns}


def a_value(kind: TypeEngine[Any], number: int) -> object:
    match kind:
        case Boolean():
            return False
        case DateTime():
            return datetime(2026, 1, number, tzinfo=UTC)
        case JSON():
            return []
        case ARRAY():
            return [1.0]
        case LargeBinary():
            return b"x"
        case String():
            return f"x{number}"
        case _:
            return number


@pytest.mark.parametrize("database", DATABASES)
async def test_a_migration_takes_nothing_away_from_the_version_before(database: str, tmp_path: Path) -> None:
    url = empty_database(database, tmp_path)
    first, *later = revisions()
    await migrate(url, to=first)
    engine = open_engine(url)
    async with engine.connect() as connection:
        schema = await connection.run_sync(Schema)
    for number, revision in enumerate(later):
        await engine.dispose()
        await migrate(url, to=revision)
        async with engine.connect() as connection:
            newer = await connection.run_sync(Schema)
        assert narrowed(schema, newer) == [], f"migration {revision}"
        async with writing(engine) as connection:  # as the version before does it
            for table in schema.tables.values():
                await connection.execute(insert(table).values(a_row(table, number + 1)))
        schema = newer
    await engine.dispose()
    assert len(schema.tables) > 20


@pytest.mark.parametrize(
    ("after", "what"),
    [
        ("CREATE TABLE other (name TEXT)", "table kept is gone"),
        ("CREATE TABLE kept (name TEXT NOT NULL, day INTEGER DEFAULT 1)", "name: must not be null any more"),
        ("CREATE TABLE kept (name TEXT, day INTEGER)", "day: has no default any more"),
        ("CREATE TABLE kept (name TEXT)", "day: is gone"),
        ("CREATE TABLE kept (name INTEGER, day INTEGER DEFAULT 1)", "name: was TEXT() and is INTEGER()"),
        ("CREATE TABLE kept (name TEXT, day INTEGER DEFAULT 1, new TEXT NOT NULL)", "new is new, and nobody"),
        ("CREATE TABLE kept (name TEXT UNIQUE, day INTEGER DEFAULT 1)", "kept has further keys"),
        ("CREATE TABLE kept (name TEXT, day INTEGER DEFAULT 1 CHECK (day > 0))", "kept has further checks"),
        ("CREATE TABLE kept (name TEXT, day INTEGER DEFAULT 1, new TEXT NOT NULL DEFAULT '')", ""),
    ],
)
def test_what_a_migration_takes_away_is_named(after: str, what: str) -> None:
    schemas = []
    for made in ("CREATE TABLE kept (name TEXT, day INTEGER DEFAULT 1)", after):
        engine = create_engine("sqlite://")
        with engine.connect() as connection:
            connection.exec_driver_sql(made)
            schemas.append(Schema(connection))
        engine.dispose()
    found = narrowed(*schemas)
    assert len(found) == (1 if what else 0)
    assert what in "".join(found)
