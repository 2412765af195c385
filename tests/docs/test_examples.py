"""The examples of the README, the guides and CONTRIBUTING, run in order against a gateway of each page's own."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import CLONE, GUIDES, Example, read_examples
from tests.support.agents import agent_scripts
from tests.support.databases import empty_database
from tests.support.gateway import Gateway, running_gateway
from tests.support.litellm_database import make_litellm_database

from tollway.accounting.price_book import PriceBook
from tollway.config.compile import compile_snapshot
from tollway.config.load import load
from tollway.config.problem import Problem

ADDRESS = "http://localhost:4000"
KEY = "sk-your-key"
POSTGRES = "postgresql://tollway:secret@localhost:5432/tollway"
LITELLM = "postgresql://llmproxy:dbpassword9090@localhost:5432/litellm"
LANGUAGES = {"bash", "python", "yaml", "text"}

_PROGRAM = Path(sys.executable).with_name("tollway")
_TOLLWAY = f"""#!/usr/bin/env bash
# `tollway serve` of an example starts, says so, and is stopped; every other command is run as it is.
[ "${{1-}}" = serve ] && [[ " $* " != *" --help "* ]] || exec {_PROGRAM} "$@"
unset TOLLWAY_URL TOLLWAY_PID
log=$(mktemp)
{_PROGRAM} "$@" --host 127.0.0.1 --port 0 --data-dir "$(mktemp -d)" >"$log" 2>&1 & process=$!
until grep -q 'listens on' "$log"; do
  kill -0 $process 2>/dev/null || {{ cat "$log" >&2; exit 1; }}
  sleep 0.05
done
kill $process && wait $process
"""
_MAKE = f"""#!/usr/bin/env bash
# The targets of an example exist.
exec {{make}} --dry-run --directory {CLONE} "$@"
"""
_IN_A_CLUSTER = f"""#!/usr/bin/env bash
# Objects of an example are checked, and run nowhere.
PYTHONPATH={CLONE} exec {sys.executable} -m tests.docs.cluster {{program}} "$@"
"""
_CURLRC = 'silent\nshow-error\nwrite-out = "%{stderr}[[%{http_code}]]\\n"\n'


@dataclass
class Reader:
    """Somebody who goes through a page and types in what it says."""

    folder: Path
    gateway: Gateway

    def follow(self, example: Example) -> None:
        """Runs an example; it must come to what the page says."""
        {"bash": self._type, "python": self._run, "yaml": self._save}[example.language](example)

    def _type(self, example: Example) -> None:
        script = (
            f"set -euo pipefail; set -a\n[ ! -e .state ] || . ./.state\n{self._made_real(example)}\nexport -p >.state\n"
        )
        ran = self._execute(["bash", "-c", script], example)
        statuses = [int(status) for status in re.findall(r"\[\[(\d+)\]\]", ran.stderr)]
        expected = example.statuses or [200] * len(re.findall(r"\bcurl\b", example.text))
        assert statuses == expected, f"{example}\n{ran.stdout}\n{ran.stderr}"

    def _run(self, example: Example) -> None:
        self._execute([sys.executable, "-W", "error", "-c", self._made_real(example)], example)

    def _save(self, example: Example) -> None:
        target = self.folder / (example.title or "fragment.yaml")
        target.write_text(example.text)
        check_configuration(target, example)

    def _made_real(self, example: Example) -> str:
        text = example.text.replace(ADDRESS, self.gateway.url)
        if POSTGRES in text:
            text = text.replace(POSTGRES, empty_database("postgres", self.folder))
        if LITELLM in text:
            text = text.replace(LITELLM, asyncio.run(make_litellm_database()))
        return text.replace(KEY, self.gateway.create_key()) if KEY in text else text

    def _execute(self, command: list[str], example: Example) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TOLLWAY_URL": self.gateway.url,
            "TOLLWAY_MASTER_KEY": self.gateway.master_key,
            "TOLLWAY_PID": str(self.gateway.process.pid),
        }
        ran = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, f"{example} ended with {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran


@contextmanager
def reader_of(page: Path, folder: Path) -> Iterator[Reader]:
    """A reader with a gateway, which runs on the configuration that the page marks, if any."""
    (folder / "bin").mkdir()
    make = subprocess.run(["bash", "-c", "command -v make"], capture_output=True, text=True, check=True).stdout.strip()
    programs = {"tollway": _TOLLWAY, "make": _MAKE.format(make=make)}
    programs |= agent_scripts()
    programs |= {name: _IN_A_CLUSTER.format(program=name) for name in ("helm", "kubectl")}
    for name, text in programs.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "deploy").symlink_to(CLONE / "deploy")
    (folder / ".curlrc").write_text(_CURLRC)
    marked = [example.text for example in read_examples(page) if example.expects == "gateway"]
    config = yaml.safe_load(marked[0]) if marked else None
    with running_gateway(folder, config) as gateway:
        yield Reader(folder, gateway)


def check_configuration(path: Path, example: Example) -> None:
    """`tollway serve` takes the file, and warns only where the page says so."""
    files = "".join(file.read_text() for file in path.parent.glob("*.yaml"))  # one may include another
    names = re.findall(r"os\.environ/(\w+)", files)
    configuration = load(path, environ={"HOME": str(path.parent)} | dict.fromkeys(names, "sk-of-the-reader-0123456789"))
    notices: list[Problem] = list(configuration.notices)
    compile_snapshot(configuration, prices=PriceBook.load(), discovered=(), version=1, notices=notices)
    assert bool(notices) is (example.expects == "warns"), f"{example}: {notices}"


def runnable(page: Path) -> list[Example]:
    """All but output, and what tests/guide runs on the whole stack."""
    examples = read_examples(page)
    return [one for one in examples if one.language != "text" and not one.expects.startswith("stack: ")]


WITH_EXAMPLES = [page for page in GUIDES if runnable(page)]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(CLONE)))
def test_every_example_of_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    with reader_of(page, tmp_path) as reader:
        for example in runnable(page):
            reader.follow(example)


def test_the_readme_and_the_guides_have_examples() -> None:
    assert {CLONE / "README.md", *(CLONE / "docs" / "guides").glob("*.md")} - set(WITH_EXAMPLES) == {
        CLONE / "docs" / "guides" / "guarantees.md",  # tables and sentences
        CLONE / "docs" / "guides" / "deployment.md",  # on the whole stack
        CLONE / "docs" / "guides" / "quick-reference.md",
    }


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(CLONE)))
def test_a_block_is_a_runnable_example_or_output(page: Path) -> None:
    assert {example.language for example in read_examples(page)} <= LANGUAGES
    assert page.read_text().count("```") == 2 * len(read_examples(page))
