"""Reading one field of a chat request, with an error that names it."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.generation.request import CacheHint

NULL = msgspec.Raw(b"null")
"""What a field is that is not there: `msgspec.Raw | None` would not take a value."""


def present(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A value; None where there is none."""
    return None if raw == NULL else raw


def typed(raw: msgspec.Raw, name: str, type_: Any, expected: str, *, param: str | None = None) -> Any:
    """A value of a type. Raises `InvalidRequest` saying what is `expected` of the field."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except msgspec.DecodeError as error:
        where = str(error).partition(" - at `$")[2].rstrip("`")
        raise InvalidRequest(f"'{name}{where}' must be {expected}.", param=param or name) from None


def text_of(raw: msgspec.Raw | None) -> str:
    """A text; empty for anything else."""
    if raw is None:
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""


def objects(fields: Fields, name: str, type_: Any) -> list[Any]:
    """A list of `type_`; empty where there is none."""
    raw = fields.get(name)
    if raw is None:
        return []
    found: list[Any] | None = typed(raw, name, list[type_] | None, "a list of objects, each with a name")
    return found or []


class _CacheControl(msgspec.Struct, gc=False):
    ttl: str | None = None


def cache_hint(raw: msgspec.Raw | None) -> CacheHint | None:
    """`cache_control` of a part, tool or message."""
    if raw is None or raw == NULL:
        return None
    try:
        ttl = msgspec.json.decode(raw, type=_CacheControl).ttl
    except msgspec.DecodeError:
        return None
    return CacheHint("1h" if ttl == "1h" else "5m" if ttl == "5m" else None)
