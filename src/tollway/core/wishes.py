"""What calls want of routing beside what is configured for all: said by a request, its key or its team."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import float_info
from typing import Annotated, Any, get_args

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.core.routing import FallbackLists, Strategy

ANY_GROUP = "*"
"""Stands for every model group, in lists of fallbacks."""
MOST_RETRIES = 100
_RETRIES = Annotated[int, msgspec.Meta(ge=0, le=MOST_RETRIES)] | None
_TIMEOUT = Annotated[float, msgspec.Meta(gt=0, le=float_info.max)] | None


class Wishes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """None: as configured."""

    retries: int | None = None
    fallbacks: FallbackLists | None = None
    context_window_fallbacks: FallbackLists | None = None
    content_policy_fallbacks: FallbackLists | None = None
    refuses_fallbacks: bool = False
    strategy: Strategy | None = None
    timeout_s: float | None = None
    """For the whole call."""

    @property
    def named(self) -> Iterator[str]:
        """Every group to turn to."""
        for lists in (self.fallbacks, self.context_window_fallbacks, self.content_policy_fallbacks):
            for groups in (lists or {}).values():
                yield from groups

    def over(self, others: Wishes) -> Wishes:
        """These, and those of others where nothing is said."""
        if others is NO_WISHES:
            return self
        if self is NO_WISHES:
            return others
        said = {name: getattr(self, name) for name in _NAMES if getattr(self, name) is not None}
        said["refuses_fallbacks"] = self.refuses_fallbacks or others.refuses_fallbacks
        return msgspec.structs.replace(others, **said)


NO_WISHES = Wishes()
_NAMES = tuple(name for name in Wishes.__struct_fields__ if name != "refuses_fallbacks")


def read_router_settings(settings: Mapping[str, Any] | None) -> Wishes:
    """The wishes in the `router_settings` of a key or a team. What else may stand there is not acted upon.

    Raises `InvalidRequest` naming what cannot be.
    """
    if not settings:
        return NO_WISHES
    wishes = Wishes(
        retries=_said(settings, "num_retries", _RETRIES, f"a whole number from 0 to {MOST_RETRIES}"),
        fallbacks=_lists(settings, "fallbacks"),
        context_window_fallbacks=_lists(settings, "context_window_fallbacks"),
        content_policy_fallbacks=_lists(settings, "content_policy_fallbacks"),
        strategy=_said(settings, "routing_strategy", Strategy | None, f"one of {', '.join(get_args(Strategy))}"),
        timeout_s=_said(settings, "timeout", _TIMEOUT, "a number of seconds above 0"),
    )
    return NO_WISHES if wishes == NO_WISHES else wishes


def read_fallbacks(given: Any, name: str) -> dict[str, tuple[str, ...]]:
    """`["model", {"model": "other"}]` for whatever was asked for, `[{"asked": ["other"]}]` or `{"asked": ["other"]}`
    by model. `name`: of the field, for the `InvalidRequest` that is raised for anything else."""
    found: dict[str, tuple[str, ...]] = {}
    for group, models in _entries(given if isinstance(given, list) else [given], name):
        found[group] = (*found.get(group, ()), *models)
    return found


def _lists(settings: Mapping[str, Any], name: str) -> dict[str, tuple[str, ...]] | None:
    given = settings.get(name)
    return read_fallbacks(given, f"router_settings.{name}") if given else None


def _said(settings: Mapping[str, Any], name: str, kind: Any, expected: str) -> Any:
    """The value of a field; None where nothing is said. It must be what is `expected`."""
    try:
        return msgspec.convert(settings.get(name), kind)
    except msgspec.ValidationError:
        field = f"router_settings.{name}"
        raise InvalidRequest(f"'{field}' must be {expected}.", param=field) from None


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
