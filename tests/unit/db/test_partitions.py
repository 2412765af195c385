from __future__ import annotations

from datetime import date

import pytest

from tollway.db.partitions import Partition, is_described, month_of, months_after, partition_for, partition_of

NEW_YEAR = 1_767_225_600_000_000


def test_a_month_has_a_partition_of_its_name_and_span() -> None:
    january = partition_for(date(2026, 1, 1))
    assert january == Partition(NEW_YEAR, NEW_YEAR + 31 * 86_400_000_000, "ledger_2026_01")
    assert partition_of("ledger_2026_01") == january


def test_what_was_there_before_is_everything_up_to_a_month() -> None:
    assert partition_of("ledger_before_2026_01") == Partition(0, NEW_YEAR, "ledger_before_2026_01")


@pytest.mark.parametrize("name", ["ledger", "ledger_default", "ledger_horizon", "ledger_2026_01_old", "my_2026_01"])
def test_other_tables_are_no_partitions_of_a_month(name: str) -> None:
    assert partition_of(name) is None


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("ledger", "table", True),
        ("ledger_horizon", "table", True),
        ("ledger_default", "table", False),
        ("ledger_2026_01", "table", False),
        ("ledger_before_2026_01", "table", False),
        ("ledger_default", "index", True),
        (None, "schema", True),
    ],
)
def test_partitions_are_not_described_by_code(name: str | None, kind: str, expected: bool) -> None:
    assert is_described(name, kind, {}) is expected


def test_months_follow_each_other_over_the_end_of_a_year() -> None:
    assert months_after(date(2025, 11, 1), 0) == date(2025, 11, 1)
    assert months_after(date(2025, 11, 1), 2) == date(2026, 1, 1)
    assert months_after(date(2025, 12, 1), 14) == date(2027, 2, 1)


def test_the_month_of_a_moment_is_that_of_utc() -> None:
    assert month_of(NEW_YEAR / 1e6 - 1) == date(2025, 12, 1)
    assert month_of(NEW_YEAR / 1e6) == date(2026, 1, 1)
