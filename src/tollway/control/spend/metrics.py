"""Sums as the wire's metrics, for the daily activity of any entity."""

from __future__ import annotations

from collections import defaultdict
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


class Breakdown(msgspec.Struct):
    """Sums of one model, provider, … on one day, and of the dearest keys in it."""

    sums: list[SpendSum] = []
    by_key: defaultdict[str, list[SpendSum]] = msgspec.field(default_factory=lambda: defaultdict(list))

    def render(self, metadata: Mapping[str, Any], keys: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """An entry of a `breakdown`; `keys`: metadata of keys by hash."""
        return {
            "metrics": render_metrics(self.sums),
            "metadata": metadata,
            "api_key_breakdown": render_keys(self.by_key, keys),
        }


def render_keys(by_key: Mapping[str, Iterable[SpendSum]], keys: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Entries of keys; `keys`: their metadata by hash."""
    return {
        key_hash: {"metrics": render_metrics(sums), "metadata": keys[key_hash]} for key_hash, sums in by_key.items()
    }


def render_metrics(sums: Iterable[SpendSum]) -> MetricsOut:
    """All of them together, as the wire has it."""
    # One loop over plain variables: there are thousands of these in an answer.
    nanos = calls = failures = prompt = completion = cache_read = cache_write = response_ms = timed = 0
    for one in sums:
        usage = one.usage
        nanos += one.spend_nanos
        calls += one.calls
        failures += one.failures
        prompt += usage.input_tokens
        completion += usage.output_tokens
        cache_read += usage.cache_read_tokens
        cache_write += usage.cache_write_tokens + usage.cache_write_1h_tokens
        response_ms += one.response_ms
        timed += one.timed_calls
    return MetricsOut(
        nanos / NANOS_PER_DOLLAR,
        prompt,
        completion,
        cache_read,
        cache_write,
        prompt + completion,
        calls - failures,
        failures,
        calls,
        response_ms,
        timed,
    )


def render_totals(sums: Iterable[SpendSum]) -> dict[str, Any]:
    """The same as `metadata` names them: `total_spend`, `total_api_requests`, …"""
    values = msgspec.structs.asdict(render_metrics(sums))
    return {name if name.startswith("total_") else f"total_{name}": value for name, value in values.items()}
