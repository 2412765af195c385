"""Teams, who is in them, and the deleted ones."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, false

from tollway.db.entity import document, history_columns, limit_columns, options_column
from tollway.db.metadata import Timestamp, metadata


def _team_columns() -> list[Column[Any]]:
    return [
        Column("team_alias", Text),
        Column("organization_id", Text),
        document("models"),
        document("model_aliases"),
        Column("is_blocked", Boolean, nullable=False, server_default=false()),
        *limit_columns(),
        # Which key routes plain members may use on the team's keys.
        document("member_permissions"),
        # What a member gets who is added without a budget of their own.
        Column("member_budget_id", Text),
        document("metadata"),
        options_column(),
        *history_columns(),
    ]


teams = Table("teams", metadata, Column("team_id", Text, primary_key=True), *_team_columns())
Index(None, teams.c.organization_id)
Index(None, teams.c.team_alias)
Index(None, teams.c.created_at, teams.c.team_id)

team_members = Table(
    "team_members",
    metadata,
    Column("team_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("budget_id", Text),
    Column("created_at", Timestamp, nullable=False),
)
Index(None, team_members.c.user_id)

deleted_teams = Table(
    "deleted_teams",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("team_id", Text, nullable=False),  # not unique: an id of the caller's can be made and deleted again
    *_team_columns(),
    Column("deleted_at", Timestamp, nullable=False),
    Column("deleted_by", Text),
)
Index(None, deleted_teams.c.team_id)
