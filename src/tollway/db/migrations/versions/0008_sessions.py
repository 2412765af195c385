"""Sessions: what the calls of each add up to, and which were stopped

The sums are computed from the ledger: of calls with a session only, which an index finds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXTS = ("key_alias", "user_id", "team_id", "organization_id")
OWNERS = ("user_id", "team_id", "organization_id")
SUMS = ("spend_nanos", "calls", "failures", "first_seen_at", "last_seen_at")

ledger = sa.table(
    "ledger",
    *(sa.column(name, sa.Text) for name in ("kind", "key_hash", "session_id", *TEXTS)),
    *(sa.column(name, sa.BigInteger) for name in ("started_at", "ended_at", "cost_nanos")),
    sa.column("is_success", sa.Boolean),
)
totals = sa.table(
    "session_totals", *(sa.column(name) for name in ("spend_id", "session_id", "key_hash", *TEXTS, *SUMS))
)
KEY_TABLES = ("virtual_keys", "retired_key_hashes", "deleted_keys")


def upgrade() -> None:
    op.create_table(
        "session_totals",
        sa.Column("spend_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("key_hash", *TEXTS)),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint("spend_id", "session_id", name=op.f("pk_session_totals")),
    )
    op.create_index(op.f("ix_session_totals_session_id"), "session_totals", ["session_id"], unique=False)
    op.create_index(op.f("ix_session_totals_last_seen_at"), "session_totals", ["last_seen_at"], unique=False)
    for name in OWNERS:
        given = sa.text(f"{name} <> ''")
        op.create_index(
            op.f(f"ix_session_totals_{name}_last_seen_at"),
            "session_totals",
            [name, "last_seen_at"],
            unique=False,
            sqlite_where=given,
            postgresql_where=given,
        )
    op.create_table(
        "stopped_sessions",
        sa.Column("spend_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("spend_id", "session_id", name=op.f("pk_stopped_sessions")),
    )
    _fill()


def downgrade() -> None:
    op.drop_table("stopped_sessions")
    for name in OWNERS:
        op.drop_index(op.f(f"ix_session_totals_{name}_last_seen_at"), table_name="session_totals")
    op.drop_index(op.f("ix_session_totals_last_seen_at"), table_name="session_totals")
    op.drop_index(op.f("ix_session_totals_session_id"), table_name="session_totals")
    op.drop_table("session_totals")


def _fill() -> None:
    keys = [sa.table(name, sa.column("key_hash"), sa.column("spend_id")) for name in KEY_TABLES]
    known = [
        sa.select(sa.func.max(key.c.spend_id)).where(key.c.key_hash == ledger.c.key_hash).scalar_subquery()
        for key in keys
    ]
    calls = (
        sa.select(ledger, sa.func.coalesce(*known, ledger.c.key_hash).label("spend_id"))
        .where(sa.text("ledger.session_id <> ''"), ledger.c.kind == "call")
        .subquery()
    )
    failure = sa.case((calls.c.is_success, 0), else_=1)
    sums = sa.select(
        calls.c.spend_id,
        calls.c.session_id,
        *(sa.func.max(calls.c[name]) for name in ("key_hash", *TEXTS)),
        sa.func.sum(calls.c.cost_nanos),
        sa.func.count(),
        sa.func.sum(failure),
        sa.func.min(calls.c.started_at),
        sa.func.max(calls.c.ended_at),
    ).group_by(calls.c.spend_id, calls.c.session_id)
    op.execute(sa.insert(totals).from_select([column.name for column in totals.c], sums))
