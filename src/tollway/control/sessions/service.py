"""What can be done with sessions. Each operation is one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tollway.control.kit.context import Context, Unit, changing
from tollway.control.kit.keys import hash_of
from tollway.control.kit.pagination import Page
from tollway.control.sessions.repository import Session, SessionRepository
from tollway.core.changes import session_name
from tollway.core.errors import Conflict, Forbidden, NotFound
from tollway.core.principal import Role
from tollway.core.record import MASTER_KEY_ID
from tollway.db.engine import reading

MAX_STOPPED = 1_000
"""Stopped sessions of one key: whoever serves its calls keeps them all in memory."""

_RESOURCE = "LiteLLM_Sessions"
_LOOK_ONLY = frozenset({Role.PROXY_ADMIN_VIEWER, Role.INTERNAL_USER_VIEWER})
_MANAGERS = frozenset({Role.PROXY_ADMIN, Role.ORG_ADMIN, Role.TEAM_ADMIN})


class SessionService:
    """Sessions, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._actor = context.actor

    async def stop(self, session_id: str, key: str | None, reason: str) -> list[Session]:
        """Stops a session: its calls are refused, and those in flight are cut off.

        Raises `NotFound`, `Forbidden`, or `Conflict` for a key with too many stopped sessions.
        """
        await self._context.services.ledger.flush()
        async with changing(self._context) as unit:
            rows = SessionRepository(unit.connection)
            return [await self._stop(unit, rows, one, reason) for one in await self._to_change(rows, session_id, key)]

    async def resume(self, session_id: str, key: str | None) -> list[Session]:
        """Lets a stopped session go on. Raises `NotFound`, `Forbidden`."""
        await self._context.services.ledger.flush()
        async with changing(self._context) as unit:
            rows = SessionRepository(unit.connection)
            found = await self._to_change(rows, session_id, key)
            stopped = [one for one in found if one.stopped_at is not None]
            if not stopped:
                raise NotFound(f"Session {session_id[:100]} is not stopped.", param="session_id")
            return [await self._resume(unit, rows, one) for one in stopped]

    async def find(self, session_id: str, key: str | None) -> list[Session]:
        """The sessions of this id that the caller may see. Raises `NotFound`."""
        await self._context.services.ledger.flush()
        async with reading(self._context.services.engine) as connection:
            rows = SessionRepository(connection)
            found = await self._named(rows, session_id, key)
            seen = [one for one in found if await self._capacity(rows, one) is not None]
        seen = [one for one in seen if one.calls or one.stopped_at is not None]
        if not seen:
            raise _not_found(session_id)
        return seen

    async def list_page(self, key: str | None, page: Page) -> tuple[list[Session], bool]:
        """A page of the sessions that the caller may see, newest first; whether there are more."""
        await self._context.services.ledger.flush()
        async with reading(self._context.services.engine) as connection:
            rows = SessionRepository(connection)
            spend_id = None if key is None else await self._spend_id(rows, key)
            return await rows.list_page(self._owned(), spend_id, page)

    async def _stop(self, unit: Unit, rows: SessionRepository, session: Session, reason: str) -> Session:
        if session.stopped_at is not None:
            return session
        if await rows.count_stops(session.spend_id) >= MAX_STOPPED:
            raise Conflict(
                f"{MAX_STOPPED} sessions of this key are stopped already. Resume some, or block the key with "
                "POST /key/block."
            )
        stop = {
            "stopped_at": self._context.now,
            "stopped_by": self._actor.name,
            "reason": reason,
        }
        await rows.add_stop(session.spend_id, session.session_id, stop)
        stopped = msgspec.structs.replace(session, **stop)
        self._note(unit, "blocked", session, stopped)
        return stopped

    async def _resume(self, unit: Unit, rows: SessionRepository, session: Session) -> Session:
        capacity = await self._capacity(rows, session)
        if capacity not in _MANAGERS and session.stopped_by != self._actor.name:
            raise Forbidden(
                f"This session was stopped by {session.stopped_by}; they, an admin of its team or a proxy admin can "
                "resume it.",
                param="session_id",
            )
        await rows.remove_stop(session.spend_id, session.session_id)
        resumed = msgspec.structs.replace(session, stopped_at=None, stopped_by=None, reason=None)
        self._note(unit, "unblocked", session, resumed)
        return resumed

    def _note(self, unit: Unit, action: str, before: Session, after: Session) -> None:
        name = session_name(after.spend_id, after.session_id)
        unit.audit(action, _RESOURCE, name, before=before, after=after)
        unit.tell("session", name)

    async def _to_change(self, rows: SessionRepository, session_id: str, key: str | None) -> Sequence[Session]:
        """The sessions that a request means and its sender may change. Raises `NotFound`, `Forbidden`."""
        found = await self._named(rows, session_id, key)
        capacities = [await self._capacity(rows, one) for one in found]
        if not any(capacities):
            raise _not_found(session_id)
        theirs = [one for one, held in zip(found, capacities, strict=True) if held and held not in _LOOK_ONLY]
        if not theirs:
            raise Forbidden(f"You are not allowed to stop or resume sessions. Your role={self._actor.role}")
        return theirs

    async def _named(self, rows: SessionRepository, session_id: str, key: str | None) -> list[Session]:
        """Every session that a request can mean. With a key, one that has not called yet too."""
        if key is None:
            return await rows.find_all(session_id)
        spend_id = await self._spend_id(rows, key)
        found = await rows.find(spend_id, session_id)
        if found is None:
            found = await self._unseen(rows, spend_id, session_id)
        return [found]

    async def _unseen(self, rows: SessionRepository, spend_id: str, session_id: str) -> Session:
        owner = await rows.find_key(spend_id)
        stop = await rows.find_stop(spend_id, session_id)
        if owner is None:
            return Session(spend_id=spend_id, session_id=session_id, key_hash=spend_id, **stop)
        return Session(
            spend_id=spend_id,
            session_id=session_id,
            key_hash=owner.key_hash,
            key_alias=owner.key_alias or "",
            user_id=owner.user_id or "",
            team_id=owner.team_id or "",
            organization_id=owner.organization_id or "",
            **stop,
        )

    async def _spend_id(self, rows: SessionRepository, key: str) -> str:
        """What a key's sessions are counted under. Raises `NotFound` for a key that never was."""
        key_hash = hash_of(key)
        if key_hash == MASTER_KEY_ID:
            return MASTER_KEY_ID
        found = await rows.find_key(key_hash)
        if found is None:
            raise NotFound("There is no such key. Name it by its value or its hash.", param="key")
        return found.spend_id

    async def _capacity(self, rows: SessionRepository, session: Session) -> Role | None:
        """What the caller is to a session; None: it is not theirs."""
        actor = self._actor
        own = actor.principal.spend_id == session.spend_id
        organization_id = session.organization_id or None
        if organization_id is None and session.team_id and actor.administered_organizations:
            organization_id = await rows.organization_of(session.team_id)
        capacity = actor.capacity_over(
            user_id=session.user_id or None, team_id=session.team_id or None, organization_id=organization_id
        )
        return capacity or (actor.role if own else None)

    def _owned(self) -> list[tuple[str, str]] | None:
        """Whose sessions the caller may see: columns and values; None: everybody's."""
        actor = self._actor
        if actor.sees_everything:
            return None
        owned = [("spend_id", actor.principal.spend_id)]
        if actor.user_id is not None:
            owned.append(("user_id", actor.user_id))
        owned += [("team_id", team_id) for team_id in sorted(actor.administered_teams)]
        return owned + [("organization_id", one) for one in sorted(actor.administered_organizations)]


def _not_found(session_id: str) -> NotFound:
    return NotFound(
        f"Session {session_id[:100]} has made no call that you may see. Name its key to stop one that has not begun.",
        param="session_id",
    )
