"""Customers that were merely named by somebody: they get a row of their own, and whoever has one keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.core.record import Record
from tollway.db.customers import customers


async def add_served(connection: AsyncConnection, records: Iterable[Record]) -> None:
    """Rows for the end users of these calls who have none: one statement."""
    first_seen: dict[str, int] = {}
    for record in records:
        if record.end_user and record.kind == "call" and (record.is_success or record.cost_nanos):
            first_seen.setdefault(record.end_user, record.started_at)
    await add_missing(connection, {one: datetime.fromtimestamp(at / 1e6, UTC) for one, at in first_seen.items()})


async def add_missing(connection: AsyncConnection, ids: dict[str, datetime], *, created_by: str | None = None) -> None:
    """Rows for those of these who have none, each with the moment it is made."""
    if not ids:
        return
    rows: list[dict[str, Any]] = [
        {
            "customer_id": one,
            "models": [],
            "options": {},
            "created_at": at,
            "created_by": created_by,
            "updated_at": at,
            "updated_by": created_by,
        }
        for one, at in sorted(ids.items())  # in order, so that two writers cannot deadlock each other
    ]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(dialect.insert(customers).on_conflict_do_nothing(), rows)
