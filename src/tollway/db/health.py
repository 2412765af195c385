"""What probes of deployments have found, for a while."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, Table, Text

from tollway.db.metadata import Micros, metadata

health_checks = Table(
    "health_checks",
    metadata,
    Column("health_check_id", Text, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("is_healthy", Boolean, nullable=False),
    Column("status_code", Integer, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("error_message", Text, nullable=False),
    Column("response_ms", Double, nullable=False),
    Column("checked_by", Text, nullable=False),
    Column("checked_at", Micros, nullable=False),
    Index(None, "checked_at"),
    Index(None, "model_id", "checked_at"),
)
"""One row per `core.health.Checked`. `""` where nothing failed."""
