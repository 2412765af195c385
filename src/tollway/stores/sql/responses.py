"""`AnswerTable` on SQL.

On Postgres, whoever touches several rows locks them in the order of their digests, or leaves out those that somebody
else has locked: so nobody waits for another in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from tollway.db.cached_answers import cached_answers
from tollway.db.engine import is_postgres, reading, writing
from tollway.ports.responses import AnswerTable, SealedAnswer

_columns = cached_answers.c
_DELETED_AT_ONCE = 1000
_TRIM_LOCK = 0x746F6C6C_77617904
"""The advisory lock of those who delete what is too much on Postgres."""


class SqlAnswerTable(AnswerTable):
    """Answers in the table `cached_answers`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        insert = (postgresql if is_postgres(engine) else sqlite).insert(cached_answers)
        replaced = {name: insert.excluded[name] for name in ("expires_at", "size", "content")}
        self._write = insert.on_conflict_do_update(index_elements=[_columns.digest], set_=replaced)

    @override
    async def find(self, digests: Sequence[bytes], *, now: int) -> Mapping[bytes, bytes]:
        query = select(_columns.digest, _columns.content).where(_columns.digest.in_(digests), _columns.expires_at > now)
        async with reading(self._engine) as connection:
            return {row.digest: row.content for row in await connection.execute(query)}

    @override
    async def write(self, answers: Sequence[SealedAnswer]) -> None:
        rows = [
            {"digest": one.digest, "expires_at": one.expires_at, "size": len(one.content), "content": one.content}
            for one in sorted(answers, key=lambda answer: answer.digest)
        ]
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(self._write, rows)

    @override
    async def delete(self, digests: Sequence[bytes]) -> int:
        wanted = select(_columns.digest).where(_columns.digest.in_(digests)).order_by(_columns.digest)
        async with writing(self._engine, takes_turns=False) as connection:
            return await _delete(connection, wanted.with_for_update())

    @override
    async def clear(self) -> None:
        some = select(_columns.digest).order_by(_columns.digest).limit(_DELETED_AT_ONCE).with_for_update()
        while True:  # in steps, so that others can write in between
            async with writing(self._engine, takes_turns=False) as connection:
                if await _delete(connection, some) < _DELETED_AT_ONCE:
                    return

    @override
    async def trim(self, max_bytes: int) -> bool:
        async with reading(self._engine) as connection:
            total = (await connection.execute(select(func.sum(_columns.size)))).scalar()
        if (total or 0) <= max_bytes:
            return False
        async with writing(self._engine, takes_turns=False) as connection:
            if is_postgres(self._engine):
                is_ours = (await connection.execute(select(func.pg_try_advisory_xact_lock(_TRIM_LOCK)))).scalar()
                if not is_ours:
                    return False
            newest_first = _columns.expires_at.desc(), _columns.digest
            so_far = func.sum(_columns.size).over(order_by=newest_first, rows=(None, 0))
            kept = select(_columns.digest, so_far.label("total")).subquery()
            too_many = select(kept.c.digest).where(kept.c.total > max_bytes).limit(_DELETED_AT_ONCE)
            free = select(_columns.digest).where(_columns.digest.in_(too_many)).with_for_update(skip_locked=True)
            return await _delete(connection, free) == _DELETED_AT_ONCE


async def drop_expired_answers(connection: AsyncConnection, now: float, size: int) -> bool:
    """Deletes at most `size` answers whose time is over; whether there were any. `now`: epoch seconds."""
    over = select(_columns.digest).where(_columns.expires_at <= int(now * 1e6)).order_by(_columns.expires_at)
    return await _delete(connection, over.limit(size).with_for_update(skip_locked=True)) > 0


async def _delete(connection: AsyncConnection, digests: Select[tuple[bytes]]) -> int:
    return (await connection.execute(delete(cached_answers).where(_columns.digest.in_(digests)))).rowcount
