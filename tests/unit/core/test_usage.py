"""Usage: what two attempts of one call come to, and the tiers that vendors name."""

from __future__ import annotations

import pytest

from tollway.core.usage import ServiceTier, ToolUse, Usage, in_tier, service_tier_of


@pytest.mark.parametrize(
    ("word", "tier"),
    [
        (None, ""),
        ("", ""),
        ("auto", ""),
        ("default", "standard"),
        ("standard", "standard"),
        ("scale", "standard"),
        ("PROVISIONED_THROUGHPUT", "standard"),
        ("ON_DEMAND", "standard"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("ON_DEMAND_FLEX", "flex"),
        ("priority", "priority"),
        ("flex", "flex"),
        ("batch", "batch"),
    ],
)
def test_what_vendors_call_their_tiers(word: str | None, tier: ServiceTier) -> None:
    assert service_tier_of(word) == tier


def test_a_tier_is_not_taken_from_a_usage_that_has_one() -> None:
    assert in_tier(Usage(service_tier="standard"), "priority").service_tier == "standard"
    assert in_tier(Usage(input_tokens=1), "priority") == Usage(input_tokens=1, service_tier="priority")


def test_two_attempts_add_up() -> None:
    first = Usage(input_tokens=1, output_tokens=2, tools=ToolUse(web_searches=1, search_context="high"))
    second = Usage(
        input_tokens=3, is_estimated=True, service_tier="flex", tools=ToolUse(web_searches=2, code_sessions=1)
    )

    assert first.plus(second) == Usage(
        input_tokens=4,
        output_tokens=2,
        is_estimated=True,
        service_tier="flex",
        tools=ToolUse(web_searches=3, code_sessions=1, search_context="high"),
    )
    assert first.plus(Usage()).tools == first.tools
