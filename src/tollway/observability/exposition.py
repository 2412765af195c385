"""The metrics as Prometheus sees them: names, labels and meaning, written in text format 0.0.4.

Names and labels are the wire contract; dashboards depend on them. The series are made of the records here, not through
prometheus_client, which takes six times as long for a thousand label tuples; it adds the figures of the process and
the interpreter, and is why only a scrape imports this module.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest

from tollway.core.money import dollars_from_nanos
from tollway.observability.counts import CallCounts, DeploymentFigures, Histogram, KeyBudget, Reading
from tollway.observability.process import PROCESS_FIGURES

_KEY = ("hashed_api_key", "api_key_alias")
_TEAM = ("team", "team_alias")
_ORG = ("org_id", "org_alias")
_CLIENT = ("client_ip", "user_agent")
_TARGET = ("requested_model", "model_id", "api_provider")
_SPENDER = ("end_user", *_KEY, "model", *_TEAM, "user", "user_email")
_REQUEST = ("end_user", *_KEY, "requested_model", *_TEAM, "user")
_TIMED = ("model_group", "model", *_KEY, *_TEAM, "requested_model", "end_user", "user", "model_id", "api_provider")
_KEPT = ("model", *_KEY, *_TEAM, "end_user", "user", "model_id", "api_provider")
_EXCEPTION = ("exception_status", "exception_class")
_DEPLOYMENT = ("litellm_model_name", "model_id", "api_base", "api_provider")
_FALLBACK = ("requested_model", "fallback_model", *_KEY, *_TEAM, *_EXCEPTION, "model_id")


class CounterRow(NamedTuple):
    """A counter: its series exist for the records where `exists` is not zero."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    field: str
    exists: str
    scale: Callable[[int], float] = float


class HistogramRow(NamedTuple):
    """A histogram: its series exist once something was observed."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    field: str


# `_total` is added to the names of counters when they are written.
COUNTERS = (
    CounterRow(
        "litellm_proxy_total_requests_metric",
        "Requests of clients, by status code; refused ones included",
        (*_REQUEST, "status_code", "user_email", "route", *_CLIENT, "model_id", "api_provider", *_ORG),
        "calls",
        "calls",
    ),
    CounterRow(
        "litellm_proxy_failed_requests_metric",
        "Requests that were answered with an error",
        (*_REQUEST, "user_email", *_EXCEPTION, "route", *_CLIENT, "model_id", "api_provider", *_ORG),
        "failures",
        "failures",
    ),
    CounterRow(
        "litellm_requests_metric",
        "Calls that a provider served (older name of the deployment counters)",
        (*_SPENDER, *_CLIENT, *_TARGET, *_ORG),
        "upstream_successes",
        "upstream_successes",
    ),
    CounterRow(
        "litellm_spend_metric",
        "Spend in US dollars",
        (*_SPENDER, *_CLIENT, *_TARGET, "service_tier", *_ORG),
        "cost_nanos",
        "upstream_calls",
        dollars_from_nanos,
    ),
    CounterRow(
        "litellm_total_tokens_metric",
        "Prompt and completion tokens",
        (*_SPENDER, *_TARGET, *_ORG),
        "used_total",
        "upstream_calls",
    ),
    CounterRow(
        "litellm_input_tokens_metric", "Prompt tokens", (*_SPENDER, *_TARGET, *_ORG), "used_input", "upstream_calls"
    ),
    CounterRow(
        "litellm_output_tokens_metric",
        "Completion tokens",
        (*_SPENDER, *_TARGET, *_ORG),
        "used_output",
        "upstream_calls",
    ),
    CounterRow(
        "litellm_input_cached_tokens_metric",
        "Prompt tokens that the provider read from its cache",
        (*_SPENDER, *_TARGET),
        "used_cached",
        "used_cached",
    ),
    CounterRow(
        "litellm_output_reasoning_tokens_metric",
        "Completion tokens spent on reasoning",
        (*_SPENDER, *_TARGET),
        "used_reasoning",
        "used_reasoning",
    ),
    CounterRow(
        "litellm_deployment_success_responses",
        "Calls to a deployment that succeeded",
        ("model_group", "requested_model", *_DEPLOYMENT, *_KEY, *_TEAM, *_CLIENT),
        "upstream_successes",
        "upstream_successes",
    ),
    CounterRow(
        "litellm_deployment_failure_responses",
        "Calls to a deployment that failed",
        (
            "model_group",
            "requested_model",
            *_DEPLOYMENT,
            "exception_status",
            "exception_class",
            *_KEY,
            *_TEAM,
            *_CLIENT,
        ),
        "upstream_failures",
        "upstream_failures",
    ),
    CounterRow(
        "litellm_deployment_total_requests",
        "Calls to a deployment, whatever came of them",
        ("model_group", "requested_model", *_DEPLOYMENT, *_KEY, *_TEAM, *_CLIENT),
        "upstream_calls",
        "upstream_calls",
    ),
    CounterRow(
        "litellm_cache_hits_metric",
        "Calls that were answered with an answer that was kept",
        _KEPT,
        "kept_hits",
        "kept_hits",
    ),
    CounterRow(
        "litellm_cache_misses_metric", "Calls for which no answer was kept", _KEPT, "kept_misses", "kept_misses"
    ),
    CounterRow("litellm_cached_tokens_metric", "Tokens of answers that were kept", _KEPT, "kept_tokens", "kept_tokens"),
    CounterRow(
        "litellm_deployment_cooled_down",
        "How often a deployment was set aside, by the status that led to it",
        (*_DEPLOYMENT, "exception_status"),
        "cooldowns",
        "cooldowns",
    ),
    CounterRow(
        "litellm_deployment_successful_fallbacks",
        "Calls that another model answered; the exception is what the one before it failed with",
        _FALLBACK,
        "fallback_successes",
        "fallback_successes",
    ),
    CounterRow(
        "litellm_deployment_failed_fallbacks",
        "Calls that another model was asked for and failed as well",
        _FALLBACK,
        "fallback_failures",
        "fallback_failures",
    ),
    CounterRow(
        "tollway_unpriced_calls",
        "Calls to models whose price nobody stated; their cost of 0 is not a price",
        ("model", "api_provider"),
        "unpriced",
        "unpriced",
    ),
)

HISTOGRAMS = (
    HistogramRow(
        "litellm_request_total_latency_metric",
        "Seconds from the request to the end of the answer",
        ("model_group", *_REQUEST, "model", "model_id", "api_provider", "service_tier", *_ORG),
        "total",
    ),
    HistogramRow(
        "litellm_llm_api_latency_metric",
        "Seconds spent in the call to the provider",
        (*_TIMED, "service_tier", *_ORG),
        "upstream",
    ),
    HistogramRow(
        "litellm_llm_api_time_to_first_token_metric",
        "Seconds to the first token of a streamed answer",
        (*_TIMED, "service_tier", *_ORG),
        "first_token",
    ),
    HistogramRow(
        "litellm_overhead_latency_metric",
        "Seconds that the gateway itself took",
        ("model_group", "api_provider", "api_base", "litellm_model_name", *_KEY, "model_id"),
        "overhead",
    ),
    HistogramRow(
        "litellm_deployment_latency_per_output_token",
        "Seconds per token of the answer",
        ("model_group", *_DEPLOYMENT, *_KEY, *_TEAM, *_ORG),
        "per_output_token",
    ),
)


class DeploymentRow(NamedTuple):
    """A gauge of deployments: its series exist for those whose figure is known."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    field: str


DEPLOYMENT_GAUGES = (
    DeploymentRow(
        "litellm_deployment_state",
        "0: the deployment works; 1: it failed this minute; 2: it is set aside",
        _DEPLOYMENT,
        "state",
    ),
    DeploymentRow(
        "litellm_deployment_rpm_limit", "Calls per minute that it may get", ("model_group", *_DEPLOYMENT), "rpm"
    ),
    DeploymentRow(
        "litellm_deployment_tpm_limit", "Tokens per minute that it may get", ("model_group", *_DEPLOYMENT), "tpm"
    ),
)

GAUGE_MEANINGS = {
    "tollway_log_lines_dropped": "Log lines thrown away because the output was stuck",
    "tollway_journal_records": "Records that are journalled and not yet in the ledger",
    "tollway_shared_counters_up": "1: limits are shared with the other replicas; 0: the shared Redis is away",
    "tollway_replicas": "Gateway processes that share limits, as far as this one knows",
    "tollway_ledger_lag_seconds": "Age of the oldest record that is not yet in the ledger",
}


class TallyRow(NamedTuple):
    """A counter with one label, whose values are few."""

    meaning: str
    label: str


TALLIED = {
    "tollway_callback_delivered_total": TallyRow("Calls that a callback was told about", "callback"),
    "tollway_callback_dropped_total": TallyRow(
        "Calls that a callback is not told about, because its queue was full or the gateway stopped", "callback"
    ),
    "litellm_callback_logging_failures_metric_total": TallyRow(
        "Calls that a callback could not be told about, however often it was tried", "callback_name"
    ),
    "tollway_failed_authentications_total": TallyRow("Requests whose key was no good, by reason", "reason"),
    "tollway_alerts_total": TallyRow("Alerts that were sent, by their type", "alert_type"),
}

_PROCESS = CollectorRegistry()
"""Figures of the process and the interpreter, by prometheus_client's own collectors."""
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=_PROCESS)
_PLATFORM = CollectorRegistry()
PlatformCollector(registry=_PLATFORM)


def render(reading: Reading) -> bytes:
    """Every series of the gateway, and those of the process and the interpreter after them."""
    lines = "".join(_lines(reading)).encode()
    if not reading.workers:
        return lines + generate_latest(_PROCESS)
    return lines + "".join(_process_lines(reading.process)).encode() + generate_latest(_PLATFORM)


def _lines(reading: Reading) -> Iterator[str]:
    for counter in COUNTERS:
        yield from _counter_lines(counter, reading.counts)
    for histogram in HISTOGRAMS:
        yield from _histogram_lines(histogram, reading.counts)
    for gauge in DEPLOYMENT_GAUGES:
        yield from _deployment_lines(gauge, reading.deployments)
    yield from _key_budget_lines(reading.key_budgets)
    yield from _soft_budget_lines(reading.soft_budgets_crossed)
    yield from _tally_lines(reading.tallies)
    yield from _single_value_lines("litellm_in_flight_requests", "gauge", "Requests being processed", reading.in_flight)
    yield from _single_value_lines(
        "tollway_metrics_folded_calls_total",
        "counter",
        "Calls counted with every label `other`, because there were too many label values",
        reading.folded_calls,
    )
    for name, value in reading.gauges.items():
        yield from _single_value_lines(name, "gauge", GAUGE_MEANINGS[name], value)
    if reading.workers:
        yield from _single_value_lines(
            "tollway_workers", "gauge", "Worker processes at work, where one gateway has several", reading.workers
        )
        yield from _single_value_lines(
            "tollway_worker_restarts_total",
            "counter",
            "Worker processes that ended and were started again",
            len(reading.departed),
        )


def _process_lines(figures: Mapping[str, float]) -> Iterator[str]:
    for name, figure in PROCESS_FIGURES.items():
        found = [(series, value) for series, value in figures.items() if series.partition("{")[0] == name]
        if found:
            yield _head(name, figure.kind, figure.meaning)
        for series, value in found:
            yield f"{series} {value!r}\n"


def _counter_lines(row: CounterRow, counts: Sequence[CallCounts]) -> Iterator[str]:
    exists, value, labels = attrgetter(row.exists), attrgetter(row.field), attrgetter(*row.labels)
    sums: dict[tuple[str, ...], int] = {}
    for record in counts:
        if exists(record):
            series = labels(record.labels)
            sums[series] = sums.get(series, 0) + value(record)
    name = f"{row.name}_total"
    yield _head(name, "counter", row.meaning)
    for series, total in sums.items():
        yield f"{name}{{{_labels(row.labels, series)}}} {float(row.scale(total))!r}\n"


def _histogram_lines(row: HistogramRow, counts: Sequence[CallCounts]) -> Iterator[str]:
    value, labels = attrgetter(row.field), attrgetter(*row.labels)
    sums: dict[tuple[str, ...], Histogram] = {}
    for record in counts:
        observed: Histogram = value(record)
        if any(observed.counts):
            sums.setdefault(labels(record.labels), Histogram(observed.bounds)).add(observed)
    yield _head(row.name, "histogram", row.meaning)
    for series, summed in sums.items():
        written = _labels(row.labels, series)
        cumulative = list(accumulate(summed.counts))
        for bound, count in zip((*map(repr, summed.bounds), "+Inf"), cumulative, strict=True):
            yield f'{row.name}_bucket{{{written},le="{bound}"}} {count}.0\n'
        yield f"{row.name}_count{{{written}}} {cumulative[-1]}.0\n{row.name}_sum{{{written}}} {summed.total!r}\n"


def _deployment_lines(row: DeploymentRow, deployments: Sequence[DeploymentFigures]) -> Iterator[str]:
    value, labels = attrgetter(row.field), attrgetter(*row.labels)
    found: dict[tuple[str, ...], float] = {}
    for one in deployments:
        figure = value(one)
        if figure is not None:
            found[labels(one)] = max(float(figure), found.get(labels(one), 0.0))
    yield from _gauge_lines(row.name, row.meaning, row.labels, found)


def _key_budget_lines(budgets: Mapping[str, KeyBudget]) -> Iterator[str]:
    remaining: dict[tuple[str, ...], float] = {}
    maximum: dict[tuple[str, ...], float] = {}
    for key_hash, budget in budgets.items():
        series = (key_hash, budget.key_alias)
        remaining[series] = dollars_from_nanos(budget.budget_nanos - budget.spent_nanos)
        maximum[series] = dollars_from_nanos(budget.budget_nanos)
    yield from _gauge_lines(
        "litellm_remaining_api_key_budget_metric", "Budget of a key less its spend, in US dollars", _KEY, remaining
    )
    yield from _gauge_lines("litellm_api_key_max_budget_metric", "Budget of a key in US dollars", _KEY, maximum)


def _soft_budget_lines(crossed: Mapping[str, int]) -> Iterator[str]:
    name = "tollway_soft_budgets_crossed_total"
    yield _head(name, "counter", "Soft budgets that spend has reached, by kind of entity")
    for kind, count in crossed.items():
        yield f"{name}{{{_labels(('scope',), (kind,))}}} {float(count)!r}\n"


def _tally_lines(tallies: Mapping[tuple[str, str], int]) -> Iterator[str]:
    for name, row in TALLIED.items():
        yield _head(name, "counter", row.meaning)
        for (counter, value), count in tallies.items():
            if counter == name:
                yield f"{name}{{{_labels((row.label,), (value,))}}} {float(count)!r}\n"


def _gauge_lines(
    name: str, meaning: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> Iterator[str]:
    yield _head(name, "gauge", meaning)
    for series, value in values.items():
        yield f"{name}{{{_labels(labels, series)}}} {value!r}\n"


def _single_value_lines(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    yield _head(name, kind, meaning)
    yield f"{name} {float(value)!r}\n"


def _head(name: str, kind: str, meaning: str) -> str:
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"


def _labels(names: Iterable[str], values: Iterable[str]) -> str:
    return ",".join([f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
