"""Writes `src/tollway/db/schema.sql` from the migrations: what a new SQLite file is made from."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from tollway.db.migrate import migrate
from tollway.db.upgrade import HEAD
from tollway.db.url import sqlite_url

TARGET = Path(__file__).parent.parent / "src/tollway/db/schema.sql"


def render() -> str:
    """The statements that make an empty SQLite database what the migrations make of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schema.db"
        asyncio.run(migrate(sqlite_url(path)))
        with closing(sqlite3.connect(path)) as connection:
            # SQLite makes tables of its own, as it needs them.
            query = (
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
                "ORDER BY type DESC, name"
            )
            statements = [f"{sql};" for (sql,) in connection.execute(query)]
    revision = f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}');"
    head = "-- Made by scripts/generate_schema.py from the migrations; do not edit."
    return "\n\n".join([head, *statements, revision]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
