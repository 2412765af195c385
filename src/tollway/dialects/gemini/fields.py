"""Reading the fields of a request, with errors that name them.

Google's servers take every field in camel case and in snake case (the JSON mapping of protocol buffers), and clients
send both. What is read here is in camel case afterwards; what callers name themselves (arguments, responses, schemas)
is never touched.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields

NULL = msgspec.Raw(b"null")

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """A field's name in camel case."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if head else name


def in_camel_case(fields: Fields) -> Fields:
    """The same fields under the names of the documentation; those that are null are left out."""
    return {camel(name): raw for name, raw in fields.items() if raw != NULL}


def fields_of(raw: msgspec.Raw, path: str) -> Fields:
    """The fields of an object. Raises `InvalidRequest` if it is none."""
    try:
        return in_camel_case(_decode_fields(raw))
    except msgspec.DecodeError:
        raise invalid(path, "an object") from None


def typed(raw: msgspec.Raw, path: str, type_: Any, expected: str) -> Any:
    """A value of a type. Raises `InvalidRequest` saying what is `expected`."""
    try:
        return msgspec.json.decode(raw, type=type_, strict=False)
    except msgspec.DecodeError:
        raise invalid(path, expected) from None


def list_of(raw: msgspec.Raw | None, path: str) -> list[msgspec.Raw]:
    """A list's values. A single object stands for a list of one, as Google's servers take it."""
    if raw is None:
        return []
    if memoryview(raw)[0] == 0x7B:
        return [raw]
    values: list[msgspec.Raw] = typed(raw, path, list[msgspec.Raw], "a list of objects")
    return values


def text_in(fields: Fields, name: str, path: str) -> str | None:
    """A text; None where there is none."""
    raw = fields.get(name)
    if raw is None:
        return None
    text: str = typed(raw, f"{path}.{name}", str, "a string")
    return text


def invalid(path: str, expected: str) -> InvalidRequest:
    """The error about a field."""
    return InvalidRequest(f"'{path}' must be {expected}.", param=path.partition(".")[0].partition("[")[0])
