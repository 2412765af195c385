"""Metrics of several workers, shown as one."""

from __future__ import annotations

import re
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tollway.core.usage import Usage
from tollway.observability.counts import CallLabels, DeploymentFigures, KeyBudget
from tollway.observability.exposition import GAUGE_MEANINGS
from tollway.observability.merging import GAUGES_OVER_WORKERS, left_behind, merge
from tollway.observability.metrics import Metrics
from tollway.observability.worker_files import WorkerFigures, fold, read_all

LABELS = CallLabels(requested_model="m", status_code="200")
REQUESTS = "litellm_proxy_total_requests_metric_total"
LATENCY = "litellm_request_total_latency_metric"


class Worker:
    """One of those that share a folder."""

    def __init__(self, folder: Path, name: str, **gauges: float) -> None:
        self.deployments: list[DeploymentFigures] = []
        self.metrics = Metrics(
            gauges={name: partial(float, value) for name, value in gauges.items()}, deployments=lambda: self.deployments
        )
        self.figures = WorkerFigures(folder, name, self.metrics)

    def call(self, labels: CallLabels = LABELS, *, times: int = 1, seconds: float = 0.1) -> None:
        for _ in range(times):
            usage = Usage(input_tokens=3, output_tokens=2)
            self.metrics.record_call(labels, total_s=seconds, upstream_s=seconds, usage=usage, cost_nanos=10)

    def shows(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.figures.render().decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def workers(tmp_path: Path) -> tuple[Worker, Worker]:
    return Worker(tmp_path, "1-1"), Worker(tmp_path, "2-1")


def test_counters_are_the_sum_of_all(workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    first.call(times=2)
    second.call(times=3)
    second.call(CallLabels(requested_model="other"))
    second.figures.write()
    assert first.shows(REQUESTS) == 6
    assert first.shows(REQUESTS, requested_model="m") == 5
    assert first.shows("litellm_output_tokens_metric_total") == 12
    assert first.shows("litellm_spend_metric_total") == pytest.approx(60e-9)


def test_histograms_are_the_sum_of_all(workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    first.call(seconds=0.2)
    second.call(seconds=0.4)
    second.call(seconds=700)
    second.figures.write()
    assert [first.shows(f"{LATENCY}_bucket", le=bound) for bound in ("0.25", "0.5", "600.0", "+Inf")] == [1, 2, 2, 3]
    assert first.shows(f"{LATENCY}_count") == 3
    assert first.shows(f"{LATENCY}_sum") == pytest.approx(700.6)


def test_every_gauge_says_what_it_is_over_several_workers() -> None:
    assert GAUGES_OVER_WORKERS.keys() == GAUGE_MEANINGS.keys()


def test_gauges_are_merged_as_each_of_them_says(tmp_path: Path) -> None:
    first = Worker(tmp_path, "1-1", tollway_journal_records=2, tollway_shared_counters_up=1, tollway_replicas=4)
    second = Worker(tmp_path, "2-1", tollway_journal_records=3, tollway_shared_counters_up=0, tollway_replicas=3)
    first.metrics.in_flight, second.metrics.in_flight = 1, 2
    second.figures.write()
    assert first.shows("tollway_journal_records") == 5
    assert first.shows("tollway_shared_counters_up") == 0
    assert first.shows("tollway_replicas") == 4
    assert first.shows("litellm_in_flight_requests") == 3
    assert first.shows("tollway_workers") == 2


def seen(model_id: str, state: int) -> DeploymentFigures:
    return DeploymentFigures(
        model_group="m",
        litellm_model_name="openai/m",
        model_id=model_id,
        api_base="",
        api_provider="openai",
        state=state,
        rpm=7,
    )


def test_a_deployment_is_as_the_worker_sees_it_that_knows_the_worst_of_it(
    tmp_path: Path, workers: tuple[Worker, Worker]
) -> None:
    first, second = workers
    first.deployments = [seen("a", 0), seen("b", 1)]
    second.deployments = [seen("a", 2), seen("b", 0)]
    second.metrics.record_cooldown(CallLabels(model_id="a"))
    second.figures.write()
    assert first.shows("litellm_deployment_state", model_id="a") == 2
    assert first.shows("litellm_deployment_state", model_id="b") == 1
    assert first.shows("litellm_deployment_rpm_limit", model_id="a") == 7
    fold(tmp_path, "2-1")
    assert first.shows("litellm_deployment_state", model_id="a") == 0, "nobody is left who thinks so"
    assert first.shows("litellm_deployment_cooled_down_total", model_id="a") == 1


def test_a_keys_budget_is_what_the_worker_that_served_it_last_knows(workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    first.metrics.record_key_budget("hash", KeyBudget("alias", 5_000_000_000, 4_000_000_000))
    first.figures.write()
    second.metrics.record_key_budget("hash", KeyBudget("alias", 5_000_000_000, 1_000_000_000))
    second.figures.write()
    assert first.shows("litellm_remaining_api_key_budget_metric") == 4, "its budget was reset in between"
    first.metrics.record_key_budget("hash", KeyBudget("alias", 5_000_000_000, 2_000_000_000))
    assert first.shows("litellm_remaining_api_key_budget_metric") == 3
    assert second.shows("litellm_remaining_api_key_budget_metric") == 3


def test_what_a_scrape_has_shown_outlives_the_worker(tmp_path: Path, workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    first.call(times=2)
    second.call(times=3)
    second.metrics.in_flight = 1
    second.metrics.record_soft_budget("key")
    assert second.shows(REQUESTS) == 3
    fold(tmp_path, "2-1")
    assert first.shows(REQUESTS) == 5
    assert first.shows("tollway_soft_budgets_crossed_total", scope="key") == 1
    assert first.shows("litellm_in_flight_requests") == 0, "what it was doing is over"
    assert first.shows("tollway_workers") == 1
    assert first.shows("tollway_worker_restarts_total") == 1
    again = Worker(tmp_path, "2-2")
    again.call()
    assert again.shows(REQUESTS) == 6
    fold(tmp_path, "2-2")
    assert first.shows(REQUESTS) == 6
    assert first.shows("tollway_worker_restarts_total") == 2


def test_a_worker_that_left_nothing_is_counted_all_the_same(tmp_path: Path, workers: tuple[Worker, Worker]) -> None:
    fold(tmp_path, "2-1")
    assert workers[0].shows("tollway_worker_restarts_total") == 1


def test_figures_that_are_folded_in_do_not_count_twice(tmp_path: Path, workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    second.call()
    second.figures.write()
    kept = (tmp_path / "2-1.metrics").read_bytes()
    fold(tmp_path, "2-1")
    (tmp_path / "2-1.metrics").write_bytes(kept)  # as between the two steps of folding
    assert first.shows(REQUESTS) == 1


def test_reading_while_workers_end_sees_each_exactly_once(tmp_path: Path) -> None:
    for number in range(40):
        worker = Worker(tmp_path, f"1-{number}")
        worker.call()
        worker.figures.write()

    def end_all() -> None:
        for number in range(40):
            fold(tmp_path, f"1-{number}")

    ending = threading.Thread(target=end_all)
    ending.start()
    sums = set()
    while ending.is_alive():
        sums.add(sum(counts.calls for counts in merge(*read_all(tmp_path)).counts))
    ending.join()
    assert sums == {40}


def test_figures_of_processes_add_up_and_do_not_go_back(tmp_path: Path, workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    second.figures.write()
    memory, cpu = first.shows("process_resident_memory_bytes"), first.shows("process_cpu_seconds_total")
    fold(tmp_path, "2-1")
    assert 0 < first.shows("process_resident_memory_bytes") < memory
    assert first.shows("process_cpu_seconds_total") >= cpu
    assert first.shows("python_gc_collections_total", generation="0") > 0
    assert first.shows("python_info") == 1


def test_each_series_is_named_once(workers: tuple[Worker, Worker]) -> None:
    workers[0].call()
    workers[1].call()
    workers[1].figures.write()
    names = re.findall(r"^# TYPE (\S+)", workers[0].figures.render().decode(), re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"tollway_workers", "tollway_worker_restarts_total", "process_cpu_seconds_total"} <= set(names)


def test_one_process_alone_shows_nothing_of_workers() -> None:
    assert b"tollway_worker" not in Metrics().render()


def test_many_records_come_back_as_they_were(tmp_path: Path) -> None:
    worker = Worker(tmp_path, "1-1")
    for number in range(450):
        worker.call(CallLabels(requested_model=f"model-{number}"), times=number % 3 + 1)
    worker.figures.write()
    ((read,), departed) = read_all(tmp_path)
    assert departed is None
    assert [_all_of(counts) for counts in read.counts] == [_all_of(each) for each in worker.metrics.read().counts]


def test_what_is_left_of_a_worker_only_grows() -> None:
    metrics = Metrics(gauges={"tollway_journal_records": lambda: 7.0})
    metrics.in_flight = 3
    metrics.record_call(LABELS, total_s=0.1)
    left = left_behind(left_behind(None, metrics.read(), "1-1"), None, "2-1")
    assert (left.in_flight, left.gauges, left.workers) == (0, {}, 0)
    assert left.departed == {"1-1", "2-1"}
    assert [counts.calls for counts in left.counts] == [1]


def _all_of(counts: Any) -> list[Any]:
    values = [getattr(counts, name) for name in counts.__slots__]
    return [(value.bounds, value.counts, value.total) if hasattr(value, "bounds") else value for value in values]
