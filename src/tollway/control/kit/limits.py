"""Limits on the wire: which column each field has, and which values can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tollway.core.errors import InvalidRequest
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.windows import expires_at, window
from tollway.stores.sql.limited import Limited

LIMIT_COLUMNS = {
    "rpm_limit": "rpm_limit",
    "tpm_limit": "tpm_limit",
    "max_parallel_requests": "parallel_limit",
    "budget_duration": "budget_duration",
}
"""Fields with a column of their own, as they are."""

MONEY_COLUMNS = {"max_budget": "max_budget_nanos", "soft_budget": "soft_budget_nanos"}

LIMIT_FIELDS = (*LIMIT_COLUMNS, *MONEY_COLUMNS)

_COUNTS = ("rpm_limit", "tpm_limit", "tpd_limit", "max_parallel_requests", "max_iterations", "max_repeated_calls")
_MODEL_COUNTS = ("model_rpm_limit", "model_tpm_limit")
_MONEY = (
    *(*MONEY_COLUMNS, "spend", "temp_budget_increase", "max_budget_in_team", "max_budget_in_organization"),
    "max_budget_per_session",
)
_MAX_COUNT = 2**63 - 1
_MAX_DOLLARS = 9_000_000_000


def limit_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values of limit columns for the limit fields among `changes`; null clears one."""
    values = {column: changes[name] for name, column in LIMIT_COLUMNS.items() if name in changes}
    return values | {
        column: None if changes[name] is None else nanos_from_dollars(changes[name])
        for name, column in MONEY_COLUMNS.items()
        if name in changes
    }


def render_limits(limited: Limited) -> dict[str, Any]:
    """The limit fields of a row."""
    fields = {name: getattr(limited, column) for name, column in LIMIT_COLUMNS.items()}
    return fields | {name: dollars(getattr(limited, column)) for name, column in MONEY_COLUMNS.items()}


def dollars(nanos: int | None) -> float | None:
    """Money as the wire has it."""
    return None if nanos is None else dollars_from_nanos(nanos)


def check_limits(changes: Mapping[str, Any], *, now: float) -> None:
    """Raises `InvalidRequest` naming the first limit whose value cannot be. `now`: epoch seconds."""
    for name in _MONEY:
        check_dollars(name, changes.get(name))
    for name in _COUNTS:
        check_count(name, changes.get(name))
    for name in _MODEL_COUNTS:
        for model, limit in (changes.get(name) or {}).items():
            check_count(f"{name}[{model!r}]", limit, field=name)
    for name, read in DURATIONS.items():
        if changes.get(name) is not None and (name, changes[name]) != ("duration", "-1"):
            check_duration(name, changes[name], read, now)
    _check_model_budgets(changes.get("model_max_budget") or {}, now)
    _check_windows(changes.get("budget_limits") or (), now)
    _check_soft(changes)
    if (changes.get("temp_budget_increase") is None) != (changes.get("temp_budget_expiry") is None):
        raise InvalidRequest(
            "temp_budget_increase and temp_budget_expiry go together: send both, or neither.",
            param="temp_budget_increase",
            type="bad_request_error",
        )


def check_dollars(name: str, dollars: float | None) -> None:
    """Raises `InvalidRequest` for an amount that is negative, not finite or beyond counting."""
    if dollars is None:
        return
    if not math.isfinite(dollars) or dollars < 0:
        raise InvalidRequest(
            f"{name} must be a non-negative finite number. Received: {dollars}", type="bad_request_error"
        )
    if dollars > _MAX_DOLLARS:
        raise InvalidRequest(f"{name} must be at most {_MAX_DOLLARS}. Received: {dollars}", type="bad_request_error")


def check_count(name: str, count: int | None, *, field: str | None = None) -> None:
    """Raises `InvalidRequest` for a number that is negative or beyond 64 bits."""
    if count is not None and not 0 <= count <= _MAX_COUNT:
        raise InvalidRequest(
            f"{name} must be a non-negative 64-bit integer. Received: {count}",
            param=field or name,
            type="bad_request_error",
        )


def check_duration(name: str, text: str, read: Callable[[str, float], float], now: float) -> None:
    """Raises `InvalidRequest` for a length of time that `read` cannot read."""
    try:
        read(text, now)
    except ValueError as error:
        raise InvalidRequest(str(error), param=name, type="bad_request_error") from None


def _window_length(duration: str, now: float) -> float:
    start, end = window(duration, now)
    return end - start


def _lifetime(duration: str, now: float) -> float:
    return expires_at(duration, now) - now


DURATIONS: Mapping[str, Callable[[str, float], float]] = {
    "duration": _lifetime,
    "budget_duration": _window_length,
    "rotation_interval": _lifetime,
    "grace_period": _lifetime,
}
"""How long each is, in seconds."""


def _check_soft(changes: Mapping[str, Any]) -> None:
    soft, hard = changes.get("soft_budget"), changes.get("max_budget")
    if soft is not None and hard is not None and soft >= hard:
        raise InvalidRequest(
            f"soft_budget ({soft}) must be below max_budget ({hard}): it is told of before the hard limit refuses.",
            param="soft_budget",
            type="bad_request_error",
        )


def _check_model_budgets(budgets: Mapping[str, Any], now: float) -> None:
    for model, budget in budgets.items():
        limits = budget if isinstance(budget, Mapping) else {"max_budget": budget}
        for name in ("max_budget", "budget_limit"):
            _check_number(f"model_max_budget[{model!r}].{name}", limits.get(name), "model_max_budget")
        for name in ("rpm_limit", "tpm_limit"):
            check_count(f"model_max_budget[{model!r}].{name}", limits.get(name), field="model_max_budget")
        for name in ("budget_duration", "time_period"):
            if limits.get(name) is not None:
                check_duration("model_max_budget", str(limits[name]), _window_length, now)


def _check_windows(limits: Any, now: float) -> None:
    for index, one in enumerate(limits):
        for name in ("budget_duration", "max_budget"):
            if one.get(name) is None:
                raise InvalidRequest(
                    f"budget_limits[{index}] needs a budget_duration and a max_budget, like "
                    '{"budget_duration": "1d", "max_budget": 10}.',
                    param="budget_limits",
                    type="bad_request_error",
                )
        _check_number(f"budget_limits[{index}].max_budget", one["max_budget"], "budget_limits")
        check_duration("budget_limits", str(one["budget_duration"]), _window_length, now)


def _check_number(name: str, value: Any, field: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a number of dollars.", param=field, type="bad_request_error")
    check_dollars(name, value)
