"""Tags that were given a description, models or a budget. A tag merely seen in calls has no row."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from tollway.db.entity import document, history_columns
from tollway.db.metadata import metadata

tags = Table(
    "tags",
    metadata,
    Column("name", Text, primary_key=True),
    Column("description", Text),
    document("models"),
    Column("budget_id", Text),
    *history_columns(),
)
