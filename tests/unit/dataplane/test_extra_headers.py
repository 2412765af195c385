"""Headers for the provider that callers put into the body."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.core.errors import InvalidRequest
from tollway.dataplane.extra_headers import DENIED, DENIED_PREFIXES, read_extra_headers


def read(headers: Any) -> tuple[tuple[str, str], ...]:
    return read_extra_headers(msgspec.Raw(json.dumps(headers).encode()))


def test_texts_and_numbers_are_sent() -> None:
    assert read({"X-Flag": "on", "x-depth": 3, "x-fast": True, "x-not": None}) == (
        ("X-Flag", "on"),
        ("x-depth", "3"),
        ("x-fast", "true"),
    )
    assert read(None) == read({}) == ()


@pytest.mark.parametrize("name", [*DENIED, *(f"{prefix}anything" for prefix in DENIED_PREFIXES)])
def test_what_is_not_the_callers_to_say_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="leave it out") as raised:
        read({"x-flag": "1", name.title(): "value"})
    assert (raised.value.status, raised.value.param) == (400, f"extra_headers.{name}")
    assert "value" not in raised.value.message


@pytest.mark.parametrize(
    "headers",
    [
        {"x-a": "1\r\nAuthorization: x"},
        {"x-a": "nul\x00"},
        {"x-a": "snow\u2603"},
        {"x a": "1"},
        {"x-a:": "1"},
        {"": "1"},
        {"x-a": ["1"]},
        {"x-a": {}},
        ["x-a"],
        "x-a: 1",
        {f"x-{number}": "1" for number in range(33)},
        {"x-a": "long" * 3000},
    ],
)
def test_what_cannot_be_a_header_is_refused(headers: Any) -> None:
    with pytest.raises(InvalidRequest, match="extra_headers"):
        read(headers)
