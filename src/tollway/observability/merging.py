"""What several workers counted, as if one had: counters and histograms add up, gauges as each of them says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tollway.observability.counts import CallCounts, CallLabels, DeploymentFigures, KeyBudget, Reading
from tollway.observability.process import counters_of, figure_of

GAUGES_OVER_WORKERS: Mapping[str, Callable[[Iterable[float]], float]] = {
    "tollway_log_lines_dropped": sum,
    "tollway_journal_records": sum,
    "tollway_ledger_lag_seconds": max,
    "tollway_shared_counters_up": min,
    "tollway_replicas": max,
}
"""What to show of a gauge that each worker has."""


def merge(living: Sequence[Reading], departed: Reading | None = None) -> Reading:
    """The sum of workers at work, and of those that have ended (`left_behind`)."""
    readings = [*living, *([] if departed is None else [departed])]
    return Reading(
        counts=_counts(readings),
        key_budgets=_newest(readings),
        soft_budgets_crossed=sum((Counter(reading.soft_budgets_crossed) for reading in readings), Counter()),
        tallies=sum((Counter(reading.tallies) for reading in readings), Counter()),
        in_flight=sum(reading.in_flight for reading in living),
        folded_calls=sum(reading.folded_calls for reading in readings),
        gauges=_over_workers([reading.gauges for reading in living], GAUGES_OVER_WORKERS.__getitem__),
        deployments=_worst([reading.deployments for reading in living]),
        workers=len(living),
        departed=frozenset[str]().union(*(reading.departed for reading in readings)),
        process=_over_workers([reading.process for reading in readings], lambda series: figure_of(series).over_workers),
    )


def left_behind(departed: Reading | None, ended: Reading | None, name: str) -> Reading:
    """What `departed` becomes when a worker of this name has ended; `ended`: its last figures, if it left any.

    What it had open is closed, and what it was doing is done: only what grows counts on.
    """
    total = merge([] if ended is None else [ended], departed)
    return msgspec.structs.replace(
        total,
        in_flight=0,
        gauges={},
        workers=0,
        departed=total.departed | {name},
        process=counters_of(total.process),
    )


def _counts(readings: Iterable[Reading]) -> list[CallCounts]:
    sums: dict[CallLabels, CallCounts] = {}
    for reading in readings:
        for counts in reading.counts:
            total = sums.get(counts.labels)
            if total is None:
                total = sums[counts.labels] = CallCounts(counts.labels, counts.total.bounds)
            total.add(counts)
    return list(sums.values())


def _newest(readings: Iterable[Reading]) -> dict[str, KeyBudget]:
    """Of each key, what the worker knows that served it last; seen at once, the larger spend came later."""
    newest: dict[str, KeyBudget] = {}
    for reading in readings:
        for key_hash, budget in reading.key_budgets.items():
            known = newest.get(key_hash)
            if known is None or (known.seen_at, known.spent_nanos) < (budget.seen_at, budget.spent_nanos):
                newest[key_hash] = budget
    return newest


def _worst(seen: Iterable[Sequence[DeploymentFigures]]) -> list[DeploymentFigures]:
    """Each deployment as the worker sees it that knows the worst of it: each meets failures of its own."""
    worst: dict[str, DeploymentFigures] = {}
    for deployments in seen:
        for one in deployments:
            known = worst.get(one.model_id)
            if known is None or known.state < one.state:
                worst[one.model_id] = one
    return list(worst.values())


def _over_workers(
    figures: Sequence[Mapping[str, float]], rule: Callable[[str], Callable[[Iterable[float]], float]]
) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for each in figures:
        for name, value in each.items():
            values.setdefault(name, []).append(value)
    return {name: float(rule(name)(found)) for name, found in values.items()}
