"""Keys that get new values by themselves: when, and the new value for whoever still has the old one"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

keys = sa.table("virtual_keys", sa.column("auto_rotate", sa.Boolean), sa.column("created_at"), sa.column("rotates_at"))


def upgrade() -> None:
    op.add_column("virtual_keys", sa.Column("rotates_at", sa.DateTime(timezone=True)))
    op.add_column("retired_key_hashes", sa.Column("successor", sa.Text()))
    op.create_index(
        "ix_virtual_keys_rotates_at",
        "virtual_keys",
        ["rotates_at"],
        sqlite_where=sa.text("rotates_at IS NOT NULL"),
        postgresql_where=sa.text("rotates_at IS NOT NULL"),
    )
    op.create_index(
        "ix_retired_key_hashes_works_until",
        "retired_key_hashes",
        ["works_until"],
        sqlite_where=sa.text("successor IS NOT NULL"),
        postgresql_where=sa.text("successor IS NOT NULL"),
    )
    # Looked at by the next round of the rotation, which knows how long the intervals are.
    op.execute(sa.update(keys).where(keys.c.auto_rotate).values(rotates_at=keys.c.created_at))


def downgrade() -> None:
    op.drop_index("ix_retired_key_hashes_works_until", table_name="retired_key_hashes")
    op.drop_index("ix_virtual_keys_rotates_at", table_name="virtual_keys")
    with op.batch_alter_table("retired_key_hashes") as batch_op:
        batch_op.drop_column("successor")
    with op.batch_alter_table("virtual_keys") as batch_op:
        batch_op.drop_column("rotates_at")
