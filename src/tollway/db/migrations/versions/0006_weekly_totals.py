"""Totals by week of the dimensions that have many entities

Computed from the totals by day: some seconds for each million of them.
"""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DIMENSIONS = ("key", "end_user")
KEY = ("dimension", "day", "entity", "user_id", "team_id", "organization_id", "project_id")
SUMS = (
    *("spend_nanos", "calls", "failures", "rate_limited", "input_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "output_tokens", "response_ms", "timed_calls"),
)

totals = sa.table("daily_totals", *(sa.column(name) for name in (*KEY, *SUMS)))


def upgrade() -> None:
    for dimension in DIMENSIONS:
        for monday in _mondays(dimension):
            _add_week(dimension, monday)


def downgrade() -> None:
    op.execute(sa.delete(totals).where(totals.c.dimension.in_([f"{dimension}/week" for dimension in DIMENSIONS])))


def _mondays(dimension: str) -> list[date]:
    days = op.get_bind().execute(sa.select(totals.c.day).where(totals.c.dimension == dimension).distinct())
    known = {date.fromisoformat(day) for (day,) in days}
    return sorted({day - timedelta(day.weekday()) for day in known})


def _add_week(dimension: str, monday: date) -> None:
    owned = [totals.c[name] for name in KEY[2:]]
    week = sa.select(
        sa.literal(f"{dimension}/week"),
        sa.literal(monday.isoformat()),
        *owned,
        *(sa.func.sum(totals.c[name]) for name in SUMS),
    ).where(
        totals.c.dimension == dimension,
        totals.c.day.between(monday.isoformat(), (monday + timedelta(6)).isoformat()),
    )
    op.execute(sa.insert(totals).from_select([*KEY, *SUMS], week.group_by(*owned)))
