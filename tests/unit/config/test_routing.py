# ruff: noqa: E501  (tables of what is written and what is said about it)
"""`router_settings` as the data plane gets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollway.config.configuration import Configuration
from tollway.config.load import load
from tollway.config.problem import ConfigurationError
from tollway.core.routing import Cooldowns, Fallbacks, Retries, Routing


def read(folder: Path, text: str, **environ: str) -> Configuration:
    file = folder / "config.yaml"
    file.write_text(text)
    return load(file, environ={"HOME": "/home/x", **environ})


def test_without_a_word_it_is_as_the_records_say(tmp_path: Path) -> None:
    assert read(tmp_path, "").routing == Routing()


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    text = """
router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {lowest_latency_buffer: 0.5, ttl: 60}
  num_retries: 3
  retry_after: 1
  retry_policy: {RateLimitErrorRetries: 5, DefaultRetries: 1}
  model_group_retry_policy: {m: {TimeoutErrorRetries: 0}}
  allowed_fails: 2
  allowed_fails_policy: {InternalServerErrorAllowedFails: 9}
  cooldown_time: 30
  disable_cooldowns: true
  fallbacks: [{m: [a, b]}, {"*": c}, {m: [d]}]
  default_fallbacks: [e]
  context_window_fallbacks: [{m: [long]}]
  content_policy_fallbacks: [{m: [lax]}]
  max_fallbacks: 2
  enable_pre_call_checks: true
  optional_pre_call_checks: [session_affinity, router_budget_limiting]
  enable_tag_filtering: true
  tag_filtering_match_any: false
  tag_routing_prefix: route-
"""
    assert read(tmp_path, text).routing == Routing(
        strategy="latency-based-routing",
        latency_buffer=0.5,
        latency_kept_s=60,
        retries=Retries(
            at_most=3,
            least_wait_s=1,
            by_sort={"RateLimitError": 5, "Default": 1},
            by_group={"m": {"TimeoutError": 0}},
        ),
        cooldowns=Cooldowns(is_on=False, seconds=30, allowed_fails=2, allowed_by_sort={"InternalServerError": 9}),
        fallbacks=Fallbacks(
            general={"m": ("a", "b"), "*": ("c",)},
            context_window={"m": ("long",)},
            content_policy={"m": ("lax",)},
            default=("e",),
            at_most=2,
        ),
        checks_prompt=True,
        affinities=frozenset({"session_affinity"}),
        filters_by_tag=True,
        needs_every_tag=True,
        tag_prefix="route-",
    )


def test_the_other_section_counts_where_the_router_says_nothing(tmp_path: Path) -> None:
    text = "litellm_settings: {num_retries: 7, fallbacks: [{m: [a]}], default_fallbacks: [z]}\nrouter_settings: {fallbacks: [{m: [b]}]}\n"
    routing = read(tmp_path, text).routing
    assert (routing.retries.at_most, routing.fallbacks.general, routing.fallbacks.default) == (7, {"m": ("b",)}, ("z",))
    assert read(tmp_path, text, TOLLWAY_NUM_RETRIES="1").routing.retries.at_most == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("retry_policy: {RateLimitRetries: 1}", "retry_policy.RateLimitRetries: is no sort of failure; did you mean"),
        ("retry_policy: {RateLimitErrorRetries: -1}", "RateLimitErrorRetries: expected a whole number of at least 0"),
        ("model_group_retry_policy: {m: 3}", "model_group_retry_policy.m: expected a mapping"),
        ("fallbacks: [m]", "fallbacks[0]: expected `{model: [other model, …]}`"),
        ("fallbacks: [{m: {a: b}}]", "fallbacks[0].m: expected a list of model names"),
        ("routing_strategy_args: {ttl: long}", "routing_strategy_args.ttl: expected a number of at least 0"),
        ("provider_budget_config: {openai: 5}", "provider_budget_config.openai: expected `{budget_limit: 100, time_period"),
        ("provider_budget_config: {openai: {budget_limit: 5, time_period: 1y}}", "openai.time_period: expected a duration"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, settings: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as got:
        read(tmp_path, f"router_settings:\n  {settings}\n")
    (problem,) = got.value.problems
    assert expected in str(problem)
    assert "config.yaml:2" in str(problem)
