"""The table of answers that are found by meaning, on Postgres with the extension pgvector."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import ARRAY, REAL, ColumnElement, cast, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import UserDefinedType
from typing_extensions import override

from tollway.core.errors import InvalidRequest, StoreUnavailable
from tollway.db.engine import reading, writing
from tollway.db.similar import similar_answers
from tollway.ports.similar import Meaning

_columns = similar_answers.c
_SWEEP_LOCK = 0x746F6C6C_77617904
"""The advisory lock of the sweep: one process at a time."""
_NUMBERS_COMPARED = 1_500_000
"""Of the newest vectors in a bucket: some 40 ms of Postgres' time, however many answers there are."""
_ROW_BYTES = 300
"""Of a row, beside its answer and its vector."""


class _Vector(UserDefinedType[Any]):
    """The type of pgvector. Values go there and back as arrays, so that the driver need not know it."""

    cache_ok = True

    @override
    def get_col_spec(self, **_: Any) -> str:
        return "vector"


class SimilarRow(msgspec.Struct, frozen=True):
    """A row to be written. Times are microseconds since the epoch."""

    key: str
    bucket: str
    vector: tuple[float, ...] | None
    answer: bytes
    created_at: int
    expires_at: int


class SimilarRows:
    """Reads and writes the table. Everything raises `StoreUnavailable`; `now` is microseconds since the epoch."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        values = insert(similar_answers)
        changed = {column.name: values.excluded[column.name] for column in _columns if not column.primary_key}
        self._put = values.on_conflict_do_update(index_elements=[_columns.key], set_=changed)

    async def prepare(self) -> None:
        """Makes sure that Postgres can compare vectors: creates the extension where that is allowed."""
        if await self._has_vectors():
            return
        with suppress(DBAPIError, StoreUnavailable, InvalidRequest):  # what counts is whether it is there afterwards
            async with writing(self._engine) as connection:
                await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
        if not await self._has_vectors():
            raise StoreUnavailable(
                "Postgres cannot compare vectors: install pgvector on its server, and have an administrator of this "
                "database run `CREATE EXTENSION vector`, in a schema that the gateway's user finds."
            )

    async def get(self, key: str, now: int, *, within_s: float) -> bytes | None:
        """The answer under a key, as it was written, unless its time is over."""
        query = select(_columns.answer).where(_columns.key == key, _columns.expires_at > now)
        async with reading(self._engine, within_s=within_s) as connection:
            found: bytes | None = (await connection.execute(query)).scalar()
        return found

    async def nearest(
        self, meaning: Meaning, now: int, *, since: int, within_s: float
    ) -> tuple[str, bytes, float] | None:
        """Key, answer and cosine of the nearest in a bucket, among the newest that were made since then."""
        newest = (
            select(_columns.key, _columns.answer, _columns.vector)
            .where(_columns.bucket == meaning.bucket, _columns.expires_at > now, _columns.created_at >= since)
            .order_by(_columns.created_at.desc())
            .limit(max(1, _NUMBERS_COMPARED // len(meaning.vector)))
            .subquery()
        )
        wanted = cast(cast(list(meaning.vector), ARRAY(REAL())), _Vector())
        distance: ColumnElement[float] = cast(newest.c.vector, _Vector()).op("<=>", return_type=REAL())(wanted)
        query = select(newest.c.key, newest.c.answer, (1 - distance).label("cosine")).order_by(distance).limit(1)
        async with reading(self._engine, within_s=within_s) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else (row.key, row.answer, row.cosine)

    async def put(self, rows: Sequence[SimilarRow]) -> None:
        """Writes rows, in place of others with their keys."""
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(self._put, [msgspec.structs.asdict(row) for row in rows])

    async def delete(self, keys: Sequence[str]) -> int:
        """Deletes these; how many there were."""
        async with writing(self._engine, takes_turns=False) as connection:
            return (await connection.execute(delete(similar_answers).where(_columns.key.in_(keys)))).rowcount

    async def clear(self) -> None:
        """Deletes them all."""
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(delete(similar_answers))

    async def shrink(self, max_bytes: int) -> None:
        """Deletes the oldest beyond so many bytes, unless another process does it now."""
        row_bytes = func.pg_column_size(_columns.answer) + func.coalesce(func.pg_column_size(_columns.vector), 0)
        total = func.sum(row_bytes + _ROW_BYTES).over(order_by=(_columns.created_at.desc(), _columns.key))
        sized = select(_columns.key, total.label("total")).subquery()
        beyond = select(sized.c.key).where(sized.c.total > max_bytes)
        async with writing(self._engine, takes_turns=False) as connection:
            if (await connection.execute(select(func.pg_try_advisory_xact_lock(_SWEEP_LOCK)))).scalar():
                await connection.execute(delete(similar_answers).where(_columns.key.in_(beyond)))

    async def _has_vectors(self) -> bool:
        async with reading(self._engine) as connection:
            found = await connection.execute(select(func.to_regtype("vector").is_not(None)))
        return bool(found.scalar())


async def drop_expired_similar(connection: AsyncConnection, now: float, size: int) -> bool:
    """Deletes at most `size` answers whose time is over; whether there were any. `now`: epoch seconds."""
    over = select(_columns.key).where(_columns.expires_at <= int(now * 1e6)).order_by(_columns.expires_at).limit(size)
    return (await connection.execute(delete(similar_answers).where(_columns.key.in_(over)))).rowcount > 0
