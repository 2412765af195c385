"""What a caller wants of retries and fallbacks, from body fields and headers of the wire contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dataplane.fields import decoded
from tollway.gateway.call import Headers
from tollway.routing.course import ANY_GROUP, NO_WISHES, Wishes

FIELDS = frozenset(
    {
        "num_retries",
        "fallbacks",
        "context_window_fallbacks",
        "context_window_fallback_dict",
        "content_policy_fallbacks",
        "disable_fallbacks",
    }
)
"""Body fields that are read here."""
PRIORITY_FIELD = "priority"
PRIORITY_HEADER = b"x-litellm-priority"
RETRIES_HEADER = b"x-litellm-num-retries"
_MOST_RETRIES = 100


def read_wishes(values: Mapping[str, msgspec.Raw], headers: Headers) -> Wishes:
    """The wishes of a call. `values`: the gateway's own fields of the body. Raises `InvalidRequest`."""
    header = headers.get(RETRIES_HEADER)
    if header is None and values.keys().isdisjoint(FIELDS):
        return NO_WISHES
    return Wishes(
        retries=_retries(values, header),
        fallbacks=_fallbacks(values, "fallbacks"),
        context_window_fallbacks=_fallbacks(values, "context_window_fallbacks", "context_window_fallback_dict"),
        content_policy_fallbacks=_fallbacks(values, "content_policy_fallbacks"),
        refuses_fallbacks=bool(decoded(values, "disable_fallbacks", bool | None, "true or false")),
    )


def read_priority(values: Mapping[str, msgspec.Raw], headers: Headers) -> int | None:
    """Where a call wants to wait in line; lower numbers go first. Raises `InvalidRequest`."""
    header = headers.get(PRIORITY_HEADER)
    if header is None:
        named: int | None = decoded(values, PRIORITY_FIELD, int | None, "a whole number")
        return named
    try:
        return int(header)
    except ValueError:
        name = PRIORITY_HEADER.decode()
        raise InvalidRequest(f"'{name}' must be a whole number.", param=name) from None


def _retries(values: Mapping[str, msgspec.Raw], header: bytes | None) -> int | None:
    name = "num_retries"
    retries: int | None = None
    if header is None:
        retries = decoded(values, name, int | None, "a whole number")
    else:
        name = RETRIES_HEADER.decode()
        try:
            retries = int(header)
        except ValueError:
            retries = -1
    if retries is not None and not 0 <= retries <= _MOST_RETRIES:
        raise InvalidRequest(f"'{name}' must be a whole number from 0 to {_MOST_RETRIES}.", param=name)
    return retries


def _fallbacks(values: Mapping[str, msgspec.Raw], *names: str) -> dict[str, tuple[str, ...]] | None:
    """`["model", {"model": "other"}]` for whatever was asked for, `[{"asked": ["other"]}]` or `{"asked": ["other"]}`
    by model."""
    name = next((name for name in names if name in values), None)
    if name is None:
        return None
    given = decoded(values, name, Any, "a list of model names")
    if given is None:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for group, models in _entries(given if isinstance(given, list) else [given], name):
        found[group] = (*found.get(group, ()), *models)
    return found


def _entries(given: list[Any], name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for entry in given:
        match entry:
            case str():
                yield ANY_GROUP, (entry,)
            case {"model": str(model)} if len(entry) == 1:
                yield ANY_GROUP, (model,)
            case {"model": str(), **_more}:
                raise InvalidRequest(
                    f"'{name}' can name models, and not change other fields of the request. Leave out "
                    f"{sorted(set(entry) - {'model'})}.",
                    param=name,
                )
            case dict() if all(isinstance(models, list | str) for models in entry.values()):
                for group, models in entry.items():
                    listed = [models] if isinstance(models, str) else models
                    if not all(isinstance(model, str) for model in listed):
                        raise _misshapen(name)
                    yield group, tuple(listed)
            case _:
                raise _misshapen(name)


def _misshapen(name: str) -> InvalidRequest:
    return InvalidRequest(
        f'\'{name}\' must be a list of model names, or of entries like {{"model": ["other model"]}}.', param=name
    )
