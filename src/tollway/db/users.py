"""People, and the invitations that let them choose a password."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from tollway.db.entity import document, history_columns, limit_columns, options_column
from tollway.db.metadata import Timestamp, metadata

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("user_alias", Text),
    Column("user_email", Text),
    Column("email_key", Text),  # the address in lower case: two spellings are one person
    Column("user_role", String(32)),
    Column("sso_user_id", Text),
    Column("password_hash", Text),
    document("models"),
    *limit_columns(),
    document("metadata"),
    options_column(),
    *history_columns(),
)
Index(None, users.c.email_key, unique=True)
Index(None, users.c.sso_user_id, unique=True)
Index(None, users.c.created_at, users.c.user_id)

invitations = Table(
    "invitations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("is_accepted", Boolean, nullable=False),
    Column("accepted_at", Timestamp),
    Column("expires_at", Timestamp, nullable=False),
    *history_columns(),
)
Index(None, invitations.c.user_id)
