from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from tollway.dialects.gemini.schema import takes_nothing, to_google_schema, to_json_schema


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("google", "schema"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "INTEGER", "format": "int64", "minimum": 1}, {"type": "integer", "format": "int64", "minimum": 1}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        (
            {"type": "STRING", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
        ),
        (
            {"type": "ARRAY", "items": {"type": "BOOLEAN"}, "minItems": 1, "maxItems": 2},
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
        ),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING", "example": "x"}}, "required": ["type"]},
            {"type": "object", "properties": {"type": {"type": "string", "examples": ["x"]}}, "required": ["type"]},
        ),
    ],
)
def test_both_ways(google: dict[str, Any], schema: dict[str, Any]) -> None:
    assert json.loads(bytes(to_json_schema(raw(google)))) == schema
    assert to_google_schema(raw(schema)) == google
    types.Schema.model_validate(google)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        {"oneOf": [{"type": "string"}, {"type": "number"}]},
        {"type": ["string", "number"]},
        {"const": 1},
        {"type": "integer", "enum": [1, 2]},
        {"type": ["string", "null"], "enum": ["a"]},
        {"type": "string", "format": "uri"},
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "object"},
        {"type": "array", "items": True},
        {"anyOf": [{"type": "null"}]},
        True,
    ],
)
def test_what_google_has_no_word_for_is_left_to_json_schema(schema: Any) -> None:
    assert to_google_schema(raw(schema)) is None


def test_marks_that_constrain_nothing_are_left_out() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "string"}
    assert to_google_schema(raw(schema)) == {"type": "STRING"}


def test_the_order_of_properties_is_kept_where_it_counts() -> None:
    inner = {"type": "object", "properties": {"d": {"type": "string"}, "c": {"type": "string"}}}
    schema = {"type": "object", "properties": {"b": {"type": "array", "items": inner}, "a": {"anyOf": [inner, inner]}}}
    found = to_google_schema(raw(schema), is_ordered=True)
    assert found is not None
    assert found["propertyOrdering"] == ["b", "a"]
    assert found["properties"]["b"]["items"]["propertyOrdering"] == ["d", "c"]
    assert found["properties"]["a"]["anyOf"][1]["propertyOrdering"] == ["d", "c"]
    back = json.loads(bytes(to_json_schema(raw({**found, "propertyOrdering": ["a", "b"]}))))
    assert list(back["properties"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, True),
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}}, False),
        ({"type": "object", "patternProperties": {"a": {}}}, False),
        ({"type": "string"}, False),
    ],
)
def test_functions_without_parameters(schema: Any, expected: bool) -> None:
    assert takes_nothing(raw(schema)) is expected


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    plain: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [
            {"type": "STRING"},
            {"type": "NUMBER", "format": "double", "maximum": 3},
            {"type": "BOOLEAN", "description": "d", "title": "t"},
            {"type": "STRING", "enum": ["a", "b"], "nullable": True},
            {"type": "STRING", "pattern": "^a", "minLength": 1, "maxLength": 4, "default": "a"},
        ]
    )
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            inner.map(lambda items: {"type": "ARRAY", "items": items}),
            st.dictionaries(st.text(min_size=1, max_size=8), inner, min_size=1, max_size=3).map(
                lambda properties: {"type": "OBJECT", "properties": properties, "required": list(properties)[:1]}
            ),
            st.lists(inner, min_size=2, max_size=3).map(lambda choices: {"anyOf": choices}),
        ),
        max_leaves=6,
    )


@given(_schemas())
def test_every_schema_of_googles_comes_back(google: dict[str, Any]) -> None:
    assert to_google_schema(to_json_schema(raw(google))) == google


def test_words_of_either_spelling_and_numbers_as_texts() -> None:
    schema = {"any_of": [True, {"type": "ARRAY", "min_items": "2", "maxItems": "x"}], "format": "enum"}
    assert json.loads(bytes(to_json_schema(raw(schema)))) == {
        "anyOf": [True, {"type": "array", "minItems": 2, "maxItems": "x"}]
    }


def test_choices_without_a_type_are_texts() -> None:
    assert to_google_schema(raw({"enum": ["a"]})) == {"type": "STRING", "enum": ["a"]}
    assert to_google_schema(raw({"enum": "a"})) is None
    assert json.loads(bytes(to_json_schema(raw({"nullable": True})))) == {}
