"""Sums as the wire's metrics, for the daily activity of any entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tollway.core.money import dollars_from_nanos
from tollway.ports.spend import SpendSum

_NOT_MEASURED = {
    "flat_cost": 0.0,
    "compression_saved_tokens": 0,
    "compression_savings_spend": 0.0,
    "prompt_caching_savings_spend": 0.0,
    "gateway_injected_caching_savings_spend": 0.0,
    "autorouter_savings_spend": 0.0,
}
"""Fields of the contract for features that Tollway does not have."""


class Metrics:
    """A running sum."""

    __slots__ = (
        "cache_read",
        "cache_write",
        "calls",
        "completion",
        "failures",
        "nanos",
        "prompt",
        "response_ms",
        "timed",
    )

    def __init__(self) -> None:
        self.nanos = self.calls = self.failures = self.prompt = self.completion = 0
        self.cache_read = self.cache_write = self.response_ms = self.timed = 0

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

    def render(self) -> dict[str, Any]:
        """`metrics` of the wire."""
        return {
            "spend": dollars_from_nanos(self.nanos),
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write,
            "total_tokens": self.prompt + self.completion,
            "successful_requests": self.calls - self.failures,
            "failed_requests": self.failures,
            "api_requests": self.calls,
            "total_response_time_ms": self.response_ms,
            "timed_requests": self.timed,
            **_NOT_MEASURED,
        }

    def render_totals(self) -> dict[str, Any]:
        """The same as `metadata` names them: `total_spend`, `total_api_requests`, …"""
        return {name if name.startswith("total_") else f"total_{name}": value for name, value in self.render().items()}


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
