"""`ChangeLog` on SQL, and the note that goes into the transaction of a change."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from tollway.core.changes import Change, NumberedChange, encode_words
from tollway.db.changes import changes
from tollway.db.engine import reading, writing
from tollway.ports.changes import ChangeLog

CHANNEL = "tollway_changes:"
"""Beginning of the name that Postgres notifies under; the schema of the tables follows."""
CHANNEL_LENGTH = 50
_LONGEST_MESSAGE = 7900
"""Bytes; Postgres refuses 8,000."""


async def note_changes(
    connection: AsyncConnection, made: Sequence[Change], *, told_by: str, now_s: float
) -> list[NumberedChange]:
    """Writes down what a transaction changes; each change once. `told_by` is this process, `now_s` epoch seconds.

    On Postgres those who listen hear of it with the commit, not before, and even if this process ends there.
    """
    once = list(dict.fromkeys(made))
    if not once:
        return []
    rows = [
        {"kind": change.kind, "object_id": change.id, "told_by": told_by, "changed_at": int(now_s * 1e6)}
        for change in once
    ]
    noting = insert(changes).returning(changes.c.number, sort_by_parameter_order=True)
    numbers = (await connection.execute(noting, rows)).scalars().all()
    noted = [NumberedChange(number, change) for number, change in zip(numbers, once, strict=True)]
    if connection.dialect.name == "postgresql":
        channel = func.left(func.concat(CHANNEL, func.current_schema()), CHANNEL_LENGTH)
        for message in encode_words(told_by, noted, most_bytes=_LONGEST_MESSAGE):
            await connection.execute(select(func.pg_notify(channel, message.decode())))
    return noted


class SqlChangeLog(ChangeLog):
    """Changes in the table of that name."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @override
    async def latest(self) -> int:
        async with reading(self._engine) as connection:
            return (await connection.execute(select(func.max(changes.c.number)))).scalar() or 0

    @override
    async def since(self, number: int, *, besides: str, limit: int) -> list[NumberedChange]:
        query = (
            select(changes.c.number, changes.c.kind, changes.c.object_id)
            .where(changes.c.number > number, changes.c.told_by != besides)
            .order_by(changes.c.number)
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            return [
                NumberedChange(row.number, Change(row.kind, row.object_id)) for row in await connection.execute(query)
            ]

    @override
    async def forget(self, *, before_s: float) -> None:
        newest = select(func.max(changes.c.number)).scalar_subquery()
        old = delete(changes).where(changes.c.changed_at < int(before_s * 1e6), changes.c.number < newest)
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(old)
