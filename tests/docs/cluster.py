"""`helm` and `kubectl` of a reader without a cluster: charts are rendered, and all objects checked, but nothing is run.

What an example may say is what this understands; everything else fails.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import helm_python
import yaml
from tests.support.charts import read_manifests, validate


@click.group()
def programs() -> None:
    """One command for each program."""


@programs.group()
def helm() -> None:
    """Of charts."""


@helm.command()
@click.argument("chart", type=click.Path(exists=True))
def lint(chart: str) -> None:
    """Fails where Helm finds something wrong."""
    errors = helm_python.lint(chart, strict=True)["errors"]
    sys.exit("\n".join(errors) or 0)


@helm.command()
@click.argument("release")
@click.argument("chart", type=click.Path(exists=True))
@click.option("--install", is_flag=True)
@click.option("--namespace", required=True)
@click.option("--create-namespace", is_flag=True)
@click.option("--values", type=click.Path(exists=True, path_type=Path))
@click.option("--set", "assignments", multiple=True)
def upgrade(release: str, chart: str, values: Path | None, assignments: Sequence[str], **flags: Any) -> None:
    """Says what an installation would say."""
    given = yaml.safe_load(values.read_text()) if values else {}
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        *parents, name = path.split(".")
        place = given
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = yaml.safe_load(text)
    with helm_python.Chart.load(chart) as loaded:
        rendered = loaded.render(given, name=release, namespace=flags["namespace"])
    for name, text in rendered.items():
        if name.endswith(".yaml"):
            validate(read_manifests(text))
        else:
            click.echo(text)


@programs.group()
def kubectl() -> None:
    """Of objects."""


@kubectl.command()
@click.option("--namespace", required=True)
@click.option("-f", "files", type=click.Path(exists=True, path_type=Path), multiple=True, required=True)
def apply(files: Sequence[Path], **_: Any) -> None:
    """Checks the objects of some files."""
    for file in files:
        validate(read_manifests(file.read_text()))


@kubectl.command()
@click.argument("kind", type=click.Choice(["namespace"]))
@click.argument("name")
def create(kind: str, name: str) -> None:
    """Checks the name of a namespace."""
    validate([{"apiVersion": "v1", "kind": kind.title(), "metadata": {"name": name}}])


if __name__ == "__main__":
    programs()
