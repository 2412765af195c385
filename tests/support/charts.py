"""The Helm chart, rendered by Helm's own code without a cluster; Kubernetes' schemas judge its objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from helm_python import Chart

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "tollway"
OLDEST, NEWEST = "1.27", "1.37"
"""Versions of Kubernetes whose schemas objects have to fit."""
OF_OPERATORS = {"ServiceMonitor"}
"""Kinds that Kubernetes itself does not know."""

Manifest = dict[str, Any]


def render(values: Mapping[str, Any] | None = None) -> list[Manifest]:
    """The objects that an installation with these values has."""
    with Chart.load(CHART) as chart:
        rendered = chart.render(dict(values or {}), name="tollway", namespace="gateways")
    return [each for name, text in rendered.items() if name.endswith(".yaml") for each in read_manifests(text)]


def notes(values: Mapping[str, Any] | None = None) -> str:
    """What Helm says when it is done."""
    with Chart.load(CHART) as chart:
        [text] = [
            text
            for name, text in chart.render(dict(values or {}), name="tollway", namespace="gateways").items()
            if name.endswith("NOTES.txt")
        ]
    return text


def read_manifests(text: str) -> list[Manifest]:
    """The objects of a file."""
    return [each for each in yaml.safe_load_all(text) if each]


def validate(manifests: Iterable[Manifest], version: str = NEWEST) -> None:
    """Raises where an object does not fit, or has fields that Kubernetes does not know."""
    for manifest in manifests:
        if manifest["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def one(manifests: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """The object of that kind and name."""
    [found] = [each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name]
    return found


def pods(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    """Templates of pods."""
    for manifest in manifests:
        if manifest["kind"] in ("StatefulSet", "Job"):
            yield manifest["spec"]["template"]
