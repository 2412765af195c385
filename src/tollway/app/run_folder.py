"""What the processes of one gateway share while it runs: `run/<name>` in the data folder, mode 0700."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from tollway.core.errors import Misconfigured

VALKEY_SOCKET = "valkey"
_LOCK = "lock"


class RunFolder:
    """A folder of our own, locked for as long as any process lives that was forked after it was made.

    What earlier runs could not remove is removed first, and a server that they left behind is stopped.
    """

    def __init__(self, data_dir: Path) -> None:
        """Raises `Misconfigured`."""
        parent = data_dir.absolute() / "run"
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _one_at_a_time(parent):
                _sweep(parent)
                self.path = parent / token_hex(3)
                self.path.mkdir(mode=0o700)
                self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise Misconfigured(
                f"Cannot make a folder in {parent}: {error.strerror}. Give a writable --data-dir."
            ) from None

    def remove(self) -> None:
        """Everything in it goes as well."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def _one_at_a_time(parent: Path) -> Iterator[None]:
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    for folder in parent.iterdir():
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _stop_server(folder / VALKEY_SOCKET)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _stop_server(path: Path) -> None:
    """Where the system does not end it with its parent, as Linux does, it waits for us."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        connection.recv(1)
