"""What rows with limits have alike, and the scopes that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeGuard, TypeVar

import msgspec
from sqlalchemy import Row

from tollway.core.money import nanos_from_dollars
from tollway.core.principal import Scope, ScopeKind

S = TypeVar("S", bound=msgspec.Struct)


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """How much; None: no limit."""

    rpm_limit: int | None = None
    tpm_limit: int | None = None
    parallel_limit: int | None = None
    max_budget_nanos: int | None = None
    soft_budget_nanos: int | None = None
    budget_duration: str | None = None


class LimitedRow(Limited, frozen=True, kw_only=True):
    """Limits, who made them and who touched them last."""

    created_at: datetime
    created_by: str | None = None
    updated_at: datetime
    updated_by: str | None = None


def from_row(kind: type[S], row: Row[Any]) -> S:
    """The struct in a row whose columns have the names of its fields; others are passed over."""
    values = row._mapping
    return kind(**{name: values[name] for name in kind.__struct_fields__ if name in values})


class Raisable(Protocol):
    """A budget that can be larger for a time."""

    @property
    def temp_budget_increase_nanos(self) -> int | None:
        """By how much."""
        ...

    @property
    def temp_budget_expiry(self) -> datetime | None:
        """Until when."""
        ...


NO_LIMITS = Limited()


def scope_of(
    kind: ScopeKind, id: str, limited: Limited | None, *, label: str = "", otherwise: Limited | None = None
) -> Scope:
    """The scope of an entity with these limits, and where it has none of a sort, those of `otherwise`.

    Budget and period go together: half of one budget and half of another would be neither. A soft budget is a mark on
    whichever budget holds.
    """
    own, linked = limited or NO_LIMITS, otherwise or NO_LIMITS
    money = own if own.max_budget_nanos is not None or own.budget_duration is not None else linked
    soft = own.soft_budget_nanos if own.soft_budget_nanos is not None else linked.soft_budget_nanos
    return Scope(
        kind=kind,
        id=id,
        label=label or kind,
        rpm=_first(own.rpm_limit, linked.rpm_limit),
        tpm=_first(own.tpm_limit, linked.tpm_limit),
        parallel=_first(own.parallel_limit, linked.parallel_limit),
        budget_nanos=money.max_budget_nanos,
        soft_budget_nanos=soft,
        budget_duration=money.budget_duration,
    )


def with_increase(scope: Scope, nanos: int) -> Scope:
    """With a budget that is larger by so much; one that has no end stays as it is."""
    if not nanos or scope.budget_nanos is None:
        return scope
    return msgspec.structs.replace(scope, budget_nanos=scope.budget_nanos + nanos)


def raised(scope: Scope, budget: Raisable | None, now: float) -> Scope:
    """With the linked budget's temporary increase, while it lasts. `now`: epoch seconds."""
    if budget is None or budget.temp_budget_expiry is None or budget.temp_budget_expiry.timestamp() <= now:
        return scope
    return with_increase(scope, budget.temp_budget_increase_nanos or 0)


def window_scopes(kind: ScopeKind, id: str, limits: object, *, label: str = "") -> list[Scope]:
    """Further budgets of an entity over other periods: `budget_limits` of the wire contract.

    Of several over the same period the smallest holds: a period has one counter, and a call is charged to it once.
    """
    smallest: dict[str, int] = {}
    for one in _objects(limits):
        duration, dollars = one.get("budget_duration"), one.get("max_budget")
        if isinstance(duration, str) and is_number(dollars):
            nanos = nanos_from_dollars(dollars)
            smallest[duration] = min(nanos, smallest.get(duration, nanos))
    return [
        Scope(kind=kind, id=f"{id}:{duration}", label=label or kind, budget_nanos=nanos, budget_duration=duration)
        for duration, nanos in smallest.items()
    ]


def model_scopes(
    kind: ScopeKind, id: str, *, rpm: object = None, tpm: object = None, budgets: object = None
) -> dict[str, Scope]:
    """Limits of an entity for single models, from the wire contract's `model_rpm_limit`, `model_tpm_limit` and
    `model_max_budget`.

    These come from documents that callers wrote: what is no limit is passed over.
    """
    requests, tokens, of_budget = _counts(rpm), _counts(tpm), _budgets(budgets)
    return {
        model: Scope(
            kind=kind,
            id=f"{id}:{model}",
            label=model,
            rpm=requests.get(model, of_budget.get(model, NO_LIMITS).rpm_limit),
            tpm=tokens.get(model, of_budget.get(model, NO_LIMITS).tpm_limit),
            budget_nanos=of_budget.get(model, NO_LIMITS).max_budget_nanos,
            budget_duration=of_budget.get(model, NO_LIMITS).budget_duration,
        )
        for model in {**requests, **tokens, **of_budget}
    }


def merge_model_scopes(groups: Iterable[Mapping[str, Scope]]) -> dict[str, tuple[Scope, ...]]:
    """The scopes of several entities by model, in the order given."""
    merged: dict[str, tuple[Scope, ...]] = {}
    for group in groups:
        for model, scope in group.items():
            merged[model] = (*merged.get(model, ()), scope)
    return merged


def _first(own: int | None, linked: int | None) -> int | None:
    return own if own is not None else linked


def _counts(value: object) -> Mapping[str, int]:
    if not isinstance(value, dict):
        return {}
    return {model: limit for model, limit in value.items() if isinstance(limit, int) and not isinstance(limit, bool)}


def _budgets(value: object) -> Mapping[str, Limited]:
    if not isinstance(value, dict):
        return {}
    return {model: _model_budget(one) for model, one in value.items() if isinstance(one, dict) or is_number(one)}


def _model_budget(value: Any) -> Limited:
    """`{"max_budget" | "budget_limit", "budget_duration" | "time_period", "rpm_limit", "tpm_limit"}`, or dollars."""
    if not isinstance(value, dict):
        return Limited(max_budget_nanos=nanos_from_dollars(value))
    dollars = value.get("max_budget", value.get("budget_limit"))
    duration = value.get("budget_duration", value.get("time_period"))
    limits = _counts({name: value.get(name) for name in ("rpm_limit", "tpm_limit")})
    return Limited(
        max_budget_nanos=None if dollars is None or not is_number(dollars) else nanos_from_dollars(dollars),
        budget_duration=duration if isinstance(duration, str) else None,
        rpm_limit=limits.get("rpm_limit"),
        tpm_limit=limits.get("tpm_limit"),
    )


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of a document can be an amount."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
