"""The services of `docker-compose.yml` as processes of this machine, where there is no container engine.

Commands, variables and configuration files are those of the compose file. What a container would have of its own is
replaced: names of hosts and ports by those of this machine, paths by folders of the test, providers by a mock, the
seconds between two scrapes by one. Grafana and Langfuse are not run: nobody packages them for Python or Debian.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol

import yaml
from tests.support.gateway import Gateway
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.processes import BackgroundProcess
from tests.support.programs import find_program
from tests.support.stack_remote import RemoteControl
from tests.support.valkey import valkey_program

CLONE = Path(__file__).resolve().parents[2]
REPLICAS = ("litellm-1", "litellm-2")
NOT_RUN = ("grafana", "langfuse", "langfuse-postgres")
"""Services that are checked (schema, files they mount) but not started."""
_SHIM = Path(__file__).with_name("docker_compose.py")
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<how>[-?])(?P<text>[^}]*))?\})")


class Service(Protocol):
    """One service of the compose file."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def hang_up(self) -> None: ...
    @property
    def is_running(self) -> bool: ...
    @property
    def is_ready(self) -> bool: ...
    @property
    def log_file(self) -> Path: ...


class Program:
    """A service that is one process."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], log: Path, is_ready: Callable[[], bool], cwd: Path
    ) -> None:
        self.command, self.env, self.log_file, self._cwd = list(command), dict(env), log, cwd
        self._answers = is_ready
        self.process: BackgroundProcess | None = None
        log.touch()

    def start(self) -> None:
        if not self.is_running:
            self.process = BackgroundProcess(self.command, log=self.log_file, env=self.env, cwd=self._cwd)

    def stop(self) -> None:
        """As `docker stop` does. Only what is still starting may be ended by the signal itself."""
        if self.process is not None and self.is_running:
            good = {0} if self.is_ready else {0, -signal.SIGTERM}
            assert self.process.stop(40) in good, self.log_file.read_text()

    def kill(self) -> None:
        if self.process is not None and self.is_running:
            self.process.kill()

    def hang_up(self) -> None:
        assert self.process is not None
        self.process.signal(signal.SIGHUP)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.is_running

    @property
    def is_ready(self) -> bool:
        return self.is_running and self._answers()


class Database:
    """Postgres, with the role and the database that its image would make."""

    def __init__(self, password: str) -> None:
        self.server = PostgresServer()
        self._password = password
        self._is_made = False

    @property
    def log_file(self) -> Path:
        return self.server.log_file

    def start(self) -> None:
        if self.server.is_running:
            return
        self.server.start()
        if not self._is_made:
            self._is_made = True
            self.server.execute(f"CREATE ROLE litellm SUPERUSER LOGIN PASSWORD '{self._password}'")
            self.server.execute("CREATE DATABASE litellm OWNER litellm")
            self.server.ask_for_passwords("litellm")

    def stop(self) -> None:
        if self.server.is_running:
            self.server.stop()

    def kill(self) -> None:
        if self.server.is_running:
            self.server.kill()

    def hang_up(self) -> None:
        self.server.execute("SELECT pg_reload_conf()")

    @property
    def is_running(self) -> bool:
        return self.server.is_running

    @property
    def is_ready(self) -> bool:
        return self.is_running


class Stack:
    """All services, the way a reader of the guides sees them: one address, and `docker-compose`."""

    def __init__(self, folder: Path, *, provider: str) -> None:
        """`provider`: the address of a mock that speaks OpenAI's and Anthropic's formats."""
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self._copy_what_a_reader_edits()
        self.env = _read_env(folder / ".env")
        self.compose: dict[str, Any] = interpolated(
            yaml.safe_load((folder / "docker-compose.yml").read_text()), self.env
        )
        self.ports = {name: free_port() for name in (*REPLICAS, "nginx", "prometheus", "redis")}
        self._database = Database(self.env["POSTGRES_PASSWORD"])
        self.ports["postgres"] = self._database.server.port
        self.services: dict[str, Service] = {
            "postgres": self._database,
            "redis": self._redis(),
            **{name: self._gateway(name, provider) for name in REPLICAS},
            "nginx": self._nginx(),
            "prometheus": self._prometheus(),
        }
        self._control = RemoteControl(folder / "control.sock", self.services, start_order=list(self.services))
        self._write_programs()

    @property
    def proxy(self) -> Gateway:
        """A client of nginx."""
        return self.client("nginx")

    @property
    def prometheus(self) -> Gateway:
        """A client of Prometheus."""
        return self.client("prometheus")

    def client(self, service: str) -> Gateway:
        """A client of one service, as one of the gateway."""
        program = self.services[service]
        assert isinstance(program, Program)
        assert program.process is not None
        return Gateway(self.ports[service], self.folder, program.process, self.env["LITELLM_MASTER_KEY"])

    def pid(self, name: str) -> int | None:
        """The process of a service that is one program."""
        program = self.services[name]
        assert isinstance(program, Program)
        return None if program.process is None else program.process.pid

    def made_real(self, text: str) -> str:
        """A command of the guides with the addresses of this machine."""
        addresses = {4000: "litellm-1", 9090: "prometheus"}
        for port, service in addresses.items():
            text = text.replace(f"http://localhost:{port}", f"http://localhost:{self.ports[service]}")
        return re.sub(r"http://localhost(?=[/\"'\s])", f"http://localhost:{self.ports['nginx']}", text)

    @property
    def environment(self) -> dict[str, str]:
        """Of a reader's shell."""
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "STACK_CONTROL": str(self._control.path),
            "STACK_LOGS": " ".join(f"{name}={service.log_file}" for name, service in self.services.items()),
            "STACK_PORTS": " ".join(f"{name}={port}" for name, port in self.ports.items()),
            "STACK_PSQL": self._database.server.program("psql"),
            "STACK_REDIS_CLI": find_program("redis-cli", package="redis-tools"),
            "PGPASSWORD": self.env["POSTGRES_PASSWORD"],
        }

    def wait_until_ready(self) -> None:
        """Returns once every service is healthy."""
        for name in self.services:
            self.wait_for(name)

    def wait_for(self, name: str) -> None:
        """Returns once one service is healthy."""
        service = self.services[name]
        if isinstance(service, Program):
            assert service.process is not None
            service.process.wait_until(lambda: service.is_ready, what=f"starting {name}", timeout_s=60)

    def start(self) -> None:
        """As `docker-compose up -d`: each service once those are healthy that it depends on."""
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda name: self.services[name].start(), ("postgres", "redis")))
        self.wait_for("redis")
        for name in ("prometheus", *REPLICAS, "nginx"):
            self.services[name].start()
        self.wait_until_ready()

    def close(self) -> None:
        """Ends everything."""
        self._control.close()
        for name in reversed(self.services):
            self.services[name].kill()
        self._database.server.remove()

    def _copy_what_a_reader_edits(self) -> None:
        for name in ("docker-compose.yml", "deploy"):
            source = CLONE / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.folder / name)
        shutil.copy(CLONE / ".env.example", self.folder)
        (self.folder / ".env").write_text(
            (CLONE / ".env.example")
            .read_text()
            .replace("OPENAI_API_KEY=", "OPENAI_API_KEY=sk-vendor")
            .replace("ANTHROPIC_API_KEY=", "ANTHROPIC_API_KEY=sk-vendor")
        )

    def _variables(self, service: str) -> dict[str, str]:
        return {name: str(value) for name, value in self.compose["services"][service].get("environment", {}).items()}

    def _mounted(self, service: str, text: str) -> str:
        """A path in a container, or a text with some, as paths of this machine."""
        places: dict[str, str] = {}
        for volume in self.compose["services"][service]["volumes"]:
            source, target, *_ = volume.split(":")
            places[target] = str(self.folder / source if source.startswith(".") else self._volume(source))
        return re.sub(rf"(?<![\w/])({'|'.join(places)})(?![\w-])", lambda found: places[found[1]], text)

    def _volume(self, name: str) -> Path:
        place = self.folder / "volumes" / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _gateway(self, name: str, provider: str) -> Service:
        command = [self._mounted(name, word) for word in self.compose["services"][name]["command"]]
        here = {
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": str(self.ports["postgres"]),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.ports["redis"]),
            "TOLLWAY_HOST": "127.0.0.1",
            "TOLLWAY_PORT": str(self.ports[name]),
            "TOLLWAY_DATA_DIR": str(self._volume(f"{name}-data")),
            "TOLLWAY_SHARED_COUNTERS_TIMEOUT": "2",  # this machine may be busy
            "OPENAI_BASE_URL": f"{provider}/v1",
            "ANTHROPIC_BASE_URL": provider,
        }
        return Program(
            [sys.executable, "-m", "tollway", *command],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self._variables(name), **here},
            log=self.folder / f"{name}.log",
            is_ready=lambda: answers(self.ports[name], "/health/readiness"),
            cwd=self.folder,
        )

    def _redis(self) -> Service:
        [shell, option, script] = self.compose["services"]["redis"]["command"]
        (self.bin / "valkey-server").symlink_to(valkey_program())
        script = script.replace(" --dir", f" --bind 127.0.0.1 --port {self.ports['redis']} --dir")
        return Program(
            [shell, option, self._mounted("redis", script)],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", **self._variables("redis")},
            log=self.folder / "redis.log",
            is_ready=lambda: listens(self.ports["redis"]),
            cwd=self.folder,
        )

    def _nginx(self) -> Service:
        file = self.folder / "deploy" / "nginx" / "nginx.conf"
        text = file.read_text().replace("listen 8080;", f"listen 127.0.0.1:{self.ports['nginx']};")
        for name in REPLICAS:
            text = text.replace(f"{name}:4000", f"127.0.0.1:{self.ports[name]}")
        scratch = self._volume("nginx-tmp")
        scratch.chmod(0o777)
        file.write_text(text.replace(" /tmp/", f" {scratch}/"))
        [_, option, target, *rest] = self.compose["services"]["nginx"]["command"]
        return Program(
            [find_program("nginx", package="nginx"), option, self._mounted("nginx", target), *rest],
            env={"PATH": os.environ["PATH"]},
            log=self.folder / "nginx.log",
            is_ready=lambda: answers(self.ports["nginx"], "/nginx_status"),
            cwd=self.folder,
        )

    def _prometheus(self) -> Service:
        file = self.folder / "deploy" / "prometheus" / "prometheus.yml"
        text = file.read_text().replace("_interval: 15s", "_interval: 1s")
        for name in REPLICAS:
            text = text.replace(f"{name}:4000", f"127.0.0.1:{self.ports[name]}")
        file.write_text(text.replace("localhost:9090", f"127.0.0.1:{self.ports['prometheus']}"))
        options = [self._mounted("prometheus", word) for word in self.compose["services"]["prometheus"]["command"]]
        address = f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}"
        return Program(
            [find_program("prometheus", package="prometheus"), *options, address],
            env={"PATH": os.environ["PATH"]},
            log=self.folder / "prometheus.log",
            is_ready=lambda: answers(self.ports["prometheus"], "/-/ready"),
            cwd=self.folder,
        )

    def _write_programs(self) -> None:
        """What a reader types and this machine may not have."""
        programs = {
            "docker-compose": f'exec {sys.executable} -IS {_SHIM} "$@"',
            "open": 'exec curl --fail --silent --show-error --location --output /dev/null "$1"',
        }
        for name, line in programs.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{line}\n")
            (self.bin / name).chmod(0o755)


@contextmanager
def running_stack(folder: Path, *, provider: str) -> Iterator[Stack]:
    """All services, started, and ended at the end."""
    stack = Stack(folder, provider=provider)
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """A part of a compose file with its variables put in, by the rules of the compose specification."""
    if isinstance(value, dict):
        return {name: interpolated(part, env) for name, part in value.items()}
    if isinstance(value, list):
        return [interpolated(part, env) for part in value]
    return _VARIABLE.sub(lambda found: _value(found, env), value) if isinstance(value, str) else value


def _value(found: re.Match[str], env: Mapping[str, str]) -> str:
    if found["name"] is None:
        return "$"
    value = env.get(found["name"], "")
    if not value and found["how"] == "?":
        raise ValueError(f"{found['name']}: {found['text']}")
    return value or (found["text"] if found["how"] == "-" else "")


def _read_env(file: Path) -> dict[str, str]:
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def answers(port: int, path: str) -> bool:
    """Whether a page answers 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
