from __future__ import annotations

from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st

from tollway.control.kit.body import WARNING_HEADER, Body, warn


class Order(Body):
    size: int | None = None
    colour: str | None = "red"


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


def test_nothing_is_said_about_a_body_that_is_all_known() -> None:
    response = Response()
    warn(response, Order.model_validate({"size": 1}))
    assert WARNING_HEADER not in response.headers


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.none()))
def test_no_name_of_a_field_breaks_out_of_the_header(fields: dict[str, None]) -> None:
    response = Response()
    warn(response, Order.model_validate(fields))
    text = response.headers.get(WARNING_HEADER, "")
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 2000
