"""Daily sums by dimension instead of one table for all questions, and what listings filter the ledger by

Nothing is lost: the sums are computed anew from the ledger. On a machine with other work that took 143 to 249 s for a
million records.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
OLD_TOKENS = (*TOKENS[:4], "input_audio_tokens", "output_tokens", "reasoning_tokens", "output_audio_tokens")
SUMS = ("spend_nanos", "calls", "failures", "rate_limited", *TOKENS, "response_ms", "timed_calls")
OWNERS = ("user_id", "team_id", "organization_id", "project_id")
MODELS = ("model_group", "model", "provider", "call_type")
USAGE_KEY = ("dimension", "entity", "day", *OWNERS, *MODELS)
TOTALS_KEY = ("dimension", "day", "entity", *OWNERS)
OLD_KEY = ("day", "key_hash", "model_group", "model", "provider", "user_id", "team_id", "end_user")
OLD_SUMS = ("spend_nanos", "calls", "failures", *OLD_TOKENS)

# Dimensions that are sums over others, and the column that names their entity: "" for one entity over all there are.
DERIVED = (
    *(("all", "key", ""), ("user", "key", "user_id"), ("team", "key", "team_id")),
    *(("organization", "key", "organization_id"), ("project", "key", "project_id")),
    *(("any_team", "team", ""), ("any_organization", "organization", ""), ("any_end_user", "end_user", "")),
)
COUNTS_NONE = ("all", "team")
"""The rest leaves out calls that have no such entity."""

RARE = (
    ("ix_ledger_failures", "is_success", "NOT is_success"),
    ("ix_ledger_adjustments", "kind", "kind = 'adjustment'"),
)
FILTERED = ("team_id", "organization_id", "end_user", "session_id")

ledger = sa.table(
    "ledger",
    *(sa.column(name, sa.Text) for name in ("record_id", "kind", "key_hash", "end_user", "model_id", *OWNERS, *MODELS)),
    *(sa.column(name, sa.BigInteger) for name in ("started_at", "ended_at", "cost_nanos", "status_code", *OLD_TOKENS)),
    sa.column("is_success", sa.Boolean),
    sa.column("tags", sa.JSON),
)

usage = sa.table("daily_usage", *(sa.column(name) for name in (*USAGE_KEY, *SUMS)))


def upgrade() -> None:
    op.add_column("ledger", sa.Column("project_id", sa.Text(), nullable=False, server_default=sa.text("''")))
    for name, key in (("daily_usage", USAGE_KEY), ("daily_totals", TOTALS_KEY)):
        op.create_table(
            name,
            *(sa.Column(column, sa.Text(), nullable=False) for column in key),
            *(sa.Column(column, sa.BigInteger(), nullable=False) for column in SUMS),
            sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
    for column in FILTERED:
        given = sa.text(f"{column} <> ''")
        op.create_index(
            op.f(f"ix_ledger_{column}_started_at"),
            "ledger",
            [column, "started_at"],
            unique=False,
            sqlite_where=given,
            postgresql_where=given,
        )
    for name, column, condition in RARE:
        rare = sa.text(condition)
        op.create_index(name, "ledger", [column, "started_at"], unique=False, sqlite_where=rare, postgresql_where=rare)
    calls = sa.select(ledger).where(ledger.c.kind != "adjustment")
    _fill("key", calls, ledger.c.key_hash)
    _fill("deployment", calls.where(ledger.c.model_id != ""), ledger.c.model_id)
    _fill("end_user", calls.where(ledger.c.end_user != ""), ledger.c.end_user)
    _fill("tag", *_tagged(calls))
    _fill("any_tag", calls.where(_length(ledger.c.tags) > 0), sa.literal(""))
    for dimension, source, column in DERIVED:
        _derive(dimension, source, column)
    _fill_totals()
    _drop_old()


def _drop_old() -> None:
    op.drop_index(op.f("ix_daily_spend_key_hash_day"), table_name="daily_spend")
    op.drop_table("daily_spend")


def _fill(dimension: str, calls: Any, entity: Any) -> None:
    owners = [ledger.c[name] if dimension == "key" else sa.literal("") for name in OWNERS]
    key = [sa.literal(dimension), entity, _day(ledger.c.started_at), *owners, *(ledger.c[name] for name in MODELS)]
    _insert(usage, USAGE_KEY, key, _counts(), calls)


def _derive(dimension: str, source: str, column: str) -> None:
    entity = usage.c[column] if column else sa.literal("")
    rows = sa.select(usage).where(usage.c.dimension == source)
    if dimension not in COUNTS_NONE:
        rows = rows.where(usage.c[column or "entity"] != "")
    no_owners = [sa.literal("")] * len(OWNERS)
    key = [sa.literal(dimension), entity, usage.c.day, *no_owners, *(usage.c[name] for name in MODELS)]
    _insert(usage, USAGE_KEY, key, [usage.c[name] for name in SUMS], rows)


def _fill_totals() -> None:
    totals = sa.table("daily_totals", *(sa.column(name) for name in (*TOTALS_KEY, *SUMS)))
    _insert(
        totals, TOTALS_KEY, [usage.c[name] for name in TOTALS_KEY], [usage.c[name] for name in SUMS], sa.select(usage)
    )


def _insert(target: Any, names: tuple[str, ...], key: list[Any], sums: list[Any], source: Any) -> None:
    groups = [value.label(f"v{place}") for place, value in enumerate(key)]
    grouped = source.with_only_columns(*groups, *(sa.func.sum(value) for value in sums), maintain_column_froms=True)
    op.execute(sa.insert(target).from_select([*names, *SUMS], grouped.group_by(*groups)))


def _tagged(calls: Any) -> tuple[Any, Any]:
    tag, again = (_each_tag(name) for name in ("tag", "again"))
    # A record counts once for a tag, however often it is named.
    first = sa.select(sa.func.min(again.c.key)).where(again.c.value == tag.c.value).correlate(ledger, tag)
    pairs = calls.select_from(sa.join(ledger, tag, sa.true()))
    return pairs.where(tag.c.key == first.scalar_subquery()), tag.c.value


def _length(tags: Any) -> Any:
    return (sa.func.jsonb_array_length if _is_postgres() else sa.func.json_array_length)(tags)


def _each_tag(name: str) -> Any:
    if _is_postgres():
        each = sa.func.jsonb_array_elements_text(ledger.c.tags)
        return each.table_valued("value", with_ordinality="key", name=name).render_derived()
    return sa.func.json_each(ledger.c.tags).table_valued("key", "value", name=name)


def _counts() -> list[Any]:
    is_timed = sa.and_(ledger.c.kind == "call", ledger.c.is_success)
    is_limited = sa.and_(sa.not_(ledger.c.is_success), ledger.c.status_code == 429)
    return [
        *(ledger.c.cost_nanos, sa.literal(1), _one_if(sa.not_(ledger.c.is_success)), _one_if(is_limited)),
        *(ledger.c[name] for name in TOKENS),
        sa.case((is_timed, (ledger.c.ended_at - ledger.c.started_at) // 1000), else_=0),
        _one_if(is_timed),
    ]


def _one_if(condition: Any) -> Any:
    return sa.case((condition, 1), else_=0)


def _day(micros: Any) -> Any:
    seconds = micros // 1_000_000
    if _is_postgres():
        return sa.func.to_char(sa.func.timezone("UTC", sa.func.to_timestamp(seconds)), "YYYY-MM-DD")
    return sa.func.strftime("%Y-%m-%d", seconds, "unixepoch")


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def downgrade() -> None:
    op.create_table(
        "daily_spend",
        *(sa.Column(column, sa.Text(), nullable=False) for column in OLD_KEY),
        *(sa.Column(column, sa.BigInteger(), nullable=False) for column in OLD_SUMS),
        sa.PrimaryKeyConstraint(*OLD_KEY, name=op.f("pk_daily_spend")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_daily_spend_key_hash_day"), "daily_spend", ["key_hash", "day"], unique=False)
    old = sa.table("daily_spend", *(sa.column(name) for name in (*OLD_KEY, *OLD_SUMS)))
    key = [_day(ledger.c.started_at).label("day"), *(ledger.c[name] for name in OLD_KEY[1:])]
    is_failure = sa.not_(ledger.c.is_success)
    sums = [ledger.c.cost_nanos, sa.literal(1), _one_if(is_failure), *(ledger.c[name] for name in OLD_TOKENS)]
    grouped = sa.select(*key, *(sa.func.sum(value) for value in sums)).where(ledger.c.kind != "adjustment")
    op.execute(sa.insert(old).from_select([*OLD_KEY, *OLD_SUMS], grouped.group_by(*key)))
    for name, _, _ in RARE:
        op.drop_index(name, table_name="ledger")
    for column in FILTERED:
        op.drop_index(op.f(f"ix_ledger_{column}_started_at"), table_name="ledger")
    op.drop_table("daily_totals")
    op.drop_table("daily_usage")
    op.drop_column("ledger", "project_id")
