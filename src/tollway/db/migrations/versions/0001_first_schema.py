"""First schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "daily_spend",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("model_group", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("end_user", sa.Text(), nullable=False),
        sa.Column("spend_nanos", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("input_audio_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_audio_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day",
            "key_hash",
            "model_group",
            "model",
            "provider",
            "user_id",
            "team_id",
            "end_user",
            name=op.f("pk_daily_spend"),
        ),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("daily_spend", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_daily_spend_key_hash_day"), ["key_hash", "day"], unique=False)

    op.create_table(
        "deleted_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("spend_id", sa.String(length=64), nullable=False),
        sa.Column("key_name", sa.String(length=32), nullable=True),
        sa.Column("key_alias", sa.Text(), nullable=True),
        sa.Column("key_type", sa.String(length=32), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("team_id", sa.Text(), nullable=True),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("budget_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_blocked", sa.Boolean(), nullable=True),
        sa.Column("models", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("aliases", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("allowed_routes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("permissions", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("rpm_limit", sa.BigInteger(), nullable=True),
        sa.Column("tpm_limit", sa.BigInteger(), nullable=True),
        sa.Column("parallel_limit", sa.BigInteger(), nullable=True),
        sa.Column("max_budget_nanos", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget_nanos", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=32), nullable=True),
        sa.Column("metadata", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("options", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("auto_rotate", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rotation_interval", sa.String(length=32), nullable=True),
        sa.Column("rotation_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.Column("settings_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_by", sa.Text(), nullable=True),
        sa.Column("deleted_by_key", sa.String(length=64), nullable=True),
        sa.Column("changed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_keys")),
    )
    with op.batch_alter_table("deleted_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deleted_keys_deleted_at"), ["deleted_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_deleted_keys_key_hash"), ["key_hash"], unique=False)

    op.create_table(
        "ledger",
        sa.Column("started_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("first_token_at", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("response_id", sa.Text(), nullable=False),
        sa.Column("call_type", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("is_success", sa.Boolean(), nullable=False),
        sa.Column("is_stream", sa.Boolean(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("key_alias", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("end_user", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_group", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("api_base", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.BigInteger(), nullable=False),
        sa.Column("input_audio_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_audio_tokens", sa.BigInteger(), nullable=False),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("is_priced", sa.Boolean(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("client_ip", sa.Text(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("overhead_us", sa.BigInteger(), nullable=False),
        sa.Column("tags", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("charges", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("started_at", "record_id", name=op.f("pk_ledger")),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_ledger_call_id"),
            ["call_id"],
            unique=False,
            sqlite_where=sa.text("call_id <> record_id"),
            postgresql_where=sa.text("call_id <> record_id"),
        )
        batch_op.create_index(batch_op.f("ix_ledger_key_hash_started_at"), ["key_hash", "started_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_ledger_response_id"), ["response_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_ledger_user_id_started_at"),
            ["user_id", "started_at"],
            unique=False,
            sqlite_where=sa.text("user_id <> ''"),
            postgresql_where=sa.text("user_id <> ''"),
        )

    op.create_table(
        "retired_key_hashes",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("spend_id", sa.String(length=64), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("works_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_retired_key_hashes")),
    )
    with op.batch_alter_table("retired_key_hashes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_retired_key_hashes_spend_id"), ["spend_id"], unique=False)

    op.create_table(
        "spend_windows",
        sa.Column("scope_kind", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.Text(), nullable=False),
        sa.Column("window_start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("spend_nanos", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope_kind", "scope_id", "window_start", name=op.f("pk_spend_windows")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "virtual_keys",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("spend_id", sa.String(length=64), nullable=False),
        sa.Column("key_name", sa.String(length=32), nullable=True),
        sa.Column("key_alias", sa.Text(), nullable=True),
        sa.Column("key_type", sa.String(length=32), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("team_id", sa.Text(), nullable=True),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("budget_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_blocked", sa.Boolean(), nullable=True),
        sa.Column("models", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("aliases", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("allowed_routes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("permissions", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("rpm_limit", sa.BigInteger(), nullable=True),
        sa.Column("tpm_limit", sa.BigInteger(), nullable=True),
        sa.Column("parallel_limit", sa.BigInteger(), nullable=True),
        sa.Column("max_budget_nanos", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget_nanos", sa.BigInteger(), nullable=True),
        sa.Column("budget_duration", sa.String(length=32), nullable=True),
        sa.Column("metadata", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("options", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("auto_rotate", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rotation_interval", sa.String(length=32), nullable=True),
        sa.Column("rotation_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.Column("settings_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_virtual_keys")),
    )
    with op.batch_alter_table("virtual_keys", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_virtual_keys_created_at_key_hash"), ["created_at", "key_hash"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_virtual_keys_key_alias"), ["key_alias"], unique=True)
        batch_op.create_index(batch_op.f("ix_virtual_keys_organization_id"), ["organization_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_virtual_keys_spend_id"), ["spend_id"], unique=True)
        batch_op.create_index(batch_op.f("ix_virtual_keys_team_id"), ["team_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_virtual_keys_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("virtual_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_virtual_keys_user_id"))
        batch_op.drop_index(batch_op.f("ix_virtual_keys_team_id"))
        batch_op.drop_index(batch_op.f("ix_virtual_keys_spend_id"))
        batch_op.drop_index(batch_op.f("ix_virtual_keys_organization_id"))
        batch_op.drop_index(batch_op.f("ix_virtual_keys_key_alias"))
        batch_op.drop_index(batch_op.f("ix_virtual_keys_created_at_key_hash"))

    op.drop_table("virtual_keys")
    op.drop_table("spend_windows")
    with op.batch_alter_table("retired_key_hashes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_retired_key_hashes_spend_id"))

    op.drop_table("retired_key_hashes")
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_user_id_started_at"))
        batch_op.drop_index(batch_op.f("ix_ledger_response_id"))
        batch_op.drop_index(batch_op.f("ix_ledger_key_hash_started_at"))
        batch_op.drop_index(batch_op.f("ix_ledger_call_id"))

    op.drop_table("ledger")
    with op.batch_alter_table("deleted_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deleted_keys_key_hash"))
        batch_op.drop_index(batch_op.f("ix_deleted_keys_deleted_at"))

    op.drop_table("deleted_keys")
    with op.batch_alter_table("daily_spend", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_daily_spend_key_hash_day"))

    op.drop_table("daily_spend")
