"""What is counted under one label tuple. `metrics` adds to it, `exposition` reads it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

UNKNOWN: Final = "None"
"""How a label without a value is written (wire contract)."""
OTHER: Final = "other"

LATENCY_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 420.0, 600.0,
)  # fmt: skip
TOKEN_LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Gauge = Callable[[], float]
"""A number kept elsewhere, asked for at each scrape."""


class CallLabels(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
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

    @property
    def fallback_model(self) -> str:
        """The model group that a call turned to: the one that was asked last."""
        return self.model_group


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


TALLIES: Final = (
    "calls", "failures", "upstream_calls", "upstream_successes", "upstream_failures", "unpriced", "cost_nanos",
    "used_input", "used_output", "used_cached", "used_reasoning", "kept_hits", "kept_misses", "kept_tokens",
    "cooldowns", "fallback_successes", "fallback_failures",
)  # fmt: skip
"""Whole numbers of `CallCounts` that only grow."""
TIMES: Final = ("total", "upstream", "first_token", "overhead", "per_output_token")
"""Histograms of `CallCounts`."""


class CallCounts:
    """Everything counted under one label tuple."""

    __slots__ = ("labels", *TALLIES, *TIMES)

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
        self.kept_hits = 0
        self.kept_misses = 0
        self.kept_tokens = 0
        self.cooldowns = 0
        self.fallback_successes = 0
        self.fallback_failures = 0
        self.total = Histogram(latency_buckets)
        self.upstream = Histogram(latency_buckets)
        self.first_token = Histogram(latency_buckets)
        self.overhead = Histogram(latency_buckets)
        self.per_output_token = Histogram(TOKEN_LATENCY_BUCKETS)

    @property
    def used_total(self) -> int:
        """Prompt and answer tokens."""
        return self.used_input + self.used_output

    def add(self, other: CallCounts) -> None:
        """Takes in what another process counted under the same labels."""
        for name in TALLIES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in TIMES:
            getattr(self, name).add(getattr(other, name))


class KeyBudget(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A key's budget as of its last call."""

    key_alias: str
    budget_nanos: int
    spent_nanos: int
    seen_at: float = 0.0
    """On the steady clock of the machine, where several processes say so; 0: not noted."""


class DeploymentFigures(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One deployment as a process sees it now."""

    model_group: str
    litellm_model_name: str
    model_id: str
    api_base: str
    api_provider: str
    state: int = 0
    """0: it works; 1: it failed this minute; 2: it is set aside."""
    rpm: int | None = None
    tpm: int | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """All that a scrape shows, at one moment."""

    counts: Sequence[CallCounts]
    key_budgets: Mapping[str, KeyBudget]
    soft_budgets_crossed: Mapping[str, int]
    """How often, by kind of entity."""
    in_flight: int
    folded_calls: int
    gauges: Mapping[str, float]
    workers: int = 0
    """How many processes this is the sum of; 0: this process speaks for itself."""
    departed: frozenset[str] = frozenset()
    """Workers that ended and whose counts are in here."""
    deployments: Sequence[DeploymentFigures] = ()
    tallies: Mapping[tuple[str, str], int] = {}
    """Counters with one label, by name and by its value."""
    process: Mapping[str, float] = {}
    """Figures of the processes by series (`process`), where this is the sum of several."""
