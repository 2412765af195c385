"""Values that a JSON schema accepts."""

from __future__ import annotations

import math
from typing import Any


def shape_value(schema: object, subject: str) -> Any:
    """A value that a JSON schema accepts, as far as types, enumerations and bounds go; texts are about `subject`."""
    return _Shaper(schema, subject).value(schema, 0)


class _Shaper:
    """Walks one schema. Schemas come from clients: depth, breadth and sizes are bounded."""

    _DEEP = 6
    _DEEPEST = 24
    _MAX_VALUES = 5_000
    _MAX_ITEMS = 64
    _MAX_TEXT = 4_096
    _FORMATS = {
        "date": "2026-01-31",
        "date-time": "2026-01-31T12:00:00Z",
        "time": "12:00:00Z",
        "duration": "P1D",
        "email": "demo@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }

    def __init__(self, root: object, subject: str) -> None:
        self._root = root
        self._subject = subject
        self._left = self._MAX_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > self._DEEPEST:
            return None
        if not isinstance(schema, dict):
            return self._subject
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        for keyword in ("enum", "examples"):
            if isinstance(schema.get(keyword), list) and schema[keyword]:
                return schema[keyword][0]
        if "$ref" in schema:
            return self.value(self._resolve(str(schema["$ref"])), depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list) and schema[keyword]:
                return self.value(self._choose(schema[keyword], depth), depth + 1)
        if isinstance(schema.get("allOf"), list):
            return self.value(self._merge(schema), depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if "null" in kinds and depth >= self._DEEP:
            return None
        kind = next((kind for kind in kinds if kind != "null"), "null")
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth)
        if kind == "array" or "items" in schema:
            return self._array(schema, depth)
        match kind:
            case "integer" | "number":
                return self._number(schema, is_whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
        return self._string(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        names = list(properties) if isinstance(properties, dict) else []
        needed = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        if depth >= self._DEEP:
            names = []
        known = properties if isinstance(properties, dict) else {}
        return {name: self.value(known.get(name), depth + 1) for name in dict.fromkeys((*names, *needed))}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        items = [self.value(item, depth + 1) for item in first[: self._MAX_ITEMS]] if isinstance(first, list) else []
        wanted = max(_whole_number(schema.get("minItems"), 0), 0 if depth >= self._DEEP else 1)
        wanted = min(wanted, _whole_number(schema.get("maxItems"), self._MAX_ITEMS), self._MAX_ITEMS)
        return items + [self.value(schema.get("items"), depth + 1) for _ in range(wanted - len(items))]

    def _string(self, schema: dict[str, Any]) -> str:
        text = self._FORMATS.get(str(schema.get("format")))
        if text is not None:
            return text
        shortest = min(_whole_number(schema.get("minLength"), 0), self._MAX_TEXT)
        longest = _whole_number(schema.get("maxLength"), self._MAX_TEXT)
        return self._subject.ljust(shortest, ".")[:longest]

    def _number(self, schema: dict[str, Any], *, is_whole: bool) -> float:
        step = _number(schema.get("multipleOf")) or (1 if is_whole else 0)
        low, above = _number(schema.get("minimum")), _number(schema.get("exclusiveMinimum"))
        high, below = _number(schema.get("maximum")), _number(schema.get("exclusiveMaximum"))
        ceiling = high if high is not None else below
        if low is not None:
            value = low
        elif above is not None:
            value = above + (step or (1 if ceiling is None else (ceiling - above) / 2))
        elif ceiling is not None and ceiling <= 1:
            value = ceiling if high is not None else ceiling - (step or 1)
        else:
            value = 1
        if step and math.isfinite(value / step):
            value = math.ceil(value / step) * step
            if ceiling is not None and (value > ceiling or value == below):
                value -= step
        return int(value) if is_whole else value

    def _choose(self, options: list[Any], depth: int) -> Any:
        if depth < self._DEEP:
            return options[0]
        flat = [option for option in options if isinstance(option, dict) and "$ref" not in option]
        return min(
            flat or options, key=lambda option: option.get("type") != "null" if isinstance(option, dict) else True
        )

    def _merge(self, schema: dict[str, Any]) -> dict[str, Any]:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            part = self._resolve(str(part["$ref"])) if isinstance(part, dict) and "$ref" in part else part
            for key, value in part.items() if isinstance(part, dict) else ():
                known = merged.get(key)
                if isinstance(known, dict) and isinstance(value, dict):
                    merged[key] = {**known, **value}
                elif isinstance(known, list) and isinstance(value, list):
                    merged[key] = [*known, *value]
                else:
                    merged[key] = value
        return merged

    def _resolve(self, reference: str) -> Any:
        """A JSON pointer into the same schema."""
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found


def _number(value: object) -> float | None:
    """A number that arithmetic is safe with."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return None
    return value


def _whole_number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise
