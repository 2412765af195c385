"""Alerts and dashboards, without a gateway; tests/guide holds them against the metrics of a running stack."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.pages import CLONE, DOCS
from tests.guide.figures import ALERTS, DASHBOARDS, alert_expressions, metrics_in, named, panel_expressions
from tests.support.programs import find_program

PROMETHEUS = CLONE / "deploy" / "prometheus"
GRAFANA = CLONE / "deploy" / "grafana" / "provisioning"
REFERENCE = (DOCS / "reference" / "metrics.md").read_text()


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> str:
    program = find_program("promtool", package="prometheus")
    ran = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_prometheus_takes_its_configuration_and_the_rules() -> None:
    assert f"{len(alert_expressions())} rules found" in promtool("check", "config", "prometheus.yml")


def test_alerts_come_when_they_should_and_not_before(tmp_path: Path) -> None:
    shutil.copy(ALERTS, tmp_path)
    shutil.copy(Path(__file__).with_name("alerts.test.yml"), tmp_path)
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml", folder=tmp_path)


def test_every_alert_says_how_urgent_it_is_what_happened_and_what_to_do() -> None:
    rules: list[dict[str, Any]] = [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}
    guides = set(re.findall(r"docs/guides/[\w-]+\.md", ALERTS.read_text()))
    assert [guide for guide in guides if not (CLONE / guide).exists()] == []


def test_they_ask_for_series_that_the_reference_has() -> None:
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named() if not name.startswith("process_")}
    assert {name for name in base if f"`{name}`" not in REFERENCE} == set()


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_whole(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    panels = dashboard["panels"]
    source = yaml.safe_load((GRAFANA / "datasources" / "prometheus.yaml").read_text())["datasources"][0]["uid"]
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {source}
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {f"${variable['name']}" for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\w+", " ".join(t["expr"] for p in panels for t in p.get("targets", []))))
    assert used == variables
    assert all(metrics_in(expression) for expression in panel_expressions(file))


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_no_panel_lies_on_another(file: Path) -> None:
    places = [panel["gridPos"] for panel in json.loads(file.read_text())["panels"]]
    for x in range(24):
        column = sorted((p["y"], p["y"] + p["h"]) for p in places if p["x"] <= x < p["x"] + p["w"])
        assert all(end <= begin for (_, end), (begin, _) in pairwise(column))


def test_both_dashboards_are_where_grafana_looks_for_them() -> None:
    assert [file.stem for file in DASHBOARDS] == ["operations", "spend"]
    provider = yaml.safe_load((GRAFANA / "dashboards" / "tollway.yaml").read_text())["providers"][0]
    mounts = yaml.safe_load((CLONE / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
