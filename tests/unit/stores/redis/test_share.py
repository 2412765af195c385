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
    shared = local_share(scope(rpm=100, tpm=1_001, parallel=3), 4, Known(), 0)
    assert (shared.rpm, shared.tpm, shared.parallel) == (25, 250, 1)


def test_a_limit_of_zero_stays_and_none_stays_none() -> None:
    shared = local_share(scope(rpm=0), 4, Known(), 0)
    assert (shared.rpm, shared.tpm, shared.budget_nanos, shared.max_calls) == (0, None, None, None)


def test_only_what_is_left_of_a_budget_is_divided() -> None:
    shared = local_share(scope(budget_nanos=1_000, max_calls=10), 4, Known(600, 4, elsewhere_nanos=200), 0)
    assert (shared.budget_nanos, shared.max_calls) == (650, 5)


@pytest.mark.parametrize("nanos", [1_000, 5_000])
def test_a_spent_budget_stays_spent(nanos: int) -> None:
    assert local_share(scope(budget_nanos=1_000), 4, Known(nanos), 10).budget_nanos == 1_000


@given(st.integers(1, 16), st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 500))
def test_all_workers_together_go_beyond_what_was_left_by_less_than_one_call(
    workers: int, limit: int, known: int, elsewhere: int, cost: int
) -> None:
    share = local_share(scope(budget_nanos=limit), workers, Known(known, 0, elsewhere), cost).budget_nanos
    assert share is not None
    calls = -(-max(0, share - known) // max(cost, 1)) if known < limit else 0
    assert workers * calls * cost < max(0, limit - known - elsewhere) + max(cost, 1)


def test_a_worker_that_is_alone_in_the_world_has_all_that_was_left() -> None:
    assert local_share(scope(budget_nanos=1_000), 1, Known(600), 70).budget_nanos == 1_000
