"""Every query of `/audit`. Rows are written by `kit.context`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Column, ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.pagination import Page
from tollway.control.kit.rows import Rows
from tollway.db.audit import audit_log

SortColumn = Literal["updated_at", "changed_by", "action", "table_name", "object_id"]
_SORT_COLUMNS: dict[SortColumn, Column[Any]] = {
    "updated_at": audit_log.c.changed_at,
    "changed_by": audit_log.c.changed_by,
    "action": audit_log.c.action,
    "table_name": audit_log.c.resource,
    "object_id": audit_log.c.object_id,
}


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `audit_log`."""

    id: str
    changed_at: datetime
    changed_by: str | None = None
    changed_by_key: str | None = None
    action: str
    resource: str
    object_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    client_ip: str | None = None
    user_agent: str | None = None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes a listing shows: those that match every field given."""

    changed_by: str | None = None
    changed_by_key: str | None = None
    action: str | None = None
    resource: str | None = None
    object_id: str | None = None
    changed_from: datetime | None = None
    changed_before: datetime | None = None


class AuditRepository:
    """The audit log through one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._rows = Rows(connection, audit_log, AuditRow)

    async def find(self, id: str) -> AuditRow | None:
        """The change with this id."""
        return await self._rows.find(id)

    async def list_page(
        self, query: AuditQuery, page: Page, *, sort_by: SortColumn, is_descending: bool
    ) -> tuple[list[AuditRow], int]:
        """A page of the changes that match, and how many there are."""
        columns = (_SORT_COLUMNS[sort_by], audit_log.c.id)
        order = [column.desc() if is_descending else column.asc() for column in columns]
        return await self._rows.page(*_conditions(query), page=page, order=order)


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    columns = audit_log.c
    exact = ("changed_by", "changed_by_key", "action", "resource", "object_id")
    conditions = [columns[name] == value for name in exact if (value := getattr(query, name)) is not None]
    if query.changed_from is not None:
        conditions.append(columns.changed_at >= query.changed_from)
    if query.changed_before is not None:
        conditions.append(columns.changed_at < query.changed_before)
    return conditions
