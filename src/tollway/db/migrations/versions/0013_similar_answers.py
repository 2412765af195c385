"""Answers that are found by meaning"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "similar_answers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("vector", sa.ARRAY(sa.REAL()).with_variant(sa.LargeBinary(), "sqlite"), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_similar_answers")),
    )
    op.create_index("ix_similar_answers_bucket_created_at", "similar_answers", ["bucket", "created_at"])
    op.create_index("ix_similar_answers_expires_at", "similar_answers", ["expires_at"])


def downgrade() -> None:
    op.drop_table("similar_answers")
