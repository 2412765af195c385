from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tollway.core.principal import Scope
from tollway.stores.sql.limited import (
    Limited,
    merge_model_scopes,
    model_scopes,
    raised,
    scope_of,
    window_scopes,
    with_increase,
)
from tollway.stores.sql.rows import Budget

DOLLAR = 1_000_000_000
NOW = datetime(2026, 1, 14, tzinfo=UTC)


def budget(**fields: Any) -> Budget:
    return Budget(budget_id="b", created_at=NOW, updated_at=NOW, **fields)


def test_an_entity_without_limits_is_counted_all_the_same() -> None:
    assert scope_of("tag", "t", None) == Scope(kind="tag", id="t", label="tag")


def test_the_own_limit_of_each_sort_goes_before_the_linked_one() -> None:
    own = Limited(rpm_limit=1, max_budget_nanos=0)
    linked = Limited(rpm_limit=9, tpm_limit=8, parallel_limit=7, max_budget_nanos=6, budget_duration="1d")
    scope = scope_of("api_key", "k", own, label="al", otherwise=linked)
    assert (scope.label, scope.rpm, scope.tpm, scope.parallel) == ("al", 1, 8, 7)
    assert (scope.budget_nanos, scope.budget_duration) == (0, None)


@pytest.mark.parametrize("own", [Limited(budget_duration="7d"), Limited(max_budget_nanos=5, budget_duration="7d")])
def test_budget_and_period_are_never_mixed(own: Limited) -> None:
    linked = Limited(max_budget_nanos=6, budget_duration="1d")
    scope = scope_of("api_key", "k", own, otherwise=linked)
    assert (scope.budget_nanos, scope.budget_duration) == (own.max_budget_nanos, "7d")


def test_a_soft_budget_marks_whichever_budget_holds() -> None:
    linked = Limited(max_budget_nanos=6, soft_budget_nanos=2)
    assert scope_of("api_key", "k", None, otherwise=linked).soft_budget_nanos == 2
    marked = scope_of("api_key", "k", Limited(soft_budget_nanos=3), otherwise=linked)
    assert (marked.budget_nanos, marked.soft_budget_nanos) == (6, 3)


def test_a_budget_without_end_is_not_raised() -> None:
    assert with_increase(Scope(kind="tag", id="t"), 5).budget_nanos is None
    assert with_increase(Scope(kind="tag", id="t", budget_nanos=0), 5).budget_nanos == 5


def test_a_budget_is_raised_up_to_a_moment() -> None:
    scope, ends = Scope(kind="tag", id="t", budget_nanos=1), NOW.timestamp()
    for_a_time = budget(temp_budget_increase_nanos=2, temp_budget_expiry=NOW)
    assert raised(scope, for_a_time, ends - 1).budget_nanos == 3
    assert raised(scope, for_a_time, ends).budget_nanos == 1
    assert raised(scope, budget(), ends).budget_nanos == 1
    assert raised(scope, None, ends).budget_nanos == 1
    assert raised(scope, budget(temp_budget_expiry=NOW), ends - 1).budget_nanos == 1


def test_every_period_is_a_budget_of_its_own() -> None:
    limits = [{"budget_duration": "1d", "max_budget": 1}, {"budget_duration": "30d", "max_budget": 20.5}]
    assert window_scopes("key_window", "k", limits, label="al") == [
        Scope(kind="key_window", id="k:1d", label="al", budget_nanos=DOLLAR, budget_duration="1d"),
        Scope(kind="key_window", id="k:30d", label="al", budget_nanos=20_500_000_000, budget_duration="30d"),
    ]


def test_a_period_named_twice_is_charged_once_and_the_smaller_budget_holds() -> None:
    limits = [{"budget_duration": "1d", "max_budget": dollars} for dollars in (3, 1, 2)]
    (scope,) = window_scopes("key_window", "k", limits)
    assert scope.budget_nanos == DOLLAR


@pytest.mark.parametrize(
    "limits",
    [
        None,
        "1d",
        {},
        [None, "x", 1],
        [{"budget_duration": "1d"}],
        [{"budget_duration": 1, "max_budget": 1}],
        [{"budget_duration": "1d", "max_budget": "1"}],
        [{"budget_duration": "1d", "max_budget": True}],
    ],
)
def test_what_is_no_period_is_passed_over(limits: object) -> None:
    assert window_scopes("key_window", "k", limits) == []


def test_limits_of_a_model_come_from_three_documents() -> None:
    scopes = model_scopes(
        "model_per_key",
        "k",
        rpm={"a": 1},
        tpm={"a": 2, "b": 3},
        budgets={"a": {"max_budget": 1, "budget_duration": "1d", "rpm_limit": 9}, "c": 2.5},
    )
    assert scopes == {
        "a": Scope(kind="model_per_key", id="k:a", label="a", rpm=1, tpm=2, budget_nanos=DOLLAR, budget_duration="1d"),
        "b": Scope(kind="model_per_key", id="k:b", label="b", tpm=3),
        "c": Scope(kind="model_per_key", id="k:c", label="c", budget_nanos=2_500_000_000),
    }


def test_the_older_names_of_a_models_budget_are_read_too() -> None:
    budgets = {"a": {"budget_limit": 1, "time_period": "7d", "tpm_limit": 4}}
    (scope,) = model_scopes("model_per_key", "k", budgets=budgets).values()
    assert (scope.budget_nanos, scope.budget_duration, scope.tpm) == (DOLLAR, "7d", 4)


@pytest.mark.parametrize("value", [None, [], "x", 7, {"a": None}, {"a": "x"}, {"a": True}, {"a": 1.5}, {"a": [1]}])
def test_what_is_no_count_is_passed_over(value: object) -> None:
    assert model_scopes("model_per_key", "k", rpm=value, tpm=value) == {}


def test_a_models_budget_without_an_amount_limits_nothing() -> None:
    budgets = {"a": {"max_budget": "much", "budget_duration": 7, "rpm_limit": "x"}, "b": "x"}
    assert model_scopes("model_per_key", "k", budgets=budgets) == {
        "a": Scope(kind="model_per_key", id="k:a", label="a")
    }


def test_scopes_of_several_owners_are_kept_apart_by_model() -> None:
    key, team = Scope(kind="model_per_key", id="k:a"), Scope(kind="model_per_team", id="t:a")
    assert merge_model_scopes([{"a": key}, {"a": team, "b": team}]) == {"a": (key, team), "b": (team,)}
