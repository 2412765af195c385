from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.control.kit.budgets import with_fields
from tollway.litellm_import.accepting import accept
from tollway.litellm_import.entities import LONG_AGO
from tollway.litellm_import.report import Note
from tollway.stores.sql.rows import Budget

BLANK = Budget(budget_id="b", created_at=LONG_AGO, updated_at=LONG_AGO)


def accepted(**fields: Any) -> tuple[Budget, dict[str, str]]:
    notes: list[Note] = []

    def make(taken: Mapping[str, Any]) -> Budget:
        return with_fields(BLANK, taken, now=0.0)

    return accept(make, fields, notes), {note.field: note.text for note in notes}


def test_what_is_right_is_taken_whole() -> None:
    budget, notes = accepted(max_budget=5, soft_budget=3, budget_duration="1d")
    assert (budget.max_budget_nanos, budget.soft_budget_nanos, budget.budget_duration) == (5 * 10**9, 3 * 10**9, "1d")
    assert notes == {}


def test_one_wrong_field_costs_no_other() -> None:
    budget, notes = accepted(max_budget=5, soft_budget=9, budget_duration="soon", rpm_limit=-1, tpm_limit=7)
    assert (budget.max_budget_nanos, budget.tpm_limit) == (5 * 10**9, 7)
    assert (budget.soft_budget_nanos, budget.budget_duration, budget.rpm_limit) == (None, None, None)
    assert notes.keys() == {"soft_budget", "budget_duration", "rpm_limit"}
    assert "must be below max_budget" in notes["soft_budget"]


def test_fields_that_go_together_stay_together() -> None:
    together = {"temp_budget_increase": 2.0, "temp_budget_expiry": LONG_AGO}
    budget, notes = accepted(**together, rpm_limit=-1)
    assert (budget.temp_budget_increase_nanos, budget.temp_budget_expiry) == (2 * 10**9, LONG_AGO)
    assert notes.keys() == {"rpm_limit"}
    _, notes = accepted(temp_budget_increase=2.0)
    assert notes.keys() == {"temp_budget_increase"}


def test_a_document_of_another_shape_is_left() -> None:
    budget, notes = accepted(model_max_budget=["gpt-4o"], max_budget=1)
    assert budget.max_budget_nanos == 10**9
    assert "another type" in notes["model_max_budget"]
