"""Models that were added over the API, and the credentials they may name. Secrets are sealed with the salt key."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table, Text, false

from tollway.db.entity import document, history_columns
from tollway.db.metadata import metadata

models = Table(
    "models",
    metadata,
    Column("model_id", Text, primary_key=True),
    Column("model_name", Text, nullable=False),
    # `litellm_params` as JSON: plain values as they are, secret ones sealed, `os.environ/NAME` kept as written.
    document("params"),
    document("info"),
    Column("team_id", Text),  # private to this team; NULL: everybody's
    Column("is_blocked", Boolean, nullable=False, server_default=false()),
    *history_columns(),
)
Index(None, models.c.model_name)
Index(None, models.c.team_id)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_name", Text, primary_key=True),
    Column("display_name", Text),
    document("info"),
    document("credential_values"),  # sealed one by one
    *history_columns(),
)
