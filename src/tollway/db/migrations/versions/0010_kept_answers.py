"""Records say whether an answer was a kept one, what that saved, and which attempts failed before

Records of the version before have none of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NAMES = ("cache_key", "is_cached", "saved_nanos", "attempts")


def upgrade() -> None:
    op.add_column("ledger", sa.Column("cache_key", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("ledger", sa.Column("is_cached", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("ledger", sa.Column("saved_nanos", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("ledger", sa.Column("attempts", sa.Text(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    for name in NAMES:
        op.drop_column("ledger", name)
