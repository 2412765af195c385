"""Every query of `/session/*`. Nothing commits here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, TextClause, and_, delete, func, insert, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.pagination import Page
from tollway.db.keys import deleted_keys, retired_key_hashes, virtual_keys
from tollway.db.sessions import session_totals, stopped_sessions
from tollway.db.teams import teams
from tollway.stores.sql.limited import from_row
from tollway.stores.sql.virtual_key import VirtualKey

_KEY = ("spend_id", "session_id")
_TOTALS = session_totals.c
_STOPS = stopped_sessions.c


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session of one key: what it has done, and whether it was stopped."""

    spend_id: str
    session_id: str
    key_hash: str
    key_alias: str = ""
    user_id: str = ""
    team_id: str = ""
    organization_id: str = ""
    spend_nanos: int = 0
    calls: int = 0
    failures: int = 0
    first_seen_at: int = 0
    """Epoch microseconds; 0: it has not called yet."""
    last_seen_at: int = 0
    stopped_at: datetime | None = None
    """None: it is not stopped."""
    stopped_by: str | None = None
    reason: str | None = None


class SessionRepository:
    """Sessions through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, spend_id: str, session_id: str) -> Session | None:
        """One session that has called."""
        found = await self._read(_sessions().where(_TOTALS.spend_id == spend_id, _TOTALS.session_id == session_id))
        return found[0] if found else None

    async def find_all(self, session_id: str) -> list[Session]:
        """The sessions of all keys that call themselves so, the last that called first."""
        by_time = _TOTALS.last_seen_at.desc()
        return await self._read(_sessions().where(_TOTALS.session_id == session_id).order_by(by_time))

    async def list_page(
        self, owned: Sequence[tuple[str, str]] | None, spend_id: str | None, page: Page
    ) -> tuple[list[Session], bool]:
        """The sessions of any of these owners (column and value; None: all), newest first; whether there are more.

        Each owner is a range of an index of its own. `spend_id`: of this key only.
        """
        order, wanted = (_TOTALS.last_seen_at.desc(), _TOTALS.spend_id, _TOTALS.session_id), page.offset + page.size + 1
        of_key = [] if spend_id is None else [_TOTALS.spend_id == spend_id]
        if owned is None:
            query = _sessions().where(*of_key).order_by(*order)
        else:
            parts = [
                select(_TOTALS.spend_id, _TOTALS.session_id)
                .where(*_is(name, value), *of_key)
                .order_by(_TOTALS.last_seen_at.desc())
                .limit(wanted)
                .subquery()
                for name, value in owned
            ]
            if not parts:
                return [], False
            theirs = union(*(select(part) for part in parts)).subquery()
            is_theirs = and_(*(theirs.c[name] == _TOTALS[name] for name in _KEY))
            query = _sessions(theirs, is_theirs).order_by(*order)
        found = await self._read(query.limit(page.size + 1).offset(page.offset))
        return found[: page.size], len(found) > page.size

    async def find_stop(self, spend_id: str, session_id: str) -> dict[str, Any]:
        """When, by whom and why a session was stopped; empty: it was not."""
        query = select(_STOPS.stopped_at, _STOPS.stopped_by, _STOPS.reason).where(
            _STOPS.spend_id == spend_id, _STOPS.session_id == session_id
        )
        row = (await self._connection.execute(query)).first()
        return dict(row._mapping) if row else {}

    async def count_stops(self, spend_id: str) -> int:
        """How many sessions of a key are stopped."""
        query = select(func.count()).select_from(stopped_sessions).where(_STOPS.spend_id == spend_id)
        return (await self._connection.execute(query)).scalar_one()

    async def add_stop(self, spend_id: str, session_id: str, stop: dict[str, Any]) -> None:
        """Stops a session that is not."""
        row = {"spend_id": spend_id, "session_id": session_id, **stop}
        await self._connection.execute(insert(stopped_sessions).values(row))

    async def remove_stop(self, spend_id: str, session_id: str) -> None:
        """Lets a session go on."""
        is_it = and_(_STOPS.spend_id == spend_id, _STOPS.session_id == session_id)
        await self._connection.execute(delete(stopped_sessions).where(is_it))

    async def find_key(self, key_hash: str) -> VirtualKey | None:
        """A key by this or an earlier hash, living or deleted."""
        tables = (virtual_keys, retired_key_hashes, deleted_keys)
        for table in tables:
            query = select(table.c.spend_id).where(table.c.key_hash == key_hash)
            spend_id = (await self._connection.execute(query)).scalar()
            if spend_id is not None:
                return await self._key_of(spend_id)
        return None

    async def _key_of(self, spend_id: str) -> VirtualKey | None:
        for table in (virtual_keys, deleted_keys):
            row = (await self._connection.execute(select(table).where(table.c.spend_id == spend_id).limit(1))).first()
            if row is not None:
                return from_row(VirtualKey, row)
        return None

    async def organization_of(self, team_id: str) -> str | None:
        """The organization that a team belongs to."""
        query = select(teams.c.organization_id).where(teams.c.team_id == team_id)
        organization_id: str | None = (await self._connection.execute(query)).scalar()
        return organization_id

    async def _read(self, query: Select[Any]) -> list[Session]:
        return [from_row(Session, row) for row in await self._connection.execute(query)]


def _sessions(theirs: Any = None, is_theirs: ColumnElement[bool] | None = None) -> Select[Any]:
    is_stop = and_(*(_STOPS[name] == _TOTALS[name] for name in _KEY))
    source: Any = session_totals if is_theirs is None else session_totals.join(theirs, is_theirs)
    stop = (_STOPS.stopped_at, _STOPS.stopped_by, _STOPS.reason)
    return select(session_totals, *stop).select_from(source.outerjoin(stopped_sessions, is_stop))


def _is(name: str, value: str) -> list[ColumnElement[bool] | TextClause]:
    # The second follows from the first, but the partial index wants it said.
    return [_TOTALS[name] == value, *([] if name == "spend_id" else [text(f"session_totals.{name} <> ''")])]
