"""Google's `Schema` and JSON Schema, each as the other.

`Schema` is a part of OpenAPI 3.0: types in capitals, `nullable` instead of a union with null, no references. Fields
that take JSON Schema as it is (`parametersJsonSchema`, `responseJsonSchema`) exist beside it, and are used for whatever
`Schema` cannot say. Source: https://ai.google.dev/api/caching#Schema, checked 2026-11-26.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.dialects.generation.request import Json

_TYPES = {
    "string": "STRING",
    "number": "NUMBER",
    "integer": "INTEGER",
    "boolean": "BOOLEAN",
    "array": "ARRAY",
    "object": "OBJECT",
    "null": "NULL",
}
_TYPE_NAMES = {name: json_name for json_name, name in _TYPES.items()}
_COUNTS = frozenset({"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"})
_SHARED = _COUNTS | {"title", "description", "default", "pattern", "minimum", "maximum", "required"}
_FORMATS: dict[str, frozenset[str]] = {
    "STRING": frozenset({"date-time", "enum"}),
    "NUMBER": frozenset({"float", "double"}),
    "INTEGER": frozenset({"int32", "int64"}),
}
"""Other formats are refused with 400."""
_decode = msgspec.json.decode
_encode = msgspec.json.Encoder().encode


class _Inexpressible(Exception):
    """The schema says what `Schema` has no word for."""


def to_json_schema(schema: Json) -> Json:
    """JSON Schema of a `Schema`. What is JSON Schema already stays as it is."""
    return Json(_encode(_from_google(_decode(schema))))


def to_google_schema(schema: Json, *, is_ordered: bool = False) -> dict[str, Any] | None:
    """The `Schema` that says the same as a JSON Schema; None if none does.

    `is_ordered`: the properties come in the order they are in, which `Schema` forgets unless it is told.
    """
    try:
        found = _to_google(_decode(schema))
    except _Inexpressible:
        return None
    return _with_order(found) if is_ordered else found


def takes_nothing(schema: Json) -> bool:
    """Whether it is the schema of a function without parameters: Google refuses an OBJECT without properties."""
    found = _decode(schema)
    return (
        isinstance(found, dict)
        and found.get("type") == "object"
        and not found.keys() - _BARE - {"properties"}
        and (not found.get("properties"))
    )


_BARE = frozenset({"type", "required", "additionalProperties", "$schema", "title", "description"})


def _with_order(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    for inner in (*properties.values(), *schema.get("anyOf", ())):
        _with_order(inner)
    if "items" in schema:
        _with_order(schema["items"])
    if len(properties) > 1:
        schema["propertyOrdering"] = list(properties)
    return schema


def _from_google(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "type" if isinstance(value, str):
                found["type"] = _TYPE_NAMES.get(value.upper(), value)
            case "properties" if isinstance(value, dict):
                found["properties"] = {key: _from_google(inner) for key, inner in value.items()}
            case "items":
                found["items"] = _from_google(value)
            case "anyOf" | "any_of" if isinstance(value, list):
                found["anyOf"] = [_from_google(inner) for inner in value]
            case "nullable" | "propertyOrdering" | "property_ordering" | "example":
                pass  # said otherwise, below
            case "format" if value == "enum":
                pass  # what `enum` says already
            case "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties":
                found[name] = _number(value)
            case "min_items" | "max_items" | "min_length" | "max_length" | "min_properties" | "max_properties":
                head, _, tail = name.partition("_")
                found[head + tail.capitalize()] = _number(value)
            case _:
                found[name] = value
    if "example" in schema:
        found["examples"] = [schema["example"]]
    order = schema.get("propertyOrdering") or schema.get("property_ordering")
    if isinstance(order, list) and isinstance(found.get("properties"), dict):
        known = found["properties"]
        found["properties"] = {name: known[name] for name in map(str, order) if name in known} | known
    return _nullable(found) if schema.get("nullable") is True else found


def _number(value: Any) -> Any:
    """64-bit numbers are texts in Google's JSON."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


def _to_google(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise _Inexpressible
    found: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "type":
                _type(value, found)
            case "properties" if isinstance(value, dict):
                found["properties"] = {key: _to_google(inner) for key, inner in value.items()}
            case "items":
                found["items"] = _to_google(value)
            case "anyOf" if isinstance(value, list):
                _any_of(value, found)
            case "enum":
                _enum(schema, found)
            case "format":
                pass  # below, where the type is known
            case "examples" if isinstance(value, list) and len(value) == 1:
                found["example"] = value[0]
            case "$schema" | "$id" | "$comment":
                pass  # they constrain nothing
            case _ if name in _SHARED:
                found[name] = value
            case _:
                raise _Inexpressible
    if found.get("type") == "OBJECT" and not found.get("properties"):
        raise _Inexpressible  # an object of any kind
    _format(schema, found)
    return found


def _type(value: Any, found: dict[str, Any]) -> None:
    names = value if isinstance(value, list) else [value]
    if "null" in names and len(names) == 2:
        found["nullable"] = True
        names = [name for name in names if name != "null"]
    if len(names) != 1 or not isinstance(names[0], str) or names[0] not in _TYPES:
        raise _Inexpressible
    found["type"] = _TYPES[names[0]]


def _any_of(value: list[Any], found: dict[str, Any]) -> None:
    others = [inner for inner in value if inner != {"type": "null"}]
    if len(others) < len(value):
        found["nullable"] = True
    if not others:
        raise _Inexpressible
    found["anyOf"] = [_to_google(inner) for inner in others]


def _enum(schema: dict[str, Any], found: dict[str, Any]) -> None:
    """`Schema` has choices of texts alone; null among them is said by `nullable`."""
    values = schema["enum"]
    names = schema.get("type")
    is_nullable = isinstance(names, list) and "null" in names
    if not isinstance(values, list):
        raise _Inexpressible
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len([value for value in values if not (value is None and is_nullable)]):
        raise _Inexpressible
    if is_nullable and None not in values:
        raise _Inexpressible  # null is of the type, and not among the choices
    if names is None:
        found["type"] = "STRING"
    found["enum"] = texts


def _format(schema: dict[str, Any], found: dict[str, Any]) -> None:
    wanted = schema.get("format")
    if wanted is None:
        return
    if not isinstance(wanted, str) or wanted not in _FORMATS.get(found.get("type", ""), frozenset()):
        raise _Inexpressible
    found["format"] = wanted
