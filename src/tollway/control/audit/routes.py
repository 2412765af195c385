"""`/audit`: parse, read, shape the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Query

from tollway.control.audit.repository import AuditQuery, AuditRepository, AuditRow, SortColumn
from tollway.control.audit.schemas import AuditEntry, AuditPage
from tollway.control.kit.errors import Detail
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page
from tollway.control.services import ServicesDep
from tollway.core.errors import InvalidRequest
from tollway.core.ids import hash_key
from tollway.db.engine import reading

router = resource_router("audit")

_DATE_LENGTH = len("2026-01-31")


@router.get("/audit")
async def list_changes(
    services: ServicesDep,
    *,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 10,
    changed_by: str | None = None,
    changed_by_api_key: str | None = None,
    action: str | None = None,
    table_name: str | None = None,
    object_id: str | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    sort_by: SortColumn = "updated_at",
    sort_order: Literal["asc", "desc"] = "desc",
) -> AuditPage:
    """Changes, newest first. `end_date` counts to the end of that day, or to the moment given."""
    query = AuditQuery(
        changed_by=changed_by,
        changed_by_key=_hash_of(changed_by_api_key),
        action=action,
        resource=table_name,
        object_id=_hash_of(object_id),
        changed_from=_moment("start_date", start_date),
        changed_before=_end("end_date", end_date),
    )
    wanted = Page(page, page_size)
    async with reading(services.engine) as connection:
        rows, total = await AuditRepository(connection).list_page(
            query, wanted, sort_by=sort_by, is_descending=sort_order == "desc"
        )
    return AuditPage(
        audit_logs=[_render(row) for row in rows],
        total=total,
        page=page,
        page_size=page_size,
        total_pages=wanted.pages(total),
    )


@router.get("/audit/{id}")
async def show_change(id: str, services: ServicesDep) -> AuditEntry:
    """One change."""
    async with reading(services.engine) as connection:
        row = await AuditRepository(connection).find(id)
    if row is None:
        raise Detail({"message": f"Audit log with ID {id[:100]} not found"}, status=404)
    return _render(row)


def _render(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        updated_at=row.changed_at,
        changed_by=row.changed_by,
        changed_by_api_key=row.changed_by_key,
        action=row.action,
        table_name=row.resource,
        object_id=row.object_id,
        before_value=row.before,
        updated_values=row.after,
        client_ip=row.client_ip,
        user_agent=row.user_agent,
    )


def _hash_of(name: str | None) -> str | None:
    """Keys may be named by value, and are never stored so."""
    return hash_key(name) if name is not None and name.startswith("sk-") else name


def _moment(field: str, text: str | None) -> datetime | None:
    """A date or a time; one without a zone is in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{field} must be a date like 2026-01-31, or a time like 2026-01-31T12:00:00Z.",
            param=field,
            type="bad_request_error",
        ) from None


def _end(field: str, text: str | None) -> datetime | None:
    moment = _moment(field, text)
    if moment is None or text is None:
        return None
    is_day = len(text.strip()) <= _DATE_LENGTH
    try:
        return moment + (timedelta(days=1) if is_day else timedelta(microseconds=1))
    except OverflowError:
        return moment
