"""Settings that were changed over the API. Secrets in them are sealed with the salt key."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from tollway.db.entity import document, history_columns
from tollway.db.metadata import metadata

settings = Table(
    "settings",
    metadata,
    # A row per setting, so that versions that know different ones share the table, and changes do not meet.
    Column("section", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    document("value"),
    *history_columns(),
)
