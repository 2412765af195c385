"""Customers: end users of the callers."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, String, Table, Text, false

from tollway.db.entity import document, history_columns, options_column
from tollway.db.metadata import metadata

customers = Table(
    "customers",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("alias", Text),
    Column("is_blocked", Boolean, nullable=False, server_default=false()),
    Column("allowed_model_region", String(8)),
    Column("default_model", Text),
    document("models"),
    Column("budget_id", Text),
    options_column(),
    *history_columns(),
)
