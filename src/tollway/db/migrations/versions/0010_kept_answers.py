"""Records say whether an answer was a kept one, what that saved, and which attempts failed before

Records of the version before have none of it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS: tuple[sa.Column[Any], ...] = (
    sa.Column("cache_key", sa.Text(), nullable=False, server_default=sa.text("''")),
    sa.Column("is_cached", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    sa.Column("saved_nanos", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    sa.Column("attempts", sa.Text(), nullable=False, server_default=sa.text("''")),
)


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("ledger", column.copy())


def downgrade() -> None:
    for column in COLUMNS:
        op.drop_column("ledger", column.name)
