from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.records import make_record

from tollway.accounting.journal import FileJournal
from tollway.accounting.owners import Owners

DIES = """
import os, pathlib, signal, sys
from tollway.accounting.owners import Owners
Owners(pathlib.Path(sys.argv[1]), "killed")
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(folder)], check=False)


def test_a_worker_that_lives_is_not_gone(tmp_path: Path) -> None:
    first, second = Owners(tmp_path, "first"), Owners(tmp_path, "second")
    assert first.gone() == second.gone() == []


def test_one_that_was_killed_is_gone_until_it_is_buried(tmp_path: Path) -> None:
    killed(tmp_path)
    owners = Owners(tmp_path, "other")
    assert owners.gone() == owners.gone() == ["killed"]
    owners.bury("killed")
    assert owners.gone() == []


def test_one_that_left_is_no_matter(tmp_path: Path) -> None:
    Owners(tmp_path, "first").leave()
    assert Owners(tmp_path, "other").gone() == []


async def test_nobody_is_gone_as_long_as_its_records_are_in_the_journal(tmp_path: Path) -> None:
    killed(tmp_path)
    journal = FileJournal(tmp_path, owner="killed")
    await journal.append(make_record())
    owners = Owners(tmp_path, "other")
    assert owners.gone() == []
    journal.close()
    adopter = FileJournal(tmp_path, owner="other")
    assert adopter.adopt() == 1
    (segment,) = adopter.sealed()
    await adopter.discard(segment)
    assert owners.gone() == ["killed"]
