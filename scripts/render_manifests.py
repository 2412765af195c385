"""Writes deploy/kubernetes/tollway.yaml, the chart with its values as they are, for clusters without Helm.

`--check` only says whether the file is what the chart would give.
"""

from __future__ import annotations

import sys
from pathlib import Path

from helm_python import Chart

CLONE = Path(__file__).resolve().parents[1]
CHART = CLONE / "deploy" / "helm" / "tollway"
MANIFESTS = CLONE / "deploy" / "kubernetes" / "tollway.yaml"
HEADING = """\
# Written by scripts/render_manifests.py from the chart in deploy/helm/tollway. Change the chart, not this file.
#
#   kubectl create namespace tollway
#   kubectl apply --namespace tollway -f secrets.yaml -f tollway.yaml     (secrets.yaml: see secrets.example.yaml)
"""
OF_HELM = ("app.kubernetes.io/managed-by:", "helm.sh/chart:")
"""Labels that say Helm looks after an object."""


def manifests() -> str:
    """All objects of the chart, without hooks: the first gateway makes the schema."""
    with Chart.load(CHART) as chart:
        rendered = chart.render({"migrations": {"enabled": False}}, name="tollway", namespace="tollway")
    documents = [text.strip() for name, text in sorted(rendered.items()) if name.endswith(".yaml") and text.strip()]
    lines = "\n---\n".join(documents).splitlines()
    return HEADING + "---\n" + "\n".join(line.rstrip() for line in lines if not line.strip().startswith(OF_HELM)) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(None if MANIFESTS.read_text() == manifests() else f"{MANIFESTS.name} is old: run this without --check")
    MANIFESTS.write_text(manifests())
