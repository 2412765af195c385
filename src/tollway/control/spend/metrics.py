"""Sums as the wire's metrics, for the daily activity of any entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tollway.core.money import NANOS_PER_DOLLAR
from tollway.ports.spend import SpendSum


class MetricsOut(msgspec.Struct, gc=False):
    """`metrics` of the wire. Those with a default belong to features that Tollway does not have."""

    spend: float
    prompt_tokens: int
    completion_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    total_tokens: int
    successful_requests: int
    failed_requests: int
    api_requests: int
    total_response_time_ms: int
    timed_requests: int
    flat_cost: float = 0.0
    compression_saved_tokens: int = 0
    compression_savings_spend: float = 0.0
    prompt_caching_savings_spend: float = 0.0
    gateway_injected_caching_savings_spend: float = 0.0
    autorouter_savings_spend: float = 0.0


class Metrics(msgspec.Struct, gc=False):
    """A running sum."""

    nanos: int = 0
    calls: int = 0
    failures: int = 0
    prompt: int = 0
    completion: int = 0
    cache_read: int = 0
    cache_write: int = 0
    response_ms: int = 0
    timed: int = 0

    def add(self, one: SpendSum) -> None:
        """Adds a sum to it."""
        usage = one.usage
        self.nanos += one.spend_nanos
        self.calls += one.calls
        self.failures += one.failures
        self.prompt += usage.input_tokens
        self.completion += usage.output_tokens
        self.cache_read += usage.cache_read_tokens
        self.cache_write += usage.cache_write_tokens + usage.cache_write_1h_tokens
        self.response_ms += one.response_ms
        self.timed += one.timed_calls

    def render(self) -> MetricsOut:
        """As the wire has it."""
        return MetricsOut(
            self.nanos / NANOS_PER_DOLLAR,
            self.prompt,
            self.completion,
            self.cache_read,
            self.cache_write,
            self.prompt + self.completion,
            self.calls - self.failures,
            self.failures,
            self.calls,
            self.response_ms,
            self.timed,
        )

    def render_totals(self) -> dict[str, Any]:
        """The same as `metadata` names them: `total_spend`, `total_api_requests`, …"""
        values = msgspec.structs.asdict(self.render())
        return {name if name.startswith("total_") else f"total_{name}": value for name, value in values.items()}


class Breakdown(msgspec.Struct):
    """Metrics of one model, provider, … on one day, and of the dearest keys in it."""

    metrics: Metrics
    by_key: dict[str, Metrics]

    def render(self, metadata: Mapping[str, Any], keys: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """An entry of a `breakdown`; `keys`: metadata of keys by hash."""
        return {
            "metrics": self.metrics.render(),
            "metadata": metadata,
            "api_key_breakdown": {
                key_hash: {"metrics": metrics.render(), "metadata": keys[key_hash]}
                for key_hash, metrics in self.by_key.items()
            },
        }


def new_breakdown() -> Breakdown:
    """Nothing yet."""
    return Breakdown(Metrics(), {})


def add_up(sums: Iterable[SpendSum]) -> Metrics:
    """All of them together."""
    total = Metrics()
    for one in sums:
        total.add(one)
    return total
