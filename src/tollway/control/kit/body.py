"""Request bodies: three-state fields, and a word about the fields nobody reads."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict

WARNING_HEADER = "x-tollway-warning"
_MAX_NAMED = 8
_MAX_LENGTH = 60


class Body(BaseModel):
    """A request body. Fields it does not know are accepted, as existing clients expect, and reported by `warn`."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), hide_input_in_errors=True)

    def changes(self) -> dict[str, Any]:
        """Fields that were sent, `null` among them: absent means "leave it", null means "clear it"."""
        return {name: getattr(self, name) for name in self.model_fields_set if name in type(self).model_fields}

    def warnings(self) -> list[str]:
        """What in this body has no effect, and what was probably meant."""
        known = list(type(self).model_fields)
        return [_unknown(name, known) for name in self.model_extra or ()]


def warn(response: Response, body: Body, *more: str) -> None:
    """Names fields without effect in a header of the answer."""
    warnings = [*body.warnings(), *more]
    if warnings:
        response.headers[WARNING_HEADER] = _header_text(warnings)


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
