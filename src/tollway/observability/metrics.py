"""Counting calls, cheaply: one record per label tuple; series are made of the records when somebody scrapes.

How the gateway uses it
- One `Metrics` per process, built by the composition root.
- Each finished call (answered or refused, failed authentication included) is one `record_call(CallLabels(...), ...)`,
  or one `record` under what `counts(labels)` gave before: a few additions, one bisection per latency.
- `in_flight` is a plain number: the edge adds and subtracts.
- `GET /metrics` answers `render()` with `CONTENT_TYPE`; call it in a thread, it may take tens of milliseconds.
- Numbers that others keep (records in the journal, lag of the ledger) are given to the constructor as callbacks.

Labels must be bounded: pass `requested_model` only when a model group serves it, `hashed_api_key` only when the key
exists, and leave `end_user`, `client_ip` and `user_agent` alone unless the operator asked for them. Past
`max_label_sets` all further label tuples share one record whose labels are `other`.

The names and labels on the wire are in `exposition`, which is imported by the first scrape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tollway.core.usage import NO_USAGE, Usage
from tollway.observability.counts import (
    LATENCY_BUCKETS,
    OTHER,
    UNKNOWN,
    CallCounts,
    CallLabels,
    DeploymentFigures,
    Gauge,
    KeyBudget,
    Reading,
)
from tollway.ports.responses import KeptAnswer

__all__ = ["CONTENT_TYPE", "UNKNOWN", "CallLabels", "Gauge", "KeyBudget", "Metrics"]

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_OTHER_LABELS = CallLabels(**dict.fromkeys(CallLabels.__struct_fields__, OTHER))


class Metrics:
    """The registry of this process."""

    def __init__(
        self,
        *,
        latency_buckets: Sequence[float] = LATENCY_BUCKETS,
        max_label_sets: int = 10_000,
        gauges: Mapping[str, Gauge] = MappingProxyType({}),
        deployments: Callable[[], Sequence[DeploymentFigures]] = tuple,
    ) -> None:
        """`gauges` are shown under their names: `tollway_journal_records`, `tollway_ledger_lag_seconds`. `deployments`
        is asked at each scrape, in another thread."""
        self.in_flight = 0
        self.gauges = gauges
        self._deployments = deployments
        self._latency_buckets = tuple(latency_buckets)
        self._max_label_sets = max_label_sets
        self._counts: dict[CallLabels, CallCounts] = {}
        self._other: CallCounts | None = None
        self._key_budgets: dict[str, KeyBudget] = {}
        self._soft_budgets_crossed: Counter[str] = Counter()
        self._tallies: Counter[tuple[str, str]] = Counter()

    def record_call(
        self,
        labels: CallLabels,
        *,
        total_s: float,
        upstream_s: float | None = None,
        first_token_s: float | None = None,
        overhead_s: float | None = None,
        usage: Usage = NO_USAGE,
        cost_nanos: int = 0,
        is_priced: bool = True,
    ) -> None:
        """Counts one finished call. Times are seconds; `upstream_s` None means that no provider was asked."""
        self.record(
            self.counts(labels),
            total_s=total_s,
            upstream_s=upstream_s,
            first_token_s=first_token_s,
            overhead_s=overhead_s,
            usage=usage,
            cost_nanos=cost_nanos,
            is_priced=is_priced,
        )

    def counts(self, labels: CallLabels) -> CallCounts:
        """The record of a label tuple, which whoever counts many calls under it may keep."""
        return self._counts.get(labels) or self._admit(labels)

    def record(
        self,
        counts: CallCounts,
        *,
        total_s: float,
        upstream_s: float | None = None,
        first_token_s: float | None = None,
        overhead_s: float | None = None,
        usage: Usage = NO_USAGE,
        cost_nanos: int = 0,
        is_priced: bool = True,
    ) -> None:
        """Counts one finished call under a label tuple whose record is at hand."""
        counts.calls += 1
        counts.total.observe(total_s)
        is_failure = counts.labels.exception_class != UNKNOWN
        if is_failure:
            counts.failures += 1
        if upstream_s is None:
            return
        counts.upstream_calls += 1
        counts.upstream.observe(upstream_s)
        if overhead_s is not None:
            counts.overhead.observe(overhead_s)
        if is_failure:
            counts.upstream_failures += 1
        else:
            counts.upstream_successes += 1
        if first_token_s is not None:
            counts.first_token.observe(first_token_s)
        output = usage.output_tokens
        counts.used_input += usage.input_tokens
        counts.used_output += output
        counts.used_cached += usage.cache_read_tokens
        counts.used_reasoning += usage.reasoning_tokens
        counts.cost_nanos += cost_nanos
        if not is_priced:
            counts.unpriced += 1
        if output:
            counts.per_output_token.observe(upstream_s / output)

    def record_cache(self, counts: CallCounts, *, found: KeptAnswer | None) -> None:
        """Counts a call whose answer was looked for among those that are kept."""
        if found is None:
            counts.kept_misses += 1
        else:
            counts.kept_hits += 1
            counts.kept_tokens += found.tokens

    def record_attempt(self, labels: CallLabels, *, upstream_s: float) -> None:
        """Counts an attempt that failed, of a call that goes on."""
        counts = self.counts(labels)
        counts.upstream_calls += 1
        counts.upstream_failures += 1
        counts.upstream.observe(upstream_s)

    def record_cooldown(self, labels: CallLabels) -> None:
        """Counts that this process has set a deployment aside."""
        self.counts(labels).cooldowns += 1

    def record_fallback(self, labels: CallLabels, *, is_success: bool) -> None:
        """Counts what came of turning to another model group; the labels say why the one before it failed."""
        counts = self.counts(labels)
        if is_success:
            counts.fallback_successes += 1
        else:
            counts.fallback_failures += 1

    def record_key_budget(self, key_hash: str, budget: KeyBudget) -> None:
        """Remembers a key's budget and spend for its gauges; of too many keys the newest are left out."""
        if key_hash in self._key_budgets or len(self._key_budgets) < self._max_label_sets:
            self._key_budgets[key_hash] = budget

    def record_soft_budget(self, kind: str) -> None:
        """Counts that the spend of some entity of this kind has reached its soft budget."""
        self._soft_budgets_crossed[kind] += 1

    def tally(self, name: str, label: str, count: int = 1) -> None:
        """Adds to a counter of `exposition.TALLIED`: `label` is the value of its one label, of a bounded set."""
        self._tallies[name, label] += count

    def forget_key(self, key_hash: str) -> None:
        """Drops a deleted key's gauges."""
        self._key_budgets.pop(key_hash, None)

    def render(self) -> bytes:
        """Every series in Prometheus' text format 0.0.4."""
        from tollway.observability.exposition import render  # noqa: PLC0415 - 14 MB that only a scrape needs

        return render(self.read())

    def read(self) -> Reading:
        """Everything as it is now."""
        counts = list(self._counts.values())
        return Reading(
            counts=counts if self._other is None else [*counts, self._other],
            key_budgets=dict(self._key_budgets),
            soft_budgets_crossed=dict(self._soft_budgets_crossed),
            tallies=dict(self._tallies),
            in_flight=self.in_flight,
            folded_calls=0 if self._other is None else self._other.calls,
            gauges={name: read() for name, read in self.gauges.items()},
            deployments=self._deployments(),
        )

    def _admit(self, labels: CallLabels) -> CallCounts:
        if len(self._counts) < self._max_label_sets:
            counts = self._counts[labels] = CallCounts(labels, self._latency_buckets)
            return counts
        if self._other is None:
            self._other = CallCounts(_OTHER_LABELS, self._latency_buckets)
        return self._other
