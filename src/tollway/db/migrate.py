"""Migrations through Alembic. Imported by `tollway db` alone, never by the server: see `db.upgrade`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
from sqlalchemy.schema import CreateSchema

from tollway.db.engine import open_engine, writing
from tollway.db.partitions import is_described
from tollway.db.pool import PoolSettings
from tollway.db.tables import metadata
from tollway.db.url import postgres_url

_UPGRADE_LOCK = 0x746F6C6C_77617902
"""The advisory lock of upgrades on Postgres."""


def newest_revision() -> str:
    """The last revision there is a migration for."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def migrate(url: str, *, to: str = "head") -> None:
    """Brings the schema forward to a revision, in one transaction. Raises `StoreUnavailable`."""
    await _with_connection(url, lambda connection: command.upgrade(_config(connection), to))


async def take_back(url: str, *, to: str) -> None:
    """Brings the schema back to an earlier revision (`base`: none), in one transaction."""
    await _with_connection(url, lambda connection: command.downgrade(_config(connection), to))


async def differences(url: str) -> list[Any]:
    """What the database has otherwise than the tables in code: empty, or a migration is missing."""
    found: list[Any] = []
    await _with_connection(url, lambda connection: found.extend(_compare(connection)))
    return found


async def draft_revision(url: str, *, message: str, revision: str) -> None:
    """For developers: writes a migration from the differences, to be read and corrected by hand."""

    def draft(connection: Connection) -> None:
        command.revision(_config(connection), message=message, autogenerate=True, rev_id=revision)

    await _with_connection(url, draft)


def _compare(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True, "include_name": is_described}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


async def _with_connection(url: str, work: Callable[[Connection], object]) -> None:
    engine = open_engine(url, pool=PoolSettings(size=1, answer_timeout_s=None))  # a migration takes as long as it takes
    address = postgres_url(url)
    try:
        async with writing(engine, takes_turns=False) as connection:
            if address is not None:
                # Held until the transaction ends, by whichever replica comes first; the others find nothing to do then.
                await connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
                if address.schema is not None:
                    await connection.execute(CreateSchema(address.schema, if_not_exists=True))
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
