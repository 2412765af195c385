"""`ConversationStore` on SQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, delete, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from tollway.db.engine import is_postgres, reading, writing
from tollway.db.responses import stored_responses
from tollway.ports.conversations import ConversationStore, StoredResponse
from tollway.stores.sql.limited import from_row

_columns = stored_responses.c


class SqlConversationStore(ConversationStore):
    """Answers in the table `stored_responses`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        dialect = postgresql if is_postgres(engine) else sqlite
        insert: postgresql.Insert | sqlite.Insert = dialect.insert(stored_responses)
        self._add = insert.on_conflict_do_nothing(index_elements=[_columns.id])

    @override
    async def add(self, responses: Sequence[StoredResponse]) -> None:
        async with writing(self._engine, takes_turns=False) as connection:
            await connection.execute(self._add, [msgspec.structs.asdict(one) for one in responses])

    @override
    async def chain(self, id: str, owner: str | None, *, now: int, longest: int) -> list[StoredResponse]:
        mine = _usable(owner, now)
        first = select(_columns.id, _columns.previous, literal(0).label("depth")).where(_columns.id == id, *mine)
        chain = first.cte("chain", recursive=True)
        before = select(_columns.id, _columns.previous, chain.c.depth + 1)
        linked = before.join(chain, _columns.id == chain.c.previous).where(chain.c.depth < longest - 1, *mine)
        chain = chain.union_all(linked)
        query = select(stored_responses).join(chain, _columns.id == chain.c.id).order_by(chain.c.depth)
        async with reading(self._engine) as connection:
            return [from_row(StoredResponse, row) for row in await connection.execute(query)]

    @override
    async def delete(self, id: str, owner: str | None, *, now: int) -> bool:
        statement = delete(stored_responses).where(_columns.id == id, *_usable(owner, now))
        async with writing(self._engine, takes_turns=False) as connection:
            return (await connection.execute(statement)).rowcount > 0


async def drop_expired_responses(connection: AsyncConnection, now: float, size: int) -> bool:
    """Deletes at most `size` answers whose time is over; whether there were any. `now`: epoch seconds."""
    over = select(_columns.id).where(_columns.expires_at <= int(now * 1e6)).order_by(_columns.expires_at).limit(size)
    return (await connection.execute(delete(stored_responses).where(_columns.id.in_(over)))).rowcount > 0


def _usable(owner: str | None, now: int) -> list[ColumnElement[bool]]:
    mine = [] if owner is None else [_columns.owner == owner]
    return [_columns.expires_at > now, *mine]
