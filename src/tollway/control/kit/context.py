"""What a management request works with: the services, who calls, and one transaction for all it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Header, Request
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.config.sealing import hidden
from tollway.config.secret import masked, protect
from tollway.control.kit.actor import Actor
from tollway.control.kit.roles import NO_ROW, Access, check_fields
from tollway.control.services import Services
from tollway.core.changes import Change, ChangeKind
from tollway.core.errors import Conflict
from tollway.core.ids import new_record_id
from tollway.core.principal import Role
from tollway.db.audit import audit_log
from tollway.db.engine import writing
from tollway.stores.sql.changes import note_changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One management request."""

    services: Services
    actor: Actor
    access: Access = NO_ROW
    """The route's row of the role matrix."""
    changed_by: str | None = None
    """On whose behalf the caller says to act (`litellm-changed-by`)."""
    client_ip: str | None = None
    user_agent: str | None = None
    now_s: float
    """Epoch seconds."""

    @property
    def now(self) -> datetime:
        """The moment of this request: the same for everything it writes."""
        return datetime.fromtimestamp(self.now_s, UTC)

    def check_fields(self, capacity: Role, sent: Mapping[str, Any]) -> None:
        """Raises `Forbidden` for a field that a caller in this capacity may not set on this route."""
        check_fields(capacity, self.access, sent)


@dataclass(slots=True)
class Unit:
    """One transaction, and what is to be said about it."""

    context: Context
    connection: AsyncConnection
    changes: list[Change] = field(default_factory=list)
    afterwards: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What follows the commit: records in the ledger, which nobody may see of something that is rolled back."""
    _entries: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, kind: ChangeKind, id: str) -> None:
        """Something was created, changed or deleted: every worker hears of it after the commit."""
        self.changes.append(Change(kind, id))

    def audit(
        self,
        action: str,
        resource: str,
        object_id: str,
        *,
        before: msgspec.Struct | Mapping[str, Any] | None = None,
        after: msgspec.Struct | Mapping[str, Any] | None = None,
    ) -> None:
        """Notes a change for the audit log: `created`, `updated`, `deleted`, `blocked`, `unblocked`, `rotated`.

        `resource` is the contract's table name, `before` and `after` what was and what is; secrets in them are masked.
        """
        context = self.context
        self._entries.append(
            {
                "id": new_record_id(int(context.now_s * 1e3)),
                "changed_at": context.now,
                "changed_by": context.changed_by or context.actor.name,
                "changed_by_key": context.actor.key_hash,
                "action": action,
                "resource": resource,
                "object_id": object_id,
                "before": _document(before),
                "after": _document(after),
                "client_ip": context.client_ip,
                "user_agent": context.user_agent,
            }
        )

    async def write_audit(self) -> None:
        """Writes what was noted, in the transaction of the changes themselves."""
        if self._entries and self.context.services.stores_audit_log:
            await self.connection.execute(insert(audit_log), self._entries)


@asynccontextmanager
async def changing(context: Context) -> AsyncIterator[Unit]:
    """A transaction for all that a request changes: committed at the end, nothing of it if the block raises."""
    try:
        async with writing(context.services.engine) as connection:
            unit = Unit(context, connection)
            yield unit
            await unit.write_audit()
            noted = await note_changes(connection, unit.changes, told_by=context.services.told_by, now_s=context.now_s)
    except IntegrityError as error:
        raise Conflict("Something of this name was made at the same moment. Look at it, and try again.") from error
    await context.services.changed(noted)
    for follow in unit.afterwards:
        await follow()


def _document(value: msgspec.Struct | Mapping[str, Any] | None) -> Any:
    return None if value is None else hidden(masked(protect(msgspec.to_builtins(value))))


async def _context(
    request: Request, litellm_changed_by: Annotated[str | None, Header(max_length=256)] = None
) -> Context:
    services: Services = request.app.state.services
    return Context(
        services=services,
        actor=request.state.actor,
        access=request.state.access,
        changed_by=litellm_changed_by,
        client_ip=request.client.host if request.client else None,
        user_agent=request.headers.get("user-agent", "")[:256] or None,
        now_s=services.clock(),
    )


async def _actor(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


ContextDep = Annotated[Context, Depends(_context)]
ActorDep = Annotated[Actor, Depends(_actor)]
"""Whoever authenticated; set by `kit.guard`."""
