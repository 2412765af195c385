"""Counting calls, cheaply: one record per label tuple; series are made of the records when somebody scrapes.

How the gateway uses it
- One `Metrics` per process, built by the composition root.
- Each finished call (answered or refused, failed authentication included) is one `record_call(CallLabels(...), ...)`:
  one dictionary look-up, a few additions, one bisection per latency. `CallLabels` is cheap to make: build it for the
  call, nothing needs to be cached.
- `in_flight` is a plain number: the edge adds and subtracts.
- `GET /metrics` answers `render()` with `CONTENT_TYPE`; call it in a thread, it may take tens of milliseconds.
- Numbers that others keep (records in the journal, lag of the ledger) are given to the constructor as callbacks.

Labels must be bounded: pass `requested_model` only when a model group serves it, `hashed_api_key` only when the key
exists, and leave `end_user`, `client_ip` and `user_agent` alone unless the operator asked for them. Past
`max_label_sets` all further label tuples share one record whose labels are `other`.

The names and labels on the wire are in `exposition`, which is imported by the first scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from tollway.core.usage import NO_USAGE, Usage

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
UNKNOWN: Final = "None"
"""How a label without a value is written (wire contract)."""
OTHER: Final = "other"

LATENCY_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 420.0, 600.0,
)  # fmt: skip
TOKEN_LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Gauge = Callable[[], float]
"""A number kept elsewhere, asked for at each scrape."""


class CallLabels(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every label a call can carry; a metric shows those of its own. The names are the contract's.

    `exception_class` tells failures from successes: leave it unset for a call that went well.
    """

    route: str = UNKNOWN
    status_code: str = UNKNOWN
    requested_model: str = UNKNOWN
    model_group: str = UNKNOWN
    model: str = UNKNOWN
    litellm_model_name: str = UNKNOWN
    model_id: str = UNKNOWN
    api_base: str = UNKNOWN
    api_provider: str = UNKNOWN
    service_tier: str = UNKNOWN
    hashed_api_key: str = UNKNOWN
    api_key_alias: str = UNKNOWN
    team: str = UNKNOWN
    team_alias: str = UNKNOWN
    user: str = UNKNOWN
    user_email: str = UNKNOWN
    org_id: str = UNKNOWN
    org_alias: str = UNKNOWN
    end_user: str = UNKNOWN
    client_ip: str = UNKNOWN
    user_agent: str = UNKNOWN
    exception_status: str = UNKNOWN
    exception_class: str = UNKNOWN


_OTHER_LABELS = CallLabels(**dict.fromkeys(CallLabels.__struct_fields__, OTHER))


class Histogram:
    """Observations by bucket; the last bucket has no upper bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one observation; a value equal to a bound belongs below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, other: Histogram) -> None:
        """Takes in the observations of another one with the same bounds."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class CallCounts:
    """Everything counted under one label tuple."""

    __slots__ = (
        "calls", "cost_nanos", "failures", "first_token", "labels", "overhead", "per_output_token", "total", "unpriced",
        "upstream", "upstream_calls", "upstream_failures", "upstream_successes", "used_cached", "used_input",
        "used_output", "used_reasoning",
    )  # fmt: skip

    def __init__(self, labels: CallLabels, latency_buckets: Sequence[float]) -> None:
        self.labels = labels
        self.calls = 0
        self.failures = 0
        self.upstream_calls = 0
        self.upstream_successes = 0
        self.upstream_failures = 0
        self.unpriced = 0
        self.cost_nanos = 0
        self.used_input = 0
        self.used_output = 0
        self.used_cached = 0
        self.used_reasoning = 0
        self.total = Histogram(latency_buckets)
        self.upstream = Histogram(latency_buckets)
        self.first_token = Histogram(latency_buckets)
        self.overhead = Histogram(latency_buckets)
        self.per_output_token = Histogram(TOKEN_LATENCY_BUCKETS)

    @property
    def used_total(self) -> int:
        """Prompt and answer tokens."""
        return self.used_input + self.used_output


class KeyBudget(msgspec.Struct, frozen=True, gc=False):
    """A key's budget as of its last call."""

    key_alias: str
    budget_nanos: int
    spent_nanos: int


class Metrics:
    """The registry of this process."""

    def __init__(
        self,
        *,
        latency_buckets: Sequence[float] = LATENCY_BUCKETS,
        max_label_sets: int = 10_000,
        gauges: Mapping[str, Gauge] = MappingProxyType({}),
    ) -> None:
        """`gauges` are shown under their names: `tollway_journal_records`, `tollway_ledger_lag_seconds`."""
        self.in_flight = 0
        self.folded_calls = 0
        """Calls counted as `other` because there were too many label tuples."""
        self.gauges = gauges
        self._latency_buckets = tuple(latency_buckets)
        self._max_label_sets = max_label_sets
        self._counts: dict[CallLabels, CallCounts] = {}
        self._other: CallCounts | None = None
        self._key_budgets: dict[str, KeyBudget] = {}
        self._render: Callable[[], bytes] | None = None

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
        counts = self._counts.get(labels) or self._admit(labels)
        counts.calls += 1
        counts.total.observe(total_s)
        is_failure = labels.exception_class != UNKNOWN
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

    def record_key_budget(self, key_hash: str, budget: KeyBudget) -> None:
        """Remembers a key's budget and spend for its gauges; of too many keys the newest are left out."""
        if key_hash in self._key_budgets or len(self._key_budgets) < self._max_label_sets:
            self._key_budgets[key_hash] = budget

    def forget_key(self, key_hash: str) -> None:
        """Drops a deleted key's gauges."""
        self._key_budgets.pop(key_hash, None)

    def render(self) -> bytes:
        """Every series in Prometheus' text format 0.0.4."""
        if self._render is None:
            from tollway.observability.exposition import renderer  # noqa: PLC0415 - 14 MB that only a scrape needs

            self._render = renderer(self)
        return self._render()

    def call_counts(self) -> list[CallCounts]:
        """The records as they are now."""
        counts = list(self._counts.values())
        return counts if self._other is None else [*counts, self._other]

    def key_budgets(self) -> dict[str, KeyBudget]:
        """Budgets of the keys seen, by key hash."""
        return dict(self._key_budgets)

    def _admit(self, labels: CallLabels) -> CallCounts:
        if len(self._counts) < self._max_label_sets:
            counts = self._counts[labels] = CallCounts(labels, self._latency_buckets)
            return counts
        if self._other is None:
            self._other = CallCounts(_OTHER_LABELS, self._latency_buckets)
        self.folded_calls += 1
        return self._other
