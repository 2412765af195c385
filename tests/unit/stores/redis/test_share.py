from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.principal import Scope
from tollway.stores.redis.share import Known, local_share


def scope(**limits: Any) -> Scope:
    return Scope(kind="api_key", id="k", **limits)


def test_rates_are_divided_and_none_of_them_to_nothing() -> None:
    shared = local_share(scope(rpm=100, tpm=1_001, parallel=3), 4, Known())
    assert (shared.rpm, shared.tpm, shared.parallel) == (25, 250, 1)


def test_a_limit_of_zero_stays_and_none_stays_none() -> None:
    shared = local_share(scope(rpm=0), 4, Known())
    assert (shared.rpm, shared.tpm, shared.budget_nanos, shared.max_calls) == (0, None, None, None)


def test_only_what_is_left_of_a_budget_is_divided() -> None:
    shared = local_share(scope(budget_nanos=1_000, max_calls=10), 4, Known(600, 4, elsewhere_nanos=200))
    assert (shared.budget_nanos, shared.max_calls) == (650, 5)


@pytest.mark.parametrize("nanos", [1_000, 5_000])
def test_a_spent_budget_stays_spent(nanos: int) -> None:
    assert local_share(scope(budget_nanos=1_000), 4, Known(nanos)).budget_nanos == 1_000


@given(st.integers(1, 16), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_all_shares_together_are_no_more_than_what_was_left(
    workers: int, limit: int, known: int, elsewhere: int
) -> None:
    share = local_share(scope(budget_nanos=limit), workers, Known(known, 0, elsewhere)).budget_nanos
    assert share is not None
    assert workers * (share - known) <= max(0, limit - known - elsewhere) or known >= limit
