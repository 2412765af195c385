"""The metrics that alerts and dashboards name: shown by the gateways, collected by Prometheus, and moving."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from promql_parser import parse
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.stack import CLONE, REPLICAS, Stack

ALERTS = CLONE / "deploy" / "prometheus" / "alerts.yml"
DASHBOARDS = sorted((CLONE / "deploy" / "grafana" / "dashboards").glob("*.json"))
FROM_PROMETHEUS = {"up"}
"""Series that Prometheus makes itself."""
_GRAFANA = {"$__rate_interval": "5m", "$__range": "1h", "$instance": ".*", "$model": ".*", "$team": ".*"}
_STEADY = re.compile(r"^(process_|tollway_(log_lines_dropped|replicas)|litellm_(in_flight|api_key_max_budget))")
"""Gauges that show no more than how it is."""


def alert_expressions() -> list[str]:
    rules: Any = yaml.safe_load(ALERTS.read_text())
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def panel_expressions(dashboard: Path) -> list[str]:
    panels = json.loads(dashboard.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for name, value in _GRAFANA.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def expressions() -> list[str]:
    """All there are."""
    return alert_expressions() + [one for dashboard in DASHBOARDS for one in panel_expressions(dashboard)]


def metrics_in(expression: str) -> set[str]:
    """The series that a query asks for."""
    return set(_selectors(parse(expression)))


def _selectors(node: Any) -> Iterator[str]:
    if type(node).__name__ == "VectorSelector":
        yield node.name
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "args", "param"):
        inner = getattr(node, name, None)
        for one in inner if isinstance(inner, list) else [inner]:
            if one is not None and not isinstance(one, str | int | float):
                yield from _selectors(one)


def named() -> set[str]:
    """Every series that an alert or a dashboard asks the gateways for."""
    return {name for expression in expressions() for name in metrics_in(expression)} - FROM_PROMETHEUS


def make_everything_move(stack: Stack) -> None:
    """Calls of every sort: served, kept, refused, failed, gone elsewhere, without a price, over a soft budget."""
    gateway = stack.proxy
    for name, params in (
        ("broken", {"model": "demo/demo", "demo": {"fault": "error_500", "latency_ms": 0}}),
        ("broken", {"model": "demo/demo", "demo": {"fault": "error_500", "latency_ms": 1}}),
        ("broken-too", {"model": "demo/demo", "demo": {"fault": "error_500", "latency_ms": 0}}),
        ("unpriced", {"model": "openai/a-model-nobody-priced"}),
    ):
        gateway.admin("POST", "/model/new", {"model_name": name, "litellm_params": params})
    _until_all_know(stack, "unpriced")
    team = gateway.admin("POST", "/team/new", {"team_alias": "of the figures"})["team_id"]
    key = gateway.create_key(max_budget=5, soft_budget=0.000001, team_id=team, key_alias="of the figures")
    for name in REPLICAS:
        replica = stack.client(name)
        assert replica.chat("gpt-4o", f"story {name}", key=key, stream=True).status == 200
        _until_kept(replica, key)
        assert replica.chat("unpriced", "Hello!", key=key).status == 200
        assert replica.chat("demo", "Hello!", key="sk-nobody").status == 401
        for number in range(6):
            question = f"{name} {number}"
            assert replica.chat("broken", question, key=key, num_retries=0, fallbacks=["demo"]).status == 200
            replica.chat("broken-too", question, key=key, num_retries=0, fallbacks=["broken"])
    overfill_a_callback(stack.client(REPLICAS[0]))


def overfill_a_callback(replica: Gateway) -> None:
    """More long calls than wait for a place that nobody can reach."""
    settings = {
        "environment_variables": {"GENERIC_LOGGER_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
        "litellm_settings": {"success_callback": ["generic_api"]},
    }
    replica.admin("POST", "/config/update", settings)
    for number in range(14):
        assert replica.chat("demo", f"{number} {'long ' * 600_000}", max_tokens=1).status == 200


def are_collected_and_move(stack: Stack) -> None:
    """Prometheus has each of them from the gateways; counters have counted, gauges have shown more than one value."""
    make_everything_move(stack)
    wanted = named()
    assert len(wanted) > 30
    deadline = time.monotonic() + 15
    while missing := {name for name in wanted if not _moves(stack, name)}:
        assert time.monotonic() < deadline, missing
        time.sleep(0.3)
    targets = ask(stack, "/api/v1/targets")["activeTargets"]
    assert {target["health"] for target in targets if target["labels"]["job"] == "tollway"} == {"up"}
    rules = [rule for group in ask(stack, "/api/v1/rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in rules} == {rule["name"]: "ok" for rule in rules}
    assert len(rules) == len(alert_expressions())


def _moves(stack: Stack, name: str) -> bool:
    if _STEADY.match(name):
        query = f"count({name})"
    elif name.endswith(("_total", "_bucket", "_count")):
        query = f"max({name}) > 0"
    else:
        query = f"max(max_over_time({name}[10m])) > min(min_over_time({name}[10m]))"
    return bool(ask(stack, "/api/v1/query", query=query)["result"])


def ask(stack: Stack, path: str, **parameters: str) -> Any:
    """What Prometheus answers over its API."""
    answer = stack.prometheus.get(f"{path}?{urlencode(parameters)}")
    assert answer.status == 200, answer.body
    return answer.json()["data"]


def _until_kept(replica: Gateway, key: str) -> None:
    """Its cache answers: after an outage of Redis that takes a while."""
    deadline = time.monotonic() + 20
    while "x-litellm-cache-key" not in replica.chat("gpt-4o", "Hello!", key=key).headers:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_all_know(stack: Stack, model: str) -> None:
    deadline = time.monotonic() + 10
    key = stack.proxy.master_key
    while not all(model in stack.client(name).get("/v1/models", key=key).body.decode() for name in REPLICAS):
        assert time.monotonic() < deadline
        time.sleep(0.1)
