"""The Helm chart and the plain manifests: rendered by Helm's own code, checked without a cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import helm_python
import pytest
import yaml
from helm_python import Chart, HelmRenderError, HelmValuesError
from tests.docs.pages import CLONE
from tests.support.charts import CHART, OLDEST, Manifest, notes, of_kind, one, pods, read_manifests, render, validate

from tollway import __version__
from tollway.accounting.price_book import PriceBook
from tollway.cli import main
from tollway.config.compile import compile_snapshot
from tollway.config.keys import GENERAL
from tollway.config.load import load
from tollway.dataplane.routes import ROUTES

KUBERNETES = CLONE / "deploy" / "kubernetes"
EXTERNAL = {
    "database": {"host": "db.internal", "password": {"secret": "db", "key": "password"}},
    "redis": {"host": "redis.internal", "tls": True},
}
EVERYTHING = {
    "autoscaling": {"enabled": True},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "tls": [{"secretName": "tls", "hosts": ["tollway.example.com"]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"calls": "models"}}}]},
    "image": {"digest": f"sha256:{'a' * 64}", "pullSecrets": ["registry"]},
    "journal": {"className": "fast"},
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.internal:3128"}],
    "podLabels": {"team": "platform"},
    "podAnnotations": {"example.com/note": "here"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"}},
    "nodeSelector": {"pool": "gateways"},
    "tolerations": [{"key": "gateways", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
URLS = {
    "database": {"url": {"secret": "db", "key": "url"}},
    "redis": {"url": {"secret": "redis", "key": "url"}},
    "replicas": 1,
    "secrets": {"providers": ""},
    "serviceAccount": {"create": False},
    "migrations": {"enabled": False},
}
VARIANTS = {"as it is": {}, "external servers": EXTERNAL, "everything": EVERYTHING, "addresses in secrets": URLS}


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda name: name.replace(" ", "-"))
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """The chart's objects, with one set of values after the other."""
    return render(VARIANTS[request.param])


def environment(template: Manifest) -> dict[str, Any]:
    """Variables of a pod's only container: their value, or where it is from."""
    [container] = template["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", ())}


def gateway_of(manifests: list[Manifest]) -> Manifest:
    template: Manifest = one(manifests, "StatefulSet", "tollway")["spec"]["template"]
    return template


def selects(selector: dict[str, str], template: Manifest) -> bool:
    labels: dict[str, str] = template["metadata"]["labels"]
    return selector.items() <= labels.items()


# ---- the chart is well made ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", VARIANTS.values(), ids=lambda _: "values")
def test_helm_finds_nothing_wrong_with_the_chart(values: dict[str, Any]) -> None:
    report = helm_python.lint(CHART, values, strict=True)
    assert report["errors"] == []
    assert {message["error"] for message in report["messages"]} <= {"icon is recommended"}


def test_every_object_fits_what_kubernetes_takes(manifests: list[Manifest]) -> None:
    assert len(manifests) >= 4
    validate(manifests)


def test_the_oldest_kubernetes_that_the_chart_names_takes_them_too() -> None:
    stated = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert stated.startswith(f">={OLDEST}.")
    validate(render(EVERYTHING), OLDEST)


def test_the_version_is_that_of_the_code() -> None:
    stated = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert stated["appVersion"] == __version__


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replica": 3}, "'replica' not allowed"),
        ({"database": {"hots": "db"}}, "'hots' not allowed"),
        ({"replicas": 0}, "/replicas"),
        ({"redis": {"password": {"secret": ""}}}, "/redis/password/secret"),
        ({"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}}, "raise the latter"),
        ({"shutdown": {"gracePeriodSeconds": 35}}, "the 30 s that calls in flight get"),
        (
            {"config": {"general_settings": {"graceful_shutdown_timeout": 90}}},
            "the 90 s that calls in flight get",
        ),
    ],
    ids=lambda each: str(each)[:40],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises((HelmValuesError, HelmRenderError), match=re.escape(says)):
        render(values)


def test_every_value_has_a_place_in_its_schema() -> None:
    with Chart.load(CHART) as chart:
        values, schema = chart.values, chart.schema
    assert schema is not None
    assert set(schema["properties"]) == set(values) | {"global"}


# ---- what is installed works with each other -------------------------------------------------------------------------


def test_every_selector_finds_exactly_the_pods_that_are_meant(manifests: list[Manifest]) -> None:
    templates = list(pods(manifests))
    for service in of_kind(manifests, "Service"):
        found = [each for each in templates if selects(service["spec"]["selector"], each)]
        assert len(found) == 1, service["metadata"]["name"]
        names = {port["name"] for container in found[0]["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    gateway = gateway_of(manifests)
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for each in of_kind(manifests, kind):
            selector = each["spec"].get("selector", each["spec"].get("podSelector"))["matchLabels"]
            found = [template for template in templates if selects(selector, template)]
            assert len(found) == 1
            assert (found[0] == gateway) is (each["metadata"]["name"] == "tollway")


def test_names_that_objects_call_each_other_by_exist(manifests: list[Manifest]) -> None:
    configurations = {each["metadata"]["name"]: each["data"] for each in of_kind(manifests, "ConfigMap")}
    accounts = {each["metadata"]["name"] for each in of_kind(manifests, "ServiceAccount")} | {"default"}
    services = {each["metadata"]["name"] for each in of_kind(manifests, "Service")}
    claims = {"data"}
    for template in pods(manifests):
        spec = template["spec"]
        assert spec.get("serviceAccountName", "default") in accounts
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert {each["configMap"]["name"] for each in volumes.values() if "configMap" in each} <= set(configurations)
        for container in spec["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes) | claims
    for each in of_kind(manifests, "StatefulSet"):
        assert each["spec"]["serviceName"] in services
    for ingress in of_kind(manifests, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            [path] = rule["http"]["paths"]
            assert path["backend"]["service"] == {"name": "tollway", "port": {"name": "http"}}
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "tollway"}
        assert "replicas" not in one(manifests, "StatefulSet", "tollway")["spec"], "the autoscaler's would be undone"


def test_the_monitor_asks_each_gateway_once() -> None:
    installed = render(EVERYTHING)
    [monitor] = of_kind(installed, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [each for each in of_kind(installed, "Service") if wanted.items() <= each["metadata"]["labels"].items()]
    assert [each["metadata"]["name"] for each in found] == ["tollway-gateways"]
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}
    assert found[0]["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize(("values", "others"), [({}, {"postgres", "valkey"}), (EXTERNAL, set()), (URLS, set())])
def test_servers_of_its_own_come_only_where_none_is_named(values: dict[str, Any], others: set[str]) -> None:
    installed = render(values)
    assert {each["metadata"]["name"] for each in of_kind(installed, "StatefulSet")} == {
        "tollway",
        *(f"tollway-{other}" for other in others),
    }
    variables = environment(gateway_of(installed))
    if others:
        assert (variables["DATABASE_HOST"], variables["REDIS_HOST"]) == ("tollway-postgres", "tollway-valkey")
    elif values is EXTERNAL:
        assert (variables["DATABASE_HOST"], variables["REDIS_HOST"]) == ("db.internal", "redis.internal")
        assert variables["REDIS_SSL"] == "true"
        assert variables["DATABASE_PASSWORD"] == {"secretKeyRef": {"name": "db", "key": "password"}}
    else:
        assert variables["DATABASE_URL"] == {"secretKeyRef": {"name": "db", "key": "url"}}
        assert variables["REDIS_URL"] == {"secretKeyRef": {"name": "redis", "key": "url"}}


def test_one_gateway_has_no_budget_that_would_hold_up_a_drain_for_ever() -> None:
    assert of_kind(render({"replicas": 1}), "PodDisruptionBudget") == []
    assert [each["spec"]["maxUnavailable"] for each in of_kind(render(), "PodDisruptionBudget")] == [1]


# ---- the gateway in it -----------------------------------------------------------------------------------------------


def test_the_gateways_variables_are_known_to_it(manifests: list[Manifest]) -> None:
    # That page is generated from the code.
    known = set(re.findall(r"`([A-Z_]+)`", (CLONE / "docs" / "reference" / "environment.md").read_text()))
    known |= {"HTTPS_PROXY"}
    for template in pods(manifests):
        if template["metadata"]["labels"]["app.kubernetes.io/component"] in ("gateway", "migrate"):
            assert set(environment(template)) <= known


@pytest.mark.parametrize("template", [0, 1], ids=["gateway", "migrate"])
def test_the_gateway_and_the_migration_are_commands_of_the_program(template: int) -> None:
    installed = render(EXTERNAL)
    objects = (one(installed, "StatefulSet", "tollway"), one(installed, "Job", "tollway-migrate"))
    [container] = objects[template]["spec"]["template"]["spec"]["containers"]
    words = [word for word in container["args"] if word not in ("--config", "/etc/tollway/config.yaml")]
    command: Any = main
    for word in words:
        command = command.get_command(click.Context(command), word)
    assert command.callback is not None
    if "--config" in container["args"]:
        assert {"--config"} <= {option for each in command.params for option in each.opts}


def test_probes_ask_pages_that_need_no_key(manifests: list[Manifest]) -> None:
    [container] = gateway_of(manifests)["spec"]["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"].rpartition("/")[2] for name, probe in probes.items()} == {
        "startup": "liveliness",
        "liveness": "liveliness",
        "readiness": "readiness",
    }
    open_pages = {route.path for route in ROUTES}
    assert {probe["path"] for probe in probes.values()} <= open_pages
    assert {probe["port"] for probe in probes.values()} == {"http"}


def test_the_configuration_is_one_that_the_gateway_takes_without_a_warning(tmp_path: Path) -> None:
    text = one(render(), "ConfigMap", "tollway")["data"]["config.yaml"]
    assert "sk-" not in text
    (tmp_path / "config.yaml").write_text(text)
    installed = environment(gateway_of(render()))
    given = {
        name: value if isinstance(value, str) else "sk-of-the-test-0123456789" for name, value in installed.items()
    }
    environ = {"HOME": str(tmp_path), "OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", **given}
    configuration = load(tmp_path / "config.yaml", environ=environ)
    notices = list(configuration.notices)
    compile_snapshot(configuration, prices=PriceBook.load(), discovered=(), version=1, notices=notices)
    assert notices == []
    assert configuration.server.port == 4000
    assert str(configuration.server.data_dir) == "/data"


def test_another_configuration_replaces_the_gateways() -> None:
    def configured(values: dict[str, Any]) -> str:
        text: str = gateway_of(render(values))["metadata"]["annotations"]["tollway/config"]
        return text

    assert configured({}) == configured({"replicas": 3})
    assert configured({}) != configured({"config": {"litellm_settings": {"cache": False}}})


def test_the_journal_outlives_its_gateway(manifests: list[Manifest]) -> None:
    gateway = one(manifests, "StatefulSet", "tollway")["spec"]
    [claim] = gateway["volumeClaimTemplates"]
    [container] = gateway["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == environment(gateway["template"])["TOLLWAY_DATA_DIR"]
    assert set(gateway["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}


def test_a_gateway_has_the_time_to_finish_its_calls(manifests: list[Manifest]) -> None:
    spec = gateway_of(manifests)["spec"]
    delay = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = GENERAL.by_name["graceful_shutdown_timeout"].default
    assert delay > 0
    assert spec["terminationGracePeriodSeconds"] > delay + drain


def test_no_container_has_more_rights_than_it_needs(manifests: list[Manifest]) -> None:
    for template in pods(manifests):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False, "variables of a Service named tollway would be read as settings"
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert "cpu" in container["resources"]["requests"]


def test_the_user_is_that_of_the_image(manifests: list[Manifest]) -> None:
    [user] = re.findall(r"^USER (\d+)", (CLONE / "Dockerfile").read_text(), re.MULTILINE)
    assert gateway_of(manifests)["spec"]["securityContext"]["runAsUser"] == int(user)


def test_no_object_holds_a_secret(manifests: list[Manifest]) -> None:
    assert of_kind(manifests, "Secret") == []
    for template in pods(manifests):
        for name, value in environment(template).items():
            is_secret = name.endswith(("_PASSWORD", "_KEY")) or name in ("DATABASE_URL", "REDIS_URL")
            assert isinstance(value, dict) is is_secret, name


@pytest.mark.parametrize(
    ("values", "hook"), [({}, "pre-upgrade"), (EXTERNAL, "pre-install,pre-upgrade"), (URLS, None)], ids=str
)
def test_the_schema_is_upgraded_before_the_gateways(values: dict[str, Any], hook: str | None) -> None:
    jobs = of_kind(render(values), "Job")
    assert [job["metadata"]["annotations"]["helm.sh/hook"] for job in jobs] == [hook] * (hook is not None)


def test_the_notes_say_where_it_answers() -> None:
    assert "port-forward service/tollway 4000:80" in notes()
    assert "Name one of your own" in notes()
    assert "https://tollway.example.com" in notes(EVERYTHING)
    assert "Name one of your own" not in notes(EXTERNAL)


# ---- plain manifests -------------------------------------------------------------------------------------------------


def test_the_plain_manifests_are_what_the_chart_gives() -> None:
    script = [sys.executable, str(CLONE / "scripts" / "render_manifests.py"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert checked.returncode == 0, checked.stderr
    plain = read_manifests((KUBERNETES / "tollway.yaml").read_text())
    validate(plain)
    assert {each["kind"] for each in plain} == {each["kind"] for each in render()} - {"Job"}
    assert "helm" not in (KUBERNETES / "tollway.yaml").read_text().replace("deploy/helm", "").lower()


def test_the_example_of_secrets_has_all_that_is_asked_for() -> None:
    secrets = read_manifests((KUBERNETES / "secrets.example.yaml").read_text())
    validate(secrets)
    has = {secret["metadata"]["name"]: set(secret["stringData"]) for secret in secrets}
    for template in pods(render()):
        for value in environment(template).values():
            if isinstance(value, dict):
                assert value["secretKeyRef"]["key"] in has[value["secretKeyRef"]["name"]]
        for container in template["spec"]["containers"]:
            assert {source["secretRef"]["name"] for source in container.get("envFrom", ())} <= set(has)
