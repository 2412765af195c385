"""Access groups: named sets of models that teams and keys are given, and the budgets of such sets."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from tollway.db.entity import document, history_columns
from tollway.db.metadata import metadata

access_groups = Table(
    "access_groups",
    metadata,
    Column("access_group_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text),
    document("models"),
    document("mcp_server_ids"),
    document("agent_ids"),
    *history_columns(),
)
Index(None, access_groups.c.name, unique=True)

access_group_members = Table(
    "access_group_members",
    metadata,
    Column("access_group_id", Text, primary_key=True),
    Column("member_kind", String(16), primary_key=True),  # `team` or `key`; a key's id is its `spend_id`
    Column("member_id", Text, primary_key=True),
)
Index(None, access_group_members.c.member_kind, access_group_members.c.member_id)

model_access_group_budgets = Table(
    "model_access_group_budgets",
    metadata,
    Column("name", Text, primary_key=True),  # as in `model_info.access_groups` of deployments
    Column("budget_id", Text, nullable=False),
    *history_columns(),
)
