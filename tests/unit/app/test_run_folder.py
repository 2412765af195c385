"""What the processes of one gateway share while it runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tollway.app.embedded import EmbeddedValkey
from tollway.app.run_folder import VALKEY_SOCKET, RunFolder
from tollway.core.errors import Misconfigured


def test_it_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.path.parent == tmp_path / "run"
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "file").touch()
    folder.remove()
    assert list((tmp_path / "run").iterdir()) == []


def test_what_an_earlier_run_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    left = tmp_path / "run" / "abc"
    left.mkdir(parents=True)
    (left / "lock").touch()
    in_use = RunFolder(tmp_path)
    assert not left.exists()
    other = RunFolder(tmp_path)
    assert in_use.path.exists()
    assert other.path != in_use.path
    other.remove()
    in_use.remove()


def test_a_server_that_was_left_is_stopped(tmp_path: Path) -> None:
    left = tmp_path / "run" / "abc"
    left.mkdir(parents=True)
    valkey = EmbeddedValkey(left)
    valkey.start()
    try:
        RunFolder(tmp_path).remove()
        with pytest.raises(OSError, match=r"refused|No such file"), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(left / VALKEY_SOCKET))
    finally:
        valkey.stop()


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(Misconfigured, match="Give a writable --data-dir"):
        RunFolder(tmp_path)
