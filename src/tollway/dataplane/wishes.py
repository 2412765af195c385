"""What a caller wants of retries and fallbacks, from body fields and headers of the wire contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.core.routing import Strategy
from tollway.core.wishes import MOST_RETRIES, NO_WISHES, Wishes, read_fallbacks
from tollway.dataplane.fields import decoded
from tollway.gateway.call import Headers

FIELDS = frozenset(
    {
        "num_retries",
        "fallbacks",
        "context_window_fallbacks",
        "context_window_fallback_dict",
        "content_policy_fallbacks",
        "disable_fallbacks",
        "routing_strategy",
    }
)
"""Body fields that are read here."""
PRIORITY_FIELD = "priority"
PRIORITY_HEADER = b"x-litellm-priority"
RETRIES_HEADER = b"x-litellm-num-retries"


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
        strategy=_strategy(values),
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


def spread(values: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The fields of a body's `router_settings`, beside those that the body has itself, which win.

    Raises `InvalidRequest`.
    """
    inner = decoded(values, "router_settings", dict[str, msgspec.Raw] | None, "an object") or {}
    named = {name: value for name, value in inner.items() if name in FIELDS or name == "timeout"}
    return {**named, **{name: value for name, value in values.items() if name != "router_settings"}}


def _strategy(values: Mapping[str, msgspec.Raw]) -> Strategy | None:
    strategies = ", ".join(get_args(Strategy))
    found: Strategy | None = decoded(values, "routing_strategy", Strategy | None, f"one of {strategies}")
    return found


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
    if retries is not None and not 0 <= retries <= MOST_RETRIES:
        raise InvalidRequest(f"'{name}' must be a whole number from 0 to {MOST_RETRIES}.", param=name)
    return retries


def _fallbacks(values: Mapping[str, msgspec.Raw], *names: str) -> dict[str, tuple[str, ...]] | None:
    """`["model", {"model": "other"}]` for whatever was asked for, `[{"asked": ["other"]}]` or `{"asked": ["other"]}`
    by model."""
    name = next((name for name in names if name in values), None)
    if name is None:
        return None
    given = decoded(values, name, Any, "a list of model names")
    return None if given is None else read_fallbacks(given, name)
