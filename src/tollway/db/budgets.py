"""Budgets as objects of their own, which customers, tags, organizations, projects, members and keys can share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from tollway.db.entity import document, history_columns, limit_columns
from tollway.db.metadata import Nanos, Timestamp, metadata

budgets = Table(
    "budgets",
    metadata,
    Column("budget_id", Text, primary_key=True),
    *limit_columns(),
    Column("tpd_limit", BigInteger),
    document("model_max_budget"),
    document("allowed_models"),
    Column("temp_budget_increase_nanos", Nanos),
    Column("temp_budget_expiry", Timestamp),
    *history_columns(),
)
