import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.support.programs import find_program

from tollway.core.usage import Usage
from tollway.observability.counts import LATENCY_BUCKETS, DeploymentFigures
from tollway.observability.metrics import CallLabels, KeyBudget, Metrics

# As the contract lists them for LiteLLM 1.106.2.
SPENDER = "end_user hashed_api_key api_key_alias model team team_alias user user_email"
TARGET = "requested_model model_id api_provider"
DEPLOYMENT = "litellm_model_name model_id api_base api_provider"
CALLER = "hashed_api_key api_key_alias team team_alias"
FALLBACK = f"requested_model fallback_model {CALLER} exception_status exception_class model_id"
CONTRACT = {
    "litellm_proxy_failed_requests_metric_total": "end_user hashed_api_key api_key_alias requested_model team"
    " team_alias user user_email exception_status exception_class route client_ip user_agent model_id api_provider"
    " org_id org_alias",
    "litellm_proxy_total_requests_metric_total": "end_user hashed_api_key api_key_alias requested_model team team_alias"
    " user status_code user_email route client_ip user_agent model_id api_provider org_id org_alias",
    "litellm_requests_metric_total": f"{SPENDER} client_ip user_agent {TARGET} org_id org_alias",
    "litellm_spend_metric_total": f"{SPENDER} client_ip user_agent {TARGET} service_tier org_id org_alias",
    "litellm_total_tokens_metric_total": f"{SPENDER} {TARGET} org_id org_alias",
    "litellm_input_tokens_metric_total": f"{SPENDER} {TARGET} org_id org_alias",
    "litellm_output_tokens_metric_total": f"{SPENDER} {TARGET} org_id org_alias",
    "litellm_input_cached_tokens_metric_total": f"{SPENDER} {TARGET}",
    "litellm_output_reasoning_tokens_metric_total": f"{SPENDER} {TARGET}",
    "litellm_request_total_latency_metric": "model_group end_user hashed_api_key api_key_alias requested_model team"
    " team_alias user model model_id api_provider service_tier org_id org_alias",
    "litellm_llm_api_latency_metric": "model_group model hashed_api_key api_key_alias team team_alias requested_model"
    " end_user user model_id api_provider service_tier org_id org_alias",
    "litellm_llm_api_time_to_first_token_metric": "model_group model hashed_api_key api_key_alias team team_alias"
    " requested_model end_user user model_id api_provider service_tier org_id org_alias",
    "litellm_overhead_latency_metric": "model_group api_provider api_base litellm_model_name hashed_api_key"
    " api_key_alias model_id",
    "litellm_deployment_success_responses_total": f"model_group requested_model {DEPLOYMENT} hashed_api_key"
    " api_key_alias team team_alias client_ip user_agent",
    "litellm_deployment_failure_responses_total": f"model_group requested_model {DEPLOYMENT} exception_status"
    " exception_class hashed_api_key api_key_alias team team_alias client_ip user_agent",
    "litellm_deployment_total_requests_total": f"model_group requested_model {DEPLOYMENT} hashed_api_key"
    " api_key_alias team team_alias client_ip user_agent",
    "litellm_deployment_latency_per_output_token": f"model_group {DEPLOYMENT} hashed_api_key api_key_alias team"
    " team_alias org_id org_alias",
    "litellm_in_flight_requests": "",
    "litellm_remaining_api_key_budget_metric": "hashed_api_key api_key_alias",
    "litellm_api_key_max_budget_metric": "hashed_api_key api_key_alias",
    "litellm_deployment_cooled_down_total": f"{DEPLOYMENT} exception_status",
    "litellm_deployment_state": DEPLOYMENT,
    "litellm_deployment_rpm_limit": f"model_group {DEPLOYMENT}",
    "litellm_deployment_tpm_limit": f"model_group {DEPLOYMENT}",
    "litellm_deployment_successful_fallbacks_total": FALLBACK,
    "litellm_deployment_failed_fallbacks_total": FALLBACK,
    "tollway_unpriced_calls_total": "model api_provider",
}

LABELS = CallLabels(
    route="/v1/chat/completions",
    status_code="200",
    requested_model="gpt-4o",
    model_group="gpt-4o",
    model="gpt-4o-2024-08-06",
    litellm_model_name="openai/gpt-4o-2024-08-06",
    model_id="m1",
    api_base="https://api.example.test/v1",
    api_provider="openai",
    hashed_api_key="88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    api_key_alias='he said "hi"\\\n',
)
FAILED = CallLabels(
    status_code="500", requested_model="gpt-4o", exception_status="500", exception_class="InternalServerError"
)
REFUSED = CallLabels(status_code="401", exception_status="401", exception_class="AuthenticationError")
USAGE = Usage(input_tokens=100, cache_read_tokens=64, output_tokens=50, reasoning_tokens=20)


def figures(model_id: str, **more: Any) -> DeploymentFigures:
    common = {"model_group": "m", "litellm_model_name": "openai/m", "api_base": "", "api_provider": "openai"}
    return DeploymentFigures(model_id=model_id, **{**common, **more})


def busy_metrics() -> Metrics:
    metrics = Metrics(
        gauges={"tollway_journal_records": lambda: 3, "tollway_ledger_lag_seconds": lambda: 0.25},
        deployments=lambda: [figures("m1", state=2, rpm=10, tpm=1000), figures("m2")],
    )
    metrics.record_cooldown(CallLabels(model_id="m1", exception_status="429"))
    metrics.record_fallback(CallLabels(requested_model="m", model_group="spare"), is_success=True)
    metrics.record_fallback(CallLabels(requested_model="m", model_group="spare", model_id="m2"), is_success=False)
    metrics.record_call(
        LABELS, total_s=1.0, upstream_s=0.9, first_token_s=0.2, overhead_s=0.001, usage=USAGE, cost_nanos=1_500_000
    )
    metrics.record_call(LABELS, total_s=2.0, upstream_s=1.5, usage=USAGE, cost_nanos=1_500_000, is_priced=False)
    metrics.record_call(FAILED, total_s=0.5, upstream_s=0.4)
    metrics.record_call(REFUSED, total_s=0.001)
    metrics.record_key_budget("hash", KeyBudget("alias", 5_000_000_000, 1_000_000_000))
    return metrics


def samples(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def total(metrics: Metrics, name: str, **labels: str) -> float:
    return sum(value for found, value in samples(metrics).get(name, []) if labels.items() <= found.items())


@pytest.mark.parametrize("name", CONTRACT)
def test_every_metric_of_the_contract_has_exactly_its_labels(name: str) -> None:
    found = samples(busy_metrics())
    series = found.get(name) or found[f"{name}_bucket"]
    for labels, _ in series:
        assert set(labels) - {"le"} == set(CONTRACT[name].split())


def test_promtool_finds_nothing_wrong() -> None:
    command = [find_program("promtool", package="prometheus"), "check", "metrics"]
    checked = subprocess.run(command, input=busy_metrics().render(), capture_output=True, check=False, timeout=30)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_a_call_is_counted_once_with_its_tokens_and_dollars() -> None:
    metrics = busy_metrics()
    assert total(metrics, "litellm_proxy_total_requests_metric_total", status_code="200", model_id="m1") == 2
    assert total(metrics, "litellm_input_tokens_metric_total") == 200
    assert total(metrics, "litellm_output_tokens_metric_total") == 100
    assert total(metrics, "litellm_total_tokens_metric_total") == 300
    assert total(metrics, "litellm_input_cached_tokens_metric_total") == 128
    assert total(metrics, "litellm_output_reasoning_tokens_metric_total") == 40
    assert total(metrics, "litellm_spend_metric_total", requested_model="gpt-4o") == pytest.approx(0.003)


def test_deployments_have_a_state_and_the_limits_that_are_set() -> None:
    metrics = busy_metrics()
    assert total(metrics, "litellm_deployment_state", model_id="m1") == 2
    assert total(metrics, "litellm_deployment_state", model_id="m2") == 0
    assert [labels["model_id"] for labels, _ in samples(metrics)["litellm_deployment_rpm_limit"]] == ["m1"]
    assert total(metrics, "litellm_deployment_tpm_limit", model_group="m") == 1000


def test_cooldowns_and_fallbacks_are_no_calls() -> None:
    metrics = busy_metrics()
    assert total(metrics, "litellm_deployment_cooled_down_total", model_id="m1", exception_status="429") == 1
    assert total(metrics, "litellm_deployment_successful_fallbacks_total", fallback_model="spare") == 1
    assert total(metrics, "litellm_deployment_failed_fallbacks_total", model_id="m2") == 1
    assert total(metrics, "litellm_proxy_total_requests_metric_total") == 4


def test_values_that_are_not_known_are_the_word_none() -> None:
    [(labels, _)] = samples(busy_metrics())["litellm_requests_metric_total"]
    assert labels["end_user"] == labels["client_ip"] == labels["user_agent"] == labels["team"] == "None"


def test_label_values_survive_escaping() -> None:
    [(labels, _)] = samples(busy_metrics())["litellm_requests_metric_total"]
    assert labels["api_key_alias"] == LABELS.api_key_alias


def test_a_refused_call_counts_as_failed_and_touches_no_deployment() -> None:
    metrics = Metrics()
    metrics.record_call(REFUSED, total_s=0.001)
    assert total(metrics, "litellm_proxy_total_requests_metric_total", status_code="401", hashed_api_key="None") == 1
    assert total(metrics, "litellm_proxy_failed_requests_metric_total", exception_status="401") == 1
    assert "litellm_deployment_total_requests_total" not in samples(metrics)
    assert "litellm_llm_api_latency_metric_count" not in samples(metrics)


def test_a_failed_deployment_is_counted_apart_from_the_successful_ones() -> None:
    metrics = busy_metrics()
    assert total(metrics, "litellm_deployment_total_requests_total") == 3
    assert total(metrics, "litellm_deployment_success_responses_total") == 2
    assert total(metrics, "litellm_deployment_failure_responses_total", exception_class="InternalServerError") == 1


def test_calls_without_a_price_are_listed() -> None:
    assert total(busy_metrics(), "tollway_unpriced_calls_total", model="gpt-4o-2024-08-06", api_provider="openai") == 1


def test_label_tuples_that_differ_only_elsewhere_share_a_series() -> None:
    metrics = Metrics()
    for route in ("/chat/completions", "/v1/chat/completions"):
        metrics.record_call(CallLabels(route=route), total_s=0.1, upstream_s=0.1, overhead_s=0.002)
    assert [value for _, value in samples(metrics)["litellm_overhead_latency_metric_count"]] == [2]
    assert [value for _, value in samples(metrics)["litellm_proxy_total_requests_metric_total"]] == [1, 1]


def test_budget_gauges_show_what_is_left_until_the_key_is_forgotten() -> None:
    metrics = busy_metrics()
    assert total(metrics, "litellm_remaining_api_key_budget_metric", hashed_api_key="hash", api_key_alias="alias") == 4
    assert total(metrics, "litellm_api_key_max_budget_metric", hashed_api_key="hash") == 5
    metrics.forget_key("hash")
    assert "litellm_remaining_api_key_budget_metric" not in samples(metrics)


def test_gauges_kept_elsewhere_are_read_at_each_scrape() -> None:
    values = iter([1.0, 2.0])
    metrics = Metrics(gauges={"tollway_journal_records": lambda: next(values)})
    assert [total(metrics, "tollway_journal_records") for _ in range(2)] == [1, 2]


def test_calls_in_flight_are_what_the_edge_says() -> None:
    metrics = Metrics()
    metrics.in_flight += 2
    assert total(metrics, "litellm_in_flight_requests") == 2


def test_label_tuples_beyond_the_limit_share_one_record_and_are_counted() -> None:
    metrics = Metrics(max_label_sets=2)
    for number in range(5):
        metrics.record_call(CallLabels(requested_model=f"model-{number}"), total_s=0.1)
    name = "litellm_proxy_total_requests_metric_total"
    assert [total(metrics, name, requested_model=f"model-{number}") for number in range(5)] == [1, 1, 0, 0, 0]
    assert total(metrics, name, requested_model="other", status_code="other") == 3
    assert total(metrics, "tollway_metrics_folded_calls_total") == 3
    metrics.record_call(CallLabels(requested_model="model-0"), total_s=0.1)
    assert total(metrics, name, requested_model="model-0") == 2


def test_keys_beyond_the_limit_have_no_gauges() -> None:
    metrics = Metrics(max_label_sets=1)
    for name in ("first", "second"):
        metrics.record_key_budget(name, KeyBudget("None", 1, 0))
    assert list(metrics.read().key_budgets) == ["first"]


def test_the_figures_of_the_process_are_there() -> None:
    found = samples(Metrics())
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= found.keys()


@given(st.lists(st.floats(min_value=0, max_value=1000, allow_nan=False), min_size=1, max_size=30))
def test_histogram_buckets_are_cumulative_and_hold_what_is_not_above_their_bound(values: list[float]) -> None:
    metrics = Metrics()
    for value in values:
        metrics.record_call(CallLabels(), total_s=value)
    found = samples(metrics)
    buckets = {labels["le"]: count for labels, count in found["litellm_request_total_latency_metric_bucket"]}
    assert buckets == {repr(le): sum(v <= le for v in values) for le in LATENCY_BUCKETS} | {"+Inf": len(values)}
    assert total(metrics, "litellm_request_total_latency_metric_count") == len(values)
    assert total(metrics, "litellm_request_total_latency_metric_sum") == pytest.approx(sum(values))


def test_prometheus_client_is_imported_by_the_first_scrape_only() -> None:
    program = (
        "import sys; from tollway.observability.metrics import Metrics; metrics = Metrics()\n"
        "print('prometheus_client' in sys.modules); metrics.render(); print('prometheus_client' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.split() == ["False", "True"]
