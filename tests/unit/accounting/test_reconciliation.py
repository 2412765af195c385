from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tollway.accounting.provider_export import ExportLine
from tollway.accounting.reconciliation import Compared, Reconciliation, Tolerance, model_family, reconcile
from tollway.ports.verification import GatewayLine

DAY, NEXT = date(2026, 1, 1), date(2026, 1, 2)
NONE = Tolerance()
ONE = Decimal(1)


def ours(model: str, dollars: str = "1", day: date = DAY, **more: Any) -> GatewayLine:
    tokens = {"input_tokens": 10, "output_tokens": 5, "calls": 1}
    return GatewayLine(day=day, model=model, spend_nanos=int(Decimal(dollars) * 10**9), **{**tokens, **more})


def theirs(model: str, dollars: str = "1", day: date = DAY) -> ExportLine:
    return ExportLine(day, model, Decimal(dollars), None, None)


def names(found: Reconciliation) -> list[tuple[str, list[str], list[str]]]:
    return [(line.model, list(line.gateway_models), list(line.provider_models)) for line in found.lines]


def only(found: Reconciliation) -> Compared:
    (line,) = found.lines
    return line


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("Claude Haiku 4.5", "claude-haiku-4-5"),
        ("claude-3-5-haiku@20241022", "claude-3-5-haiku"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("gpt-4-0613", "gpt-4-0613"),
    ],
)
def test_a_family_has_neither_provider_nor_date(name: str, family: str) -> None:
    assert model_family(name) == family


def test_parts_of_a_day_are_added_up_and_days_kept_apart() -> None:
    found = reconcile([ours("m"), ours("m", day=NEXT)], [theirs("m", "0.4"), theirs("m", "0.6")], NONE)
    assert [(line.day, line.gateway.cost, line.provider.cost) for line in found.lines] == [
        (DAY, ONE, ONE),
        (NEXT, ONE, Decimal(0)),
    ]
    assert (found.total.gateway.cost, found.total.provider.cost, found.total.percent) == (Decimal(2), ONE, Decimal(100))


def test_a_difference_is_told_in_dollars_and_percent_of_the_providers() -> None:
    line = only(reconcile([ours("m", "0.9")], [theirs("m", "1.2")], NONE))
    assert (line.difference, line.percent, line.is_within) == (Decimal("-0.3"), Decimal(-25), False)


def test_dated_models_stay_apart_where_both_sides_name_them() -> None:
    dated = ["gpt-4o-2024-08-06", "gpt-4o-2024-11-20"]
    found = reconcile(map(ours, dated), map(theirs, dated), NONE)
    assert names(found) == [(name, [name], [name]) for name in dated]


def test_a_family_is_one_line_where_the_sides_name_it_differently() -> None:
    found = reconcile([ours("gpt-4o"), ours("gpt-4o-2024-08-06")], [theirs("gpt-4o-2024-08-06", "2")], NONE)
    assert names(found) == [("gpt-4o", ["gpt-4o", "gpt-4o-2024-08-06"], ["gpt-4o-2024-08-06"])]
    assert found.is_within


def test_models_that_only_one_side_knows_are_lines_of_their_own() -> None:
    found = reconcile([ours("mine")], [theirs("web search")], NONE)
    assert names(found) == [("mine", ["mine"], []), ("web-search", [], ["web search"])]
    assert [line.percent for line in found.lines] == [None, -100]
    assert not found.is_within
    assert found.total.is_within


def test_tokens_are_compared_where_no_costs_are_told() -> None:
    found = reconcile([ours("m")], [ExportLine(DAY, "m", None, 10, 6)], NONE)
    assert (found.measure, only(found).difference) == ("tokens", Decimal(-1))


def test_unpriced_calls_are_counted() -> None:
    found = reconcile([ours("m", "0", unpriced_calls=3)], [theirs("m", "0")], NONE)
    assert (only(found).unpriced_calls, found.total.unpriced_calls, only(found).percent) == (3, 3, Decimal(0))


@pytest.mark.parametrize(
    ("tolerance", "is_within"),
    [
        (Tolerance(percent=Decimal("0.5")), True),
        (Tolerance(percent=Decimal("0.4")), False),
        (Tolerance(absolute=Decimal("0.5")), True),
        (Tolerance(absolute=Decimal("0.4")), False),
    ],
)
def test_a_difference_is_tolerated_by_share_or_by_amount(tolerance: Tolerance, is_within: bool) -> None:
    assert reconcile([ours("m", "99.5")], [theirs("m", "100")], tolerance).is_within is is_within


def test_lines_that_cancel_each_other_out_are_not_within() -> None:
    found = reconcile([ours("a", "1"), ours("b", "2")], [theirs("a", "2"), theirs("b", "1")], NONE)
    assert (found.total.is_within, found.is_within) == (True, False)
