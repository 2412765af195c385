from __future__ import annotations

from typing import Any

import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tollway.control.kit.body import WARNING_HEADER, Body, warn


class Order(Body):
    size: int | None = None
    colour: str | None = "red"
    description: str | None = None
    names: list[str] = []
    metadata: dict[str, Any] = {}


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"a": document}
    return document


def test_absent_null_and_value_are_three_things() -> None:
    assert Order.model_validate({}).changes() == {}
    assert Order.model_validate({"size": None}).changes() == {"size": None}
    assert Order.model_validate({"size": 3, "extra": 1}).changes() == {"size": 3}


def test_an_unknown_field_is_named_with_the_nearest_one() -> None:
    response = Response()
    warn(response, Order.model_validate({"color": "blue", "xyz": 1}))
    assert response.headers[WARNING_HEADER] == (
        "unknown field 'color' was ignored; did you mean 'colour'?, unknown field 'xyz' was ignored"
    )


class Basket(Body):
    orders: list[Order] = []
    gift: Order | None = None


def test_fields_inside_parts_of_a_body_are_named_once() -> None:
    response = Response()
    warn(
        response, Basket.model_validate({"orders": [{"color": "red"}, {"color": "blue"}], "gift": {"size": 1, "b": 2}})
    )
    assert response.headers[WARNING_HEADER] == (
        "unknown field 'color' was ignored; did you mean 'colour'?, unknown field 'b' was ignored"
    )


def test_nothing_is_said_about_a_body_that_is_all_known() -> None:
    response = Response()
    warn(response, Order.model_validate({"size": 1}))
    assert WARNING_HEADER not in response.headers


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.dictionaries(NAMES.filter(lambda name: name not in Order.model_fields), st.none()))
def test_no_name_of_a_field_breaks_out_of_the_header(fields: dict[str, None]) -> None:
    response = Response()
    warn(response, Order.model_validate(fields))
    text = response.headers.get(WARNING_HEADER, "")
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 2000


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"colour": "x" * 1_001}, "'colour' must not be longer than 1000 characters"),
        ({"names": ["a", "x" * 1_001]}, "'names' must not be longer than 1000 characters"),
        ({"description": "x" * 100_001}, "'description' must not be longer than 100000 characters"),
        ({"metadata": {"a": ["x" * 999_999]}}, "'metadata' must not be larger than 1000000 characters"),
        ({"unknown": {"a": ["x" * 1_000_000]}}, "'unknown' must not be larger than 1000000 characters"),
        ({"metadata": nested(100)}, "documents must not be more than 100 levels deep"),
        ({"metadata": {"a": 2**63}}, "integers must fit into 64 bits"),
        ({"metadata": {"a": [-(10**30)]}}, "integers must fit into 64 bits"),
        ({"metadata": {"a": float("inf")}}, "numbers must be finite"),
        ({"metadata": {"a\0": 1}}, "text must not contain NUL"),
        ({"a\0": 1}, "text must not contain NUL"),
        ({"names": ["\ud800"]}, "half of a surrogate pair"),
    ],
)
def test_what_no_database_takes_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Order.model_validate(fields)


def test_what_is_just_not_too_much_is_taken() -> None:
    fields = {
        "colour": "x" * 1_000,
        "description": "x" * 100_000,
        "names": ["x" * 1_000] * 500,
        "metadata": {"a": "x" * 900_000, "b": nested(97), "c": 2**63 - 1, "d": "ünï 🐍"},
    }
    assert Order.model_validate(fields).changes() == fields


def test_a_fields_own_check_has_the_first_word_about_a_number() -> None:
    assert Order.model_validate({"size": 10**30}).size == 10**30
