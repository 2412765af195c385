from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tollway.control.kit.documents import merge_metadata, merge_options, merge_patch

RESERVED = frozenset({"tags", "until"})


@pytest.mark.parametrize(
    ("changes", "merged"),
    [
        ({}, {"own": 1, "tags": ["a"]}),
        ({"metadata": {"new": None}}, {"new": None, "tags": ["a"]}),
        ({"metadata": None}, {"tags": ["a"]}),
        ({"tags": ["b"]}, {"own": 1, "tags": ["b"]}),
        ({"tags": None}, {"own": 1}),
        ({"metadata": {"tags": ["c"]}}, {"tags": ["c"]}),
        ({"metadata": {"tags": ["c"]}, "tags": ["b"]}, {"tags": ["b"]}),
        ({"other": 1}, {"own": 1, "tags": ["a"]}),
        (
            {"until": datetime(2026, 1, 1, tzinfo=UTC)},
            {"own": 1, "tags": ["a"], "until": "2026-01-01T00:00:00+00:00"},
        ),
    ],
)
def test_new_metadata_replaces_ones_own_and_fields_their_entries(
    changes: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge_metadata({"own": 1, "tags": ["a"]}, changes, RESERVED) == merged


def test_options_are_set_and_removed() -> None:
    assert merge_options({"a": 1, "b": 2}, {"a": None, "c": 3, "d": 4}, {"a", "c"}) == {"b": 2, "c": 3}


@pytest.mark.parametrize(
    ("stored", "patch", "merged"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_standard_says(stored: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(stored, patch) == merged
