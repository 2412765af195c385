"""Shapes of JSON bodies: names and types, without values."""

from __future__ import annotations

from typing import Any


def shape(value: Any) -> Any:
    """Names and JSON types of a value; a list by its first item."""
    match value:
        case dict():
            return {name: shape(entry) for name, entry in sorted(value.items())}
        case list():
            return [shape(value[0])] if value else []
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case _:
            return None
