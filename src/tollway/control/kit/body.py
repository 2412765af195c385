"""Request bodies: three-state fields, and a word about the fields nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from math import isfinite
from typing import Annotated, Any, ClassVar

from fastapi import Response
from pydantic import AfterValidator, BeforeValidator, ConfigDict, StringConstraints, model_validator

from tollway.control.kit.wire import WireModel

WARNING_HEADER = "x-tollway-warning"
_MAX_NAMED = 8
_MAX_LENGTH = 60


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_TEXT = 1_000
_MAX_LONG_TEXT = 100_000
_MAX_DOCUMENT = 1_000_000
_MAX_DEPTH = 100
"""Deeper than any document that somebody wrote; what goes through it recursively has to come back."""
_MAX_INTEGER = 2**63 - 1


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
OptionalIdentifier = Annotated[Identifier | None, BeforeValidator(_none_if_empty)]
"""The same; an empty one is none."""


class Body(WireModel):
    """A request body. Fields it does not know are accepted, as existing clients expect, and reported by `warn`."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    long_texts: ClassVar[frozenset[str]] = frozenset({"description"})
    """Fields that hold more than a name: up to 100,000 characters. Other texts are names, of up to 1,000."""

    kept_for_later: ClassVar[tuple[str, ...]] = ()
    """Fields that are read back, and that nothing acts on yet: whoever sets one is told."""

    @model_validator(mode="before")
    @classmethod
    def _check_content(cls, sent: Any) -> Any:
        """Refuses what JSON lets through and databases do not: it could be taken, but never given back."""
        if isinstance(sent, dict):
            for name, value in sent.items():
                _check_text(name)
                # A field's own check has better words for a number it cannot take.
                if not isinstance(value, int | float):
                    _check_value(name, value, _MAX_LONG_TEXT if name in cls.long_texts else _MAX_TEXT)
        return sent

    def changes(self) -> dict[str, Any]:
        """Fields that were sent, `null` among them: absent means "leave it", null means "clear it"."""
        return self.model_dump(include=self.model_fields_set & type(self).model_fields.keys(), exclude_unset=True)

    def warnings(self) -> list[str]:
        """What in this body has no effect, and what was probably meant."""
        known = list(type(self).model_fields)
        idle = [name for name in self.kept_for_later if name in self.model_fields_set and getattr(self, name)]
        inside = [warning for part in self._parts() for warning in part.warnings()]
        return [
            *(_unknown(name, known) for name in self.model_extra or ()),
            *(f"'{name}' is stored, and not enforced in this release" for name in idle),
            *dict.fromkeys(inside),  # many items are mistaken alike
        ]

    def _parts(self) -> Iterator[Body]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            yield from (part for part in (value if isinstance(value, list) else [value]) if isinstance(part, Body))


def example(**fields: Any) -> ConfigDict:
    """What a body adds to its `model_config` to be shown filled in by the API's description. A test sends each."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def warn(response: Response, body: Body, *more: str) -> None:
    """Names fields without effect in a header of the answer."""
    say(response, *body.warnings(), *more)


def say(response: Response, *warnings: str) -> None:
    """Puts these into the header of the answer that says what else a caller should know."""
    if warnings:
        response.headers[WARNING_HEADER] = _header_text(warnings)


def _check_value(name: str, value: Any, max_text: int) -> None:
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if any(isinstance(text, str) and len(text) > max_text for text in texts):
        raise ValueError(f"{_quote(name)} must not be longer than {max_text} characters")
    size = 0
    for leaf in _leaves(value):
        size += 1
        if isinstance(leaf, str):
            size += len(leaf)
            _check_text(leaf)
        elif isinstance(leaf, float) and not isfinite(leaf):
            raise ValueError("numbers must be finite")
        elif isinstance(leaf, int) and abs(leaf) > _MAX_INTEGER:
            raise ValueError("integers must fit into 64 bits")
    if size > _MAX_DOCUMENT:
        raise ValueError(f"{_quote(name)} must not be larger than {_MAX_DOCUMENT} characters")


def _check_text(text: str) -> None:
    if _UNSTORABLE.search(text):
        raise ValueError("text must not contain NUL or half of a surrogate pair")


def _leaves(document: Any) -> Iterator[Any]:
    """Texts, numbers and names in a JSON document. Raises `ValueError` for one that is too deep."""
    level = [document]
    for _ in range(_MAX_DEPTH):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
            else:
                yield value
        if not deeper:
            return
        level = deeper
    raise ValueError(f"documents must not be more than {_MAX_DEPTH} levels deep")


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    return f"unknown field {_quote(name)} was ignored" + (f"; did you mean '{nearest[0]}'?" if nearest else "")


def _header_text(warnings: Sequence[str]) -> str:
    left_out = len(warnings) - _MAX_NAMED
    named = [*warnings[:_MAX_NAMED], *([f"and {left_out} more"] if left_out > 0 else [])]
    # Names in them may be the caller's: nothing of it may break out of a header line.
    return "".join(letter if " " <= letter <= "~" else "?" for letter in ", ".join(named))


def _quote(name: str) -> str:
    # The name is the caller's: nothing of it may break out of a header line.
    return ascii(name[:_MAX_LENGTH])
