"""The ledger by month on Postgres, a place to note up to where its rows were dropped, and windows that count calls only

Existing rows stay where they are: their table becomes the partition of everything before next month. Attaching it reads
it once, to see that this is so. Nobody can insert meanwhile; gateways keep what they record in their journals.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDICES: tuple[tuple[str, list[str], str | None], ...] = (
    *(
        (f"ix_ledger_{name}_started_at", [name, "started_at"], f"{name} <> ''")
        for name in ("user_id", "team_id", "organization_id", "end_user", "session_id")
    ),
    ("ix_ledger_key_hash_started_at", ["key_hash", "started_at"], None),
    ("ix_ledger_failures", ["is_success", "started_at"], "NOT is_success"),
    ("ix_ledger_adjustments", ["kind", "started_at"], "kind = 'adjustment'"),
    ("ix_ledger_call_id", ["call_id"], "call_id <> record_id"),
    ("ix_ledger_response_id", ["response_id"], None),
)
MONTHS_AHEAD = 2

ledger = sa.table(
    "ledger", sa.column("started_at", sa.BigInteger), sa.column("kind", sa.Text), sa.column("charges", sa.JSON)
)
windows = sa.table(
    "spend_windows",
    *(sa.column(name, sa.Text) for name in ("scope_kind", "scope_id")),
    *(sa.column(name, sa.BigInteger) for name in ("window_start", "records")),
)
pg_indexes = sa.table("pg_indexes", *map(sa.column, ("schemaname", "tablename", "indexname")))


def upgrade() -> None:
    op.create_table(
        "ledger_horizon",
        sa.Column("only_row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dropped_before", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_ledger_horizon")),
    )
    _count_adjustments(-1)
    if op.get_bind().dialect.name == "postgresql":
        _partition()


def downgrade() -> None:
    _count_adjustments(1)
    if op.get_bind().dialect.name == "postgresql":
        _put_together()
    op.drop_table("ledger_horizon")


def _count_adjustments(sign: int) -> None:
    """They were among the records of a window; now these are calls alone."""
    counts: Counter[tuple[str, str, int]] = Counter()
    adjustments = sa.select(ledger.c.charges).where(ledger.c.kind == "adjustment")
    for (charges,) in op.get_bind().execute(adjustments):
        counts.update(tuple(charge) for charge in charges)
    key = (windows.c.scope_kind == sa.bindparam("kind"), windows.c.scope_id == sa.bindparam("id"))
    counted = sa.update(windows).where(*key, windows.c.window_start == sa.bindparam("start"))
    if counts:
        op.get_bind().execute(
            counted.values(records=windows.c.records + sa.bindparam("count")),
            [
                {"kind": kind, "id": scope_id, "start": start, "count": sign * count}
                for (kind, scope_id, start), count in sorted(counts.items())
            ],
        )


def _partition() -> None:
    op.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
    newest = op.get_bind().execute(sa.select(sa.func.max(ledger.c.started_at))).scalar()
    now = datetime.now(UTC).date().replace(day=1)
    first = now if newest is None else max(now, datetime.fromtimestamp(newest / 1e6, UTC).date().replace(day=1))
    ends = _months_after(first, 1)
    old = f"ledger_before_{ends:%Y_%m}"
    _rename_indices(old)
    op.rename_table("ledger", old)
    op.execute(f"CREATE TABLE ledger (LIKE {old} INCLUDING DEFAULTS) PARTITION BY RANGE (started_at)")
    _add_indices()
    op.execute("CREATE TABLE ledger_default PARTITION OF ledger DEFAULT")
    if newest is None:
        op.drop_table(old)
        ends = first
    else:
        op.execute(f"ALTER TABLE ledger ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ({_micros(ends)})")
    for number in range(MONTHS_AHEAD + 1):
        month = _months_after(ends, number)
        op.execute(
            f"CREATE TABLE ledger_{month:%Y_%m} PARTITION OF ledger "
            f"FOR VALUES FROM ({_micros(month)}) TO ({_micros(_months_after(month, 1))})"
        )


def _put_together() -> None:
    op.rename_table("ledger", "ledger_partitioned")
    op.execute("CREATE TABLE ledger (LIKE ledger_partitioned INCLUDING DEFAULTS)")
    op.execute("INSERT INTO ledger SELECT * FROM ledger_partitioned")
    op.drop_table("ledger_partitioned")
    _add_indices()


def _rename_indices(table: str) -> None:
    columns = pg_indexes.c
    of_ledger = sa.select(columns.indexname).where(
        columns.tablename == "ledger", columns.schemaname == sa.func.current_schema()
    )
    for (name,) in op.get_bind().execute(of_ledger).all():
        op.execute(f"ALTER INDEX {name} RENAME TO {name.replace('ledger', table, 1)}")


def _add_indices() -> None:
    op.create_primary_key(op.f("pk_ledger"), "ledger", ["started_at", "record_id"])
    for name, columns, condition in INDICES:
        where = None if condition is None else sa.text(condition)
        op.create_index(op.f(name), "ledger", columns, unique=False, postgresql_where=where)


def _months_after(month: date, count: int) -> date:
    years, months = divmod(month.month - 1 + count, 12)
    return date(month.year + years, months + 1, 1)


def _micros(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400_000_000
