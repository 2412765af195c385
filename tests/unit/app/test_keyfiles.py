from __future__ import annotations

import os
from pathlib import Path

import pytest

from tollway.app.keyfiles import load_or_create_key
from tollway.core.errors import Misconfigured


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    os.umask(0)
    first = load_or_create_key(tmp_path / "master_key")
    again = load_or_create_key(tmp_path / "master_key")
    assert first.is_new
    assert not again.is_new
    assert first.value == again.value
    assert first.value.startswith("sk-")
    assert (tmp_path / "master_key").stat().st_mode & 0o777 == 0o600


def test_keys_differ(tmp_path: Path) -> None:
    assert load_or_create_key(tmp_path / "a").value != load_or_create_key(tmp_path / "b").value


def test_an_empty_file_is_not_a_key(tmp_path: Path) -> None:
    (tmp_path / "master_key").write_text("\n")
    with pytest.raises(Misconfigured, match="is empty"):
        load_or_create_key(tmp_path / "master_key")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--data-dir"):
        load_or_create_key(tmp_path / "none" / "master_key")
