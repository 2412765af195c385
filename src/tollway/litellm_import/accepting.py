"""What management's own rules say about fields that another program wrote: all that can be is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tollway.core.errors import InvalidRequest
from tollway.litellm_import.report import Note

S = TypeVar("S")

_TOGETHER = ("temp_budget_increase", "temp_budget_expiry")
_LAST = {"soft_budget": 1, "auto_rotate": 1}
"""Fields that are judged by another one, which comes before."""


def accept(make: Callable[[Mapping[str, Any]], S], fields: Mapping[str, Any], notes: list[Note]) -> S:
    """What `make` makes of the fields, without those that it refuses: these are remarked on."""
    try:
        return make(fields)
    except _REFUSALS:
        pass
    taken: dict[str, Any] = {}
    alone = sorted(fields.keys() - _TOGETHER, key=lambda name: (_LAST.get(name, 0), name))
    for names in (*((name,) for name in alone), _TOGETHER):
        more = {name: fields[name] for name in names if name in fields}
        try:
            make({**taken, **more})
        except _REFUSALS as error:
            reason = error.message if isinstance(error, InvalidRequest) else "is of another type than it should be"
            notes.extend(Note(name, f"cannot be: {reason}") for name in more)
        else:
            taken |= more
    return make(taken)


_REFUSALS = (InvalidRequest, TypeError, AttributeError, ValueError)
"""A document may hold anything."""
