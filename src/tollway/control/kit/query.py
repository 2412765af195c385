"""Query parameters."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import unquote

from fastapi import Request

from tollway.core.errors import InvalidRequest

ChoiceT = TypeVar("ChoiceT", bound=str)


def one_of(name: str, value: str | None, allowed: tuple[ChoiceT, ...]) -> ChoiceT | None:
    """The choice that was sent, if any. Raises `InvalidRequest` for one that there is not."""
    if value is None:
        return None
    for choice in allowed:
        if choice == value:
            return choice
    raise InvalidRequest(
        f"Invalid {name} {value[:40]!r}. Use one of: {', '.join(allowed)}.", param=name, type="bad_request_error"
    )


def with_plus(request: Request, name: str, value: str | None) -> str | None:
    """A parameter as it was meant: a plus in a query stands for a space, but in an address that is somebody's id it
    stands for itself, and clients send it so (contract). `value` is what was parsed; an empty one is none.
    """
    sent = (part.partition("=") for part in request.url.query.split("&"))
    raw = next((text for key, _, text in sent if key == name and "+" in text), None)
    return unquote(raw) if raw is not None else value or None
