"""The reference says what the code does, and leaves nothing out."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import click
import pytest
from tests.docs.pages import CLONE, DOCS

from tollway import providers
from tollway.cli import main
from tollway.config.keys import VARIABLES, all_keys
from tollway.control.api import role_matrix
from tollway.core.errors import TollwayError
from tollway.core.principal import GrantKind
from tollway.dataplane.listing import ModelNotFound
from tollway.dataplane.routes import ROUTES, SOCKETS
from tollway.dialects.openai.errors import _BY_STATUS
from tollway.observability.exposition import COUNTERS, GAUGE_MEANINGS, HISTOGRAMS
from tollway.policy.access import RouteForbidden

SCRIPT = CLONE / "scripts" / "generate_reference.py"
REFERENCE = DOCS / "reference"


def cells(page: Path) -> set[str]:
    """Everything monospaced on a page."""
    return set(re.findall(r"`([^`\n]+)`", page.read_text()))


def error_classes(base: type[TollwayError]) -> set[type[TollwayError]]:
    return {base}.union(*map(error_classes, base.__subclasses__()))


def types_in_the_code() -> set[str]:
    """Values of `type=` that look like types of errors: words joined by underscores, next to a known error class."""
    names = "|".join(error.__name__ for error in error_classes(TollwayError))
    call = re.compile(rf"\b(?:{names})\(")
    found: set[str] = set()
    for path in (CLONE / "src").rglob("*.py"):
        text = path.read_text()
        for start in call.finditer(text):
            head = text[start.end() : start.end() + 600].split("\n\n")[0]
            arguments = head[: _end_of_call(head)]
            found |= set(re.findall(r'\btype="(\w+)"', arguments))
    return found


def _end_of_call(text: str) -> int:
    depth = 1
    for at, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return at
    return len(text)


def test_the_reference_is_what_the_code_says() -> None:
    checked = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_page_that_drifted_is_named(tmp_path: Path) -> None:
    changed = SCRIPT.read_text().replace('CLONE / "docs" / "reference"', f"Path({str(tmp_path)!r})")
    changed = changed.replace("Path(__file__).resolve().parent.parent", f"Path({str(CLONE)!r})")
    copy = tmp_path / "generate_reference.py"
    copy.write_text(changed)
    subprocess.run([sys.executable, copy], check=True)
    page = tmp_path / "routes.md"
    page.write_text(page.read_text() + "One more line.\n")
    checked = subprocess.run([sys.executable, copy, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, "routes.md" in checked.stderr, "errors.md" in checked.stderr) == (1, True, False)


def test_every_setting_is_there() -> None:
    text = (REFERENCE / "configuration.md").read_text()
    sections = {section.split("\n", 1)[0].strip("`"): section for section in text.split("\n## ")[1:]}
    missing = {
        key.path
        for key in all_keys()
        if f"| `{key.name}`" not in sections[key.section or "Top level"].replace("\\|", "|")
    }
    assert missing == set()


def test_every_variable_is_there() -> None:
    named = cells(REFERENCE / "environment.md")
    assert {variable.name for variable in VARIABLES} - named == set()
    assert {key.twin for key in all_keys() if key.sets.startswith("server.")} - named == set()


def test_every_route_is_there_with_its_method() -> None:
    rows = set(re.findall(r"^\| (\w+) \| `([^`]+)` \|", (REFERENCE / "routes.md").read_text(), re.MULTILINE))
    assert rows == {(route.method, route.path) for route in (*ROUTES, *SOCKETS)} | set(role_matrix())


def test_every_provider_is_there() -> None:
    named = cells(REFERENCE / "providers.md")
    assert {*providers.names(), *providers.table.ALIASES, *providers.table.LATER} - named == set()


def test_every_metric_is_there() -> None:
    named = cells(REFERENCE / "metrics.md")
    series = {f"{row.name}_total" for row in COUNTERS} | {row.name for row in HISTOGRAMS} | GAUGE_MEANINGS.keys()
    assert series - named == set()


@pytest.mark.parametrize("page", ["reference/errors.md", "guides/errors.md"])
def test_every_type_of_error_is_there(page: str) -> None:
    assert RouteForbidden in error_classes(TollwayError)
    assert ModelNotFound in error_classes(TollwayError)
    types = {error.type for error in error_classes(TollwayError)} | {row[1] for row in _BY_STATUS.values()}
    types |= types_in_the_code() | {f"{owner}_model_access_denied" for owner in get_args(GrantKind)}
    assert {"budget_exceeded", "expired_key", "key_model_access_denied"} <= types
    assert types - cells(DOCS / page) == set()


def test_every_command_and_option_is_there() -> None:
    named = cells(REFERENCE / "command-line.md")

    def names(command: click.Command, path: str) -> set[str]:
        found = {path} | {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
        if isinstance(command, click.Group):
            context = click.Context(command)
            for child in command.list_commands(context):
                subcommand = command.get_command(context, child)
                assert subcommand is not None
                found |= names(subcommand, f"{path} {child}")
        return found

    expected = names(main, "tollway")
    assert "tollway keys create" in expected
    assert expected - named == set()
