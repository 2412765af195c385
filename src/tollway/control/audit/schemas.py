"""Bodies of `/audit`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tollway.control.kit.wire import WireModel


class AuditEntry(WireModel):
    """One change. Secrets in `before_value` and `updated_values` are masked."""

    id: str
    updated_at: datetime
    changed_by: str | None
    changed_by_api_key: str | None
    action: str
    table_name: str
    object_id: str
    before_value: dict[str, Any] | None
    updated_values: dict[str, Any] | None
    client_ip: str | None
    user_agent: str | None


class AuditPage(WireModel):
    """`GET /audit`."""

    audit_logs: list[AuditEntry]
    total: int
    page: int
    page_size: int
    total_pages: int
