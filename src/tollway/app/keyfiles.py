"""Keys that nobody gave: generated once and kept in files of mode 0600 in the data folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tollway.core.errors import Misconfigured
from tollway.core.ids import new_virtual_key


class StoredKey(msgspec.Struct, frozen=True):
    """A key and whether it was made just now."""

    value: str
    path: Path
    is_new: bool


def load_or_create_key(path: Path) -> StoredKey:
    """The key in a file, made if there is none. Raises `Misconfigured` if the file cannot be used."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return StoredKey(_read(path), path, is_new=False)
    except OSError as error:
        raise Misconfigured(f"Cannot write {path}: {error.strerror}. Give a writable --data-dir.") from None
    key = new_virtual_key()
    with os.fdopen(handle, "w") as file:
        file.write(key + "\n")
    return StoredKey(key, path, is_new=True)


def _read(path: Path) -> str:
    try:
        value = path.read_text().strip()
    except OSError as error:
        raise Misconfigured(f"Cannot read {path}: {error.strerror}.") from None
    if not value:
        raise Misconfigured(f"{path} is empty. Delete it to have a new key made.")
    return value
