"""From `router_settings`, and what `litellm_settings` repeats of them, to how calls are routed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from tollway.config.configuration import Sourced
from tollway.config.findings import Findings
from tollway.config.keys import GENERAL, LIBRARY, ROUTER
from tollway.config.kinds import DURATION, MONEY
from tollway.config.problem import nearest
from tollway.core.money import nanos_from_dollars
from tollway.core.routing import Affinity, Cooldowns, FailureSort, Fallbacks, Probed, Retries, Routing, Strategy

_BUDGET = ("budget_limit", "time_period")
_SORTS: tuple[FailureSort, ...] = get_args(FailureSort)


def routing(origins: Mapping[str, Sourced], findings: Findings) -> Routing:
    """How calls are routed, with what is wrong about it added to `findings`."""
    read = _Reader(origins, findings)
    latency = read.mapping("routing_strategy_args")
    return Routing(
        strategy=strategy if (strategy := read.value("routing_strategy")) in get_args(Strategy) else "simple-shuffle",
        latency_buffer=read.number(latency, "lowest_latency_buffer", 0.0),
        latency_kept_s=read.number(latency, "ttl", 3600.0),
        retries=Retries(
            at_most=read.value("num_retries"),
            least_wait_s=read.value("retry_after"),
            by_sort=read.policy("retry_policy", "Retries"),
            by_group=read.policies("model_group_retry_policy", "Retries"),
        ),
        cooldowns=Cooldowns(
            is_on=not read.value("disable_cooldowns"),
            seconds=read.value("cooldown_time"),
            allowed_fails=read.value("allowed_fails"),
            allowed_by_sort=read.policy("allowed_fails_policy", "AllowedFails"),
        ),
        fallbacks=Fallbacks(
            general=read.fallbacks("fallbacks"),
            context_window=read.fallbacks("context_window_fallbacks"),
            content_policy=read.fallbacks("content_policy_fallbacks"),
            default=tuple(read.value("default_fallbacks") or ()),
            at_most=read.value("max_fallbacks"),
        ),
        hedge_after_s=read.value("hedge_after") or None,
        continues_streams=read.value("continue_streams"),
        checks_prompt=read.value("enable_pre_call_checks"),
        default_priority=read.value("default_priority"),
        affinities=frozenset(get_args(Affinity)) & frozenset(read.value("optional_pre_call_checks")),
        filters_by_tag=read.value("enable_tag_filtering"),
        needs_every_tag=not read.value("tag_filtering_match_any"),
        tag_prefix=read.value("tag_routing_prefix"),
        probed=_probed(read),
    )


def _probed(read: _Reader) -> Probed | None:
    if not read.value("enable_health_check_routing"):
        return None
    stale_after_s = read.value("health_check_staleness_threshold")
    return Probed(
        stale_after_s=stale_after_s or 2 * read.value("health_check_interval"),
        ignores_passing=read.value("health_check_ignore_transient_errors"),
    )


def provider_budgets(origins: Mapping[str, Sourced], findings: Findings) -> dict[str, dict[str, Any]]:
    """`provider_budget_config`: budget and period by provider, as fields of a scope."""
    path = f"{ROUTER.name}.provider_budget_config"
    setting = origins[path]
    budgets = {}
    for provider, written in setting.value.items():
        match written:
            case {"budget_limit": limit, "time_period": period} if len(written) == len(_BUDGET):
                dollars = findings.read(MONEY, limit, place=setting.origin, path=f"{path}.{provider}.budget_limit")
                duration = findings.read(DURATION, period, place=setting.origin, path=f"{path}.{provider}.time_period")
                if dollars is not None and duration is not None:
                    budgets[provider] = {"budget_nanos": nanos_from_dollars(dollars), "budget_duration": duration}
            case _:
                findings.reject(setting.origin, f"{path}.{provider}", "expected `{budget_limit: 100, time_period: 1d}`")
    return budgets


class _Reader:
    def __init__(self, origins: Mapping[str, Sourced], findings: Findings) -> None:
        self._origins = origins
        self._findings = findings

    def value(self, name: str) -> Any:
        return self._setting(name)[0].value

    def mapping(self, name: str) -> Mapping[str, Any]:
        return self.value(name) or {}

    def number(self, args: Mapping[str, Any], name: str, otherwise: float) -> float:
        value = args.get(name, otherwise)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
        setting, path = self._setting("routing_strategy_args")
        self._findings.reject(setting.origin, f"{path}.{name}", "expected a number of at least 0")
        return otherwise

    def policy(self, name: str, suffix: str) -> dict[FailureSort, int]:
        setting, path = self._setting(name)
        return self._policy(setting, path, setting.value or {}, suffix)

    def policies(self, name: str, suffix: str) -> dict[str, dict[FailureSort, int]]:
        setting, path = self._setting(name)
        policies = {}
        for group, policy in (setting.value or {}).items():
            if isinstance(policy, dict):
                policies[group] = self._policy(setting, f"{path}.{group}", policy, suffix)
            else:
                self._findings.reject(setting.origin, f"{path}.{group}", "expected a mapping")
        return policies

    def fallbacks(self, name: str) -> dict[str, tuple[str, ...]]:
        """`[{group: [other, …]}, …]`; of two entries for one group the first counts, as in the contract."""
        setting, path = self._setting(name)
        found: dict[str, tuple[str, ...]] = {}
        for index, entry in enumerate(setting.value or ()):
            if not isinstance(entry, dict):
                self._findings.reject(setting.origin, f"{path}[{index}]", "expected `{model: [other model, …]}`")
                continue
            for group, others in entry.items():
                if names := self._names(setting, f"{path}[{index}].{group}", others):
                    found.setdefault(group, names)
        return found

    def _names(self, setting: Sourced, path: str, others: Any) -> tuple[str, ...]:
        listed = [others] if isinstance(others, str) else others
        if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
            return tuple(listed)
        self._findings.reject(setting.origin, path, "expected a list of model names")
        return ()

    def _policy(self, setting: Sourced, path: str, policy: Mapping[str, Any], suffix: str) -> dict[FailureSort, int]:
        known = {f"{sort}{suffix}": sort for sort in _SORTS}
        found: dict[FailureSort, int] = {}
        for name, count in policy.items():
            sort = known.get(name)
            if sort is None:
                meant = nearest(name, known)
                remedy = f"did you mean `{meant}`?" if meant else f"known are {', '.join(known)}"
                self._findings.reject(setting.origin, f"{path}.{name}", "is no sort of failure", remedy)
            elif isinstance(count, bool) or not isinstance(count, int) or count < 0:
                if count is not None:
                    self._findings.reject(setting.origin, f"{path}.{name}", "expected a whole number of at least 0")
            else:
                found[sort] = count
        return found

    def _setting(self, name: str) -> tuple[Sourced, str]:
        """The router's own word, else that of `litellm_settings`, and where it stands."""
        paths = list(self._paths(name))
        path = next((path for path in paths if self._origins[path].origin != "default"), paths[0])
        return self._origins[path], path

    def _paths(self, name: str) -> Iterator[str]:
        for section in (ROUTER, LIBRARY, GENERAL):
            if f"{section.name}.{name}" in self._origins:
                yield f"{section.name}.{name}"
