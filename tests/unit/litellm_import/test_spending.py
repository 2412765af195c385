from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.litellm_database import APP, hashed

from tollway.litellm_import.report import Note
from tollway.litellm_import.spending import Owner, record_of_day, record_of_log

STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def log(**fields: Any) -> tuple[Any, list[Note]]:
    notes: list[Note] = []
    row = {"request_id": "r1", "startTime": STARTED, "endTime": STARTED + timedelta(seconds=2), **fields}
    return record_of_log(row, notes), notes


def test_money_is_what_the_float_prints_as() -> None:
    assert log(spend=0.1)[0].cost_nanos == 100_000_000
    assert log(spend=1.23e-7)[0].cost_nanos == 123
    assert log(spend=-0.5)[0].cost_nanos == -500_000_000
    assert log(spend=None)[0].cost_nanos == 0


@pytest.mark.parametrize("spend", [float("nan"), float("inf"), 1e30])
def test_what_is_no_amount_counts_as_nothing_and_is_told(spend: float) -> None:
    record, notes = log(spend=spend)
    assert record.cost_nanos == 0
    assert [note.field for note in notes] == ["spend"]


def test_a_row_without_a_moment_is_none() -> None:
    record, notes = log(startTime=None)
    assert record is None
    assert [note.field for note in notes] == ["startTime"]


def test_a_key_in_plain_text_is_hashed() -> None:
    assert log(api_key=APP)[0].key_hash == hashed(APP)


def test_failures_keep_what_is_known_of_them() -> None:
    error = {"error_code": "429", "error_class": "RateLimitError", "error_message": "slow down"}
    record, _ = log(metadata={"status": "failure", "error_information": error})
    assert (record.is_success, record.status_code, record.error_class) == (False, 429, "RateLimitError")
    assert log(status="failure", metadata={"error_information": {"error_code": ""}})[0].status_code == 500


def test_only_what_the_caller_sent_is_metadata() -> None:
    record, _ = log(metadata={"user_api_key": "hash", "spend_logs_metadata": {"a": 1}, "requester_metadata": {"b": 2}})
    assert msgspec.json.decode(record.metadata) == {"a": 1, "b": 2}
    assert log(metadata=None)[0].metadata == b""


@given(
    *(st.integers(-10, 10_000) for _ in range(4)),
)
def test_parts_of_usage_stay_within_the_whole(prompt: int, completion: int, read: int, written: int) -> None:
    usage = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    record, _ = log(prompt_tokens=prompt, completion_tokens=completion, metadata={"usage_object": usage})
    assert 0 <= record.usage.cache_read_tokens + record.usage.cache_write_tokens <= record.usage.input_tokens
    assert record.usage.input_tokens == max(0, prompt)
    assert record.usage.output_tokens == max(0, completion)


def test_a_day_is_a_record_at_noon() -> None:
    row = {"id": "d1", "date": "2026-03-01", "api_key": "h", "spend": 1.5, "prompt_tokens": 10, "user_id": "bob"}
    record = record_of_day(row, Owner("t1", "acme"), [])
    assert record is not None
    assert record.started_at == STARTED.timestamp() * 1e6
    assert (record.cost_nanos, record.team_id, record.organization_id, record.user_id) == (1.5e9, "t1", "acme", "bob")
    notes: list[Note] = []
    assert record_of_day({"id": "d1", "date": "yesterday"}, Owner(), notes) is None
    assert [note.field for note in notes] == ["date"]
