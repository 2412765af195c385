"""Columns that many tables of the management plane have alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, String, Text

from tollway.db.metadata import JsonDocument, Nanos, Timestamp


def limit_columns() -> list[Column[Any]]:
    """How much? NULL: no limit."""
    return [
        Column("rpm_limit", BigInteger),
        Column("tpm_limit", BigInteger),
        Column("parallel_limit", BigInteger),
        Column("max_budget_nanos", Nanos),
        Column("soft_budget_nanos", Nanos),
        Column("budget_duration", String(32)),
    ]


def document(name: str) -> Column[Any]:
    """A JSON value that is always there."""
    return Column(name, JsonDocument, nullable=False)


def options_column() -> Column[Any]:
    """Fields of the wire contract that nothing queries by, under their names there; absent: no value."""
    return document("options")


def history_columns() -> list[Column[Any]]:
    """Who made it and who touched it last."""
    return [
        Column("created_at", Timestamp, nullable=False),
        Column("created_by", Text),
        Column("updated_at", Timestamp, nullable=False),
        Column("updated_by", Text),
    ]
