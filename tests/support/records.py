"""Ledger records to test with."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hypothesis import strategies as st

from tollway.core.ids import new_record_id
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage

NOON = 1_767_268_800_000_000
"""2026-01-01 12:00:00 UTC in microseconds."""

KEY = "ab" * 32


def new_ids(at: int) -> dict[str, str]:
    """Ids as a call at `at` epoch microseconds would get them."""
    return {
        "record_id": new_record_id(at // 1000),
        "call_id": str(uuid4()),
        "response_id": f"chatcmpl-{uuid4()}",
    }


def make_record(at: int = NOON, **fields: Any) -> Record:
    """A chat call by one key and its user, at `at` epoch microseconds, with any field replaced."""
    sample: dict[str, Any] = {
        "kind": "call",
        "started_at": at,
        "ended_at": at + 250_000,
        "call_type": "acompletion",
        "route": "/v1/chat/completions",
        "key_hash": KEY,
        "user_id": "ada",
        "model": "openai/gpt-4o",
        "model_group": "gpt-4o",
        "provider": "openai",
        "usage": Usage(input_tokens=12, output_tokens=3),
        "cost_nanos": 60_000,
        "tags": ("User-Agent: test",),
        "metadata": b'{"run":7}',
        "charges": (Charge("api_key", KEY, 0), Charge("user", "ada", 1_767_225_600)),
    }
    ids = {} if "record_id" in fields else new_ids(at)
    return Record(**sample | ids | fields)


_counts = st.integers(0, 10**9)
_names = st.sampled_from(["", "a", "b", "ünï\x00cødé"])

usages = st.builds(
    Usage,
    input_tokens=_counts,
    cache_read_tokens=_counts,
    cache_write_tokens=_counts,
    cache_write_1h_tokens=_counts,
    input_audio_tokens=_counts,
    output_tokens=_counts,
    reasoning_tokens=_counts,
    output_audio_tokens=_counts,
    is_estimated=st.booleans(),
)

charges = st.builds(Charge, st.sampled_from(["api_key", "user"]), _names, st.sampled_from([0, 1_767_225_600]))

records = st.builds(
    make_record,
    st.integers(NOON - 12 * 86_400_000_000, NOON),
    record_id=st.uuids().map(str),
    kind=st.sampled_from(["call", "adjustment", "import"]),
    is_success=st.booleans(),
    key_hash=_names,
    user_id=_names,
    team_id=_names,
    organization_id=_names,
    project_id=_names,
    end_user=_names,
    session_id=_names,
    model_id=_names,
    status_code=st.sampled_from([200, 429, 500]),
    error_message=st.text(),
    usage=usages,
    cost_nanos=st.integers(-(10**12), 10**12),
    tags=st.lists(st.text(), max_size=3).map(tuple),
    metadata=st.text().map(str.encode),
    charges=st.lists(charges, max_size=3, unique_by=lambda charge: (charge.scope_kind, charge.scope_id)).map(tuple),
)
