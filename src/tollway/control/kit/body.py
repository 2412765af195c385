"""Request bodies: three-state fields, and a word about the fields nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from math import isfinite
from typing import Annotated, Any

from fastapi import Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

WARNING_HEADER = "x-tollway-warning"
_MAX_NAMED = 8
_MAX_LENGTH = 60


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


Dollars = Annotated[float | None, BeforeValidator(_none_if_empty)]
"""An amount; an empty text is none."""
Name = Annotated[str | None, BeforeValidator(_none_if_empty)]
"""A text; an empty one is none."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""An id as callers choose them. Indexes bound the length."""
Moment = Annotated[datetime, AfterValidator(lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=UTC))]
"""A point in time; one without a zone is in UTC."""
OptionalIdentifier = Annotated[str | None, BeforeValidator(_none_if_empty), Field(max_length=255)]
"""The same; an empty one is none."""


class Body(BaseModel):
    """A request body. Fields it does not know are accepted, as existing clients expect, and reported by `warn`."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _check_content(cls, sent: Any) -> Any:
        """Refuses what JSON lets through and databases do not: it could be taken, but never given back."""
        if isinstance(sent, dict):
            # A field's own check has better words for a number it cannot take.
            values = [value for value in sent.values() if not isinstance(value, float)]
            for leaf in _leaves([*sent, *values]):
                if isinstance(leaf, str) and _UNSTORABLE.search(leaf):
                    raise ValueError("text must not contain NUL or half of a surrogate pair")
                if isinstance(leaf, float) and not isfinite(leaf):
                    raise ValueError("numbers must be finite")
        return sent

    def changes(self) -> dict[str, Any]:
        """Fields that were sent, `null` among them: absent means "leave it", null means "clear it"."""
        return self.model_dump(include=self.model_fields_set & type(self).model_fields.keys(), exclude_unset=True)

    def warnings(self) -> list[str]:
        """What in this body has no effect, and what was probably meant."""
        known = list(type(self).model_fields)
        return [_unknown(name, known) for name in self.model_extra or ()]


def warn(response: Response, body: Body, *more: str) -> None:
    """Names fields without effect in a header of the answer."""
    warnings = [*body.warnings(), *more]
    if warnings:
        response.headers[WARNING_HEADER] = _header_text(warnings)


def _leaves(values: list[Any]) -> Iterator[Any]:
    """Texts, numbers and names in a JSON document, however deep."""
    unseen = list(values)
    while unseen:
        value = unseen.pop()
        if isinstance(value, dict):
            unseen += value
            unseen += value.values()
        elif isinstance(value, list):
            unseen += value
        else:
            yield value


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    return f"unknown field {_quote(name)} was ignored" + (f"; did you mean '{nearest[0]}'?" if nearest else "")


def _header_text(warnings: list[str]) -> str:
    left_out = len(warnings) - _MAX_NAMED
    named = [*warnings[:_MAX_NAMED], *([f"and {left_out} more"] if left_out > 0 else [])]
    return ", ".join(named)


def _quote(name: str) -> str:
    # The name is the caller's: nothing of it may break out of a header line.
    return ascii(name[:_MAX_LENGTH])
