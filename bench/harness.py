"""Runs gateways side by side on one machine: starts them, loads them, reads what they used.

The gateway runs pinned to one core, the load generator and the mock upstream to the other. Targets alternate
(A B A B ...) and medians are taken, so that a noisy machine disturbs all of them alike. The figure to trust is CPU
microseconds per request of the gateway's whole process tree; wall-clock figures come second.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
REPO = BENCH.parent
MASTER_KEY = "sk-bench-0123456789abcdef0123456789abcdef"
EVENTS = 50
"""Content events of a stream; four more frame them."""
TICK = os.sysconf("SC_CLK_TCK")
GATEWAY_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True)
class Scenario:
    """One sort of load."""

    connections: int
    is_stream: bool = False
    asks_usage: bool = True
    think_ms: int = 0
    chunk_ms: int = 0
    rate: int = 0
    """Requests per second; 0: as fast as answers come."""
    prompt_kb: int = 0

    @property
    def request_kind(self) -> tuple[bool, bool, int]:
        return self.is_stream, self.asks_usage, self.prompt_kb


SCENARIOS = {
    "plain-c1": Scenario(1),
    "plain-c32": Scenario(32),
    "plain-c128": Scenario(128),
    "stream-c1": Scenario(1, is_stream=True),
    "stream-c32": Scenario(32, is_stream=True),
    "stream-unasked-c32": Scenario(32, is_stream=True, asks_usage=False),
    "big-c8": Scenario(8, prompt_kb=100),
    "paced20-c1": Scenario(1, is_stream=True, think_ms=20, chunk_ms=20),
    "paced20-c32": Scenario(32, is_stream=True, think_ms=20, chunk_ms=20),
    "think50-r25": Scenario(256, think_ms=50, rate=25),
    "think50-r200": Scenario(256, think_ms=50, rate=200),
}


def request_bytes(kind: tuple[bool, bool, int], key: str, headers: dict[str, str]) -> bytes:
    """A whole HTTP request: a 1 KB prompt, or one of `prompt_kb`."""
    is_stream, asks_usage, prompt_kb = kind
    turns = [
        {"role": "assistant" if turn % 2 else "user", "content": f"turn {turn}: " + 'some "code" here\n' * 110}
        for turn in range(prompt_kb // 2)
    ]
    body: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 8},
            *turns,
            {"role": "user", "content": "word " * 140},
        ],
        "temperature": 0.7,
    }
    if is_stream:
        body["stream"] = True
        if asks_usage:
            body["stream_options"] = {"include_usage": True}
    raw = json.dumps(body).encode()
    head = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        "Accept: application/json",
        "User-Agent: OpenAI/Python 2.0.0",
        f"Content-Length: {len(raw)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + raw


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_tree(pid: int) -> list[int]:
    """A process and its live descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            children.setdefault(int(stat[1]), []).append(int(entry))
    tree, pending = [], [pid]
    while pending:
        tree.append(pending.pop())
        pending += children.get(tree[-1], [])
    return tree


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def cpu_and_rss(pid: int) -> tuple[float, float]:
    """CPU seconds used and MiB resident of a process tree."""
    stats = [stat for member in process_tree(pid) if (stat := _stat(member))]
    cpu = sum(sum(map(int, stat[11:15])) for stat in stats) / TICK
    return cpu, sum(int(stat[21]) for stat in stats) * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy_seconds(core: int) -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            values = list(map(int, line.split()[1:]))
            return (sum(values[:8]) - values[3] - values[4]) / TICK
    return 0.0


def post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


class Upstream:
    """The mock provider, and TLS in front of it for the targets that want it."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.tool = work / "benchtool"
        subprocess.run(["gcc", "-O2", "-o", self.tool, BENCH / "benchtool.c"], check=True)
        self.port, self.tls_port = free_port(), free_port()
        self.processes = [pinned(LOAD_CORE, [str(self.tool), "upstream", str(self.port)], work / "upstream.txt")]
        self.ca_file: Path | None = None
        time.sleep(0.2)

    def start_tls(self) -> None:
        """Starts an nginx that terminates TLS, with a certificate made on the spot."""
        if self.ca_file is not None:
            return
        import trustme

        authority = trustme.CA()
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(self.work / "server.pem"))
        self.ca_file = self.work / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        names = {"work": self.work, "upstream": self.port, "tls_upstream": self.tls_port}
        config = self.work / "tls.conf"
        config.write_text(fill((BENCH / "configs" / "nginx-tls.conf").read_text(), names))
        command = ["nginx", "-p", str(self.work), "-c", str(config)]
        self.processes.append(pinned(LOAD_CORE, command, self.work / "tls.txt"))
        time.sleep(0.3)

    def behave(self, scenario: Scenario) -> None:
        query = f"think_ms={scenario.think_ms}&chunk_ms={scenario.chunk_ms}&chunks={EVENTS}"
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/__profile?{query}").read()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait()


def pinned(core: int, command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **options,
        )


def fill(text: str, names: dict[str, Any]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


@cache
def shared_servers() -> dict[str, str]:
    """A Postgres and a Valkey of the tests, each with nothing in it; they end with this process."""
    sys.path.insert(0, str(REPO))
    from tests.support import postgres, valkey

    url = postgres.databases().new_url()
    postgres.databases().create(url)
    return {"database_url": url, "redis_url": valkey.shared_url()}


@dataclass
class Target:
    """One thing to measure."""

    name: str
    spec: dict[str, Any]
    upstream: Upstream
    work: Path
    venvs: str
    repo: Path = REPO
    workers: int = 1
    process: subprocess.Popen[bytes] | None = None
    first_start_s: float = 0.0
    """To the first completion, with nothing there yet."""
    restart_s: float = 0.0
    """To the first completion, once more with the same data."""
    idle_mib: float = 0.0
    after_mib: float = 0.0
    requests: dict[tuple[bool, bool, int], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work.mkdir()
        self.port = free_port() if "command" in self.spec else self.upstream.port
        self.label = self.spec["label"]
        way = self.spec.get("upstream", "plain")
        self.is_tls = way == "tls"
        urls = {
            "plain": f"http://127.0.0.1:{self.upstream.port}",
            "tls": f"https://localhost:{self.upstream.tls_port}",
            "proxy": "http://provider.invalid",
        }
        self.names = {
            "port": self.port,
            "upstream": self.upstream.port,
            "upstream_url": urls[way],
            "work": self.work,
            "master_key": MASTER_KEY,
            "workers": self.workers,
            "venvs": self.venvs,
            "python": sys.executable,
            "repo": self.repo,
        }
        if self.spec.get("servers"):
            self.names |= shared_servers()
        if "config" in self.spec:
            config = self.work / self.spec["config"]
            config.write_text(fill((BENCH / "configs" / config.name).read_text(), self.names))
            self.names["config"] = config
        self.headers = {name: self.fill(value) for name, value in self.spec.get("headers", {}).items()}

    def fill(self, text: str) -> str:
        return fill(text, self.names)

    @property
    def is_installed(self) -> bool:
        command = [self.fill(word) for word in self.spec.get("command", [])]
        programs = command[:1] + [word for word in command[1:] if word.startswith(self.venvs)]
        return all(shutil.which(program) or Path(program).exists() for program in programs)

    def start(self) -> None:
        """Starts it twice: the first start may have to make a database, the second shows what a restart takes."""
        if "command" not in self.spec:
            self.write_requests(MASTER_KEY)
            return
        if self.is_tls:
            self.upstream.start_tls()
        self.first_start_s = self.launch()
        self.stop()
        self.restart_s = self.launch()
        assert self.process is not None
        self.write_requests(self.create_virtual_key() if self.spec.get("virtual_key") else MASTER_KEY)
        time.sleep(1)  # what is loaded late counts as well
        self.idle_mib = cpu_and_rss(self.process.pid)[1]

    def launch(self) -> float:
        """Seconds from the start of the process to its first completion."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TOLLWAY_"))}
        env |= {name: self.fill(value) for name, value in self.spec.get("env", {}).items()}
        if self.is_tls:
            env["SSL_CERT_FILE"] = str(self.upstream.ca_file)
        body = request_bytes((False, False, 0), MASTER_KEY, {}).split(b"\r\n\r\n", 1)[1]
        headers = {"Authorization": f"Bearer {MASTER_KEY}", **self.headers}
        began = time.monotonic()
        command = [self.fill(word) for word in self.spec["command"]]
        self.process = pinned(GATEWAY_CORE, command, self.work / "log.txt", cwd=self.work, env=env)
        while time.monotonic() - began < 90 and self.process.poll() is None:
            try:
                if b"usage" in post(f"http://127.0.0.1:{self.port}/v1/chat/completions", body, headers):
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise SystemExit(f"{self.name} did not start:\n{(self.work / 'log.txt').read_text()[-3000:]}")

    def create_virtual_key(self) -> str:
        """The master key skips limits and budgets; this one has them all."""
        limits = {"max_budget": 1e6, "rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 10**6}
        url = f"http://127.0.0.1:{self.port}/key/generate"
        return json.loads(post(url, json.dumps(limits).encode(), {"Authorization": f"Bearer {MASTER_KEY}"}))["key"]

    def write_requests(self, key: str) -> None:
        for number, kind in enumerate({scenario.request_kind for scenario in SCENARIOS.values()}):
            self.requests[kind] = self.work / f"request-{number}.http"
            self.requests[kind].write_bytes(request_bytes(kind, key, self.headers))

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.after_mib = cpu_and_rss(self.process.pid)[1]
        os.killpg(self.process.pid, signal.SIGTERM)  # its own session: only what this script started
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


Run = dict[str, float]


def measure(target: Target, scenario: Scenario, *, duration_s: float, warmup_s: float) -> Run:
    """One round of one scenario."""
    pid = target.process.pid if target.process else 0
    cpu_before = cpu_and_rss(pid)[0] if pid else 0.0
    busy_before, began = busy_seconds(GATEWAY_CORE), time.monotonic()
    command = ["taskset", "-c", str(LOAD_CORE), str(target.upstream.tool), "load", "--port", str(target.port)]
    command += ["--conns", str(scenario.connections), "--request-file", str(target.requests[scenario.request_kind])]
    command += ["--duration", str(duration_s), "--warmup", str(warmup_s)]
    if scenario.rate:
        command += ["--rate", str(scenario.rate)]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=duration_s + warmup_s + 40, check=True)
    run: Run = json.loads(loaded.stdout)
    cpu_after, rss = cpu_and_rss(pid) if pid else (0.0, 0.0)
    wall, cpu = time.monotonic() - began, cpu_after - cpu_before
    least_events = EVENTS + 2 if scenario.is_stream else 0
    run |= {
        "cpu_us": cpu * 1e6 / max(1, run["total"]),
        "rss_mib": rss,
        "other": (busy_seconds(GATEWAY_CORE) - busy_before - cpu) / wall,
        "bad": run["errors"] + run["non2xx"] + (run["events_min"] < least_events),
    }
    return run


class Results:
    """Every run, by scenario and target; figures are medians."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], list[Run]] = {}

    def add(self, scenario: str, target: str, run: Run) -> None:
        self.runs.setdefault((scenario, target), []).append(run)

    def median(self, scenario: str, target: str, figure: str) -> float:
        return statistics.median([run[figure] for run in self.runs.get((scenario, target), [])] or [float("nan")])


def load_specs(files: Iterable[Path] = (BENCH / "targets.toml",)) -> dict[str, dict[str, Any]]:
    """Target definitions; `like` copies another one."""
    specs = {name: spec for file in files for name, spec in tomllib.loads(file.read_text()).items()}
    return {name: {**specs.get(spec.get("like", ""), {}), **spec} for name, spec in specs.items()}


def make_work_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="tollway-bench-"))
