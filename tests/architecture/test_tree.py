"""Invariants of the tree that no other tool checks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]
SOURCE = sorted((CLONE / "src").rglob("*.py"))
LONG_FILES: dict[str, str] = {}
"""Source files above 500 lines, and why they are better in one piece."""


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CLONE, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := CLONE / name).is_file()]


def test_imports_keep_to_the_layers() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    checked = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=False, timeout=100)
    assert checked.returncode == 0, checked.stdout


def test_a_source_file_above_500_lines_has_a_reason() -> None:
    long = {str(path.relative_to(CLONE)) for path in SOURCE if len(path.read_text().splitlines()) > 500}
    assert len(SOURCE) > 50
    assert long == LONG_FILES.keys()


def test_no_folder_of_tests_is_a_package() -> None:
    assert not list((CLONE / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("command", ["make run", "make test"])
def test_the_readme_names_both_commands(command: str) -> None:
    assert command in (CLONE / "README.md").read_text()


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    here = [str(folder) for folder in (CLONE, Path.home()) if len(folder.parts) > 1]
    pattern = re.compile("|".join(rf"(?<![\w./-]){re.escape(folder)}(?![\w-])" for folder in here).encode())
    assert [str(path.relative_to(CLONE)) for path in tracked_files() if pattern.search(path.read_bytes())] == []


def test_nothing_is_gated_behind_a_licence() -> None:
    # `premium_field` and `has_license` are names on the wire; here the one is always false, the other always true.
    gate = re.compile(r"premium(?!_field)|enterprise|has_licen[cs]e(?!: bool\n|=True,\n)|licen[cs]e_key", re.IGNORECASE)
    assert [str(path.relative_to(CLONE)) for path in SOURCE if gate.search(path.read_text())] == []
