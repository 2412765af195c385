"""What callers notice when the shared Valkey is emptied, killed, paused or slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from tests.e2e.test_fleet import INPUT, OUTPUT
from tests.support import postgres
from tests.support.fleet import Fleet, Reply, running_fleet, statuses
from tests.support.gateway import Gateway
from tests.support.slow_proxy import SlowProxy
from tests.support.valkey import ValkeyServer

QUICK = {
    "model_list": [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "demo/demo",
                "demo": {"latency_ms": 0, "chunk_ms": 0},
                "input_cost_per_token": INPUT,
                "output_cost_per_token": OUTPUT,
            },
        }
    ],
}
Steps = dict[str, Callable[[], None]]
FILL = "for i = 1, 200 do redis.call('SET', ARGV[1] .. i, string.rep('x', 1000)) end"
"""What somebody else keeps on the same server."""
PATIENCE_S = 0.25
"""How much longer a call may take on a test machine whose processors are shared; docs/guarantees.md has the figures."""


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer(password="secret-of-the-tests") as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def proxy(valkey: ValkeyServer) -> Iterator[SlowProxy]:
    with SlowProxy(valkey.port) as running:
        yield running


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, proxy: SlowProxy) -> Iterator[Fleet]:
    url = postgres.databases().take()
    redis_url = valkey.url.replace(str(valkey.port), str(proxy.port))
    folder = tmp_path_factory.mktemp("replicas")
    with running_fleet(folder, 2, QUICK, database_url=url, redis_url=redis_url) as running:
        yield running
    postgres.databases().drop(url)


@pytest.fixture
def fleet(replicas: Fleet) -> Fleet:
    """The replicas, sharing their counters."""
    key = replicas.first.create_key()
    until(lambda: not any(is_alone(gateway, key) for gateway in replicas.gateways))
    return replicas


def one(gateway: Gateway, key: str) -> tuple[Any, float]:
    started = time.monotonic()
    answer = gateway.chat("m", "Hi", key=key, max_tokens=10)
    return answer, time.monotonic() - started


def is_alone(gateway: Gateway, key: str) -> bool:
    return "x-tollway-limits" in gateway.chat("m", "Hi", key=key, max_tokens=1).headers


def until(is_true: Any, *, within_s: float = 10) -> None:
    give_up_at = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def cost(replies: list[Reply]) -> float:
    return sum(reply.cost for reply in replies)


def lines_about(gateway: Gateway) -> list[str]:
    return [line for line in gateway.log.splitlines() if "shared server is" in line]


def is_back(gateway: Gateway) -> bool:
    return "is away" not in "".join(lines_about(gateway)[-1:])


def test_a_flush_of_everything_makes_nobody_forget_what_was_spent(fleet: Fleet, valkey: ValkeyServer) -> None:
    key = fleet.first.create_key(max_budget=1)
    before = fleet.calls(10, key=key, at_once=2, body={"max_tokens": 10})
    assert statuses(before) == {200: 10}
    valkey.ask("FLUSHALL")
    after = fleet.calls(60, key=key, body={"max_tokens": 10})
    assert set(statuses(after)) <= {200, 422, 429}
    assert 1 <= cost(before) + cost(after) <= 1 + 0.0501


def test_rates_survive_a_flush_too(fleet: Fleet, valkey: ValkeyServer) -> None:
    key = fleet.first.create_key(rpm_limit=20)
    fleet.calls(15, key=key, body={"max_tokens": 1})
    valkey.ask("FLUSHALL")
    assert statuses(fleet.calls(30, key=key, body={"max_tokens": 1})) == {200: 5, 429: 25}


def test_a_server_that_restarts_empty_is_filled_before_the_next_call(fleet: Fleet, valkey: ValkeyServer) -> None:
    key = fleet.first.create_key(max_budget=1)
    before = fleet.calls(10, key=key, at_once=2, body={"max_tokens": 10})
    valkey.kill()
    valkey.start()
    until(lambda: not any(is_alone(gateway, key) for gateway in fleet.gateways))
    spent = fleet.first.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    after = fleet.calls(60, key=key, body={"max_tokens": 10})
    assert cost(before) <= spent < 1
    assert 1 <= spent + cost(after) <= 1 + 0.0501


@pytest.mark.parametrize("trouble", ["killed", "paused", "slow"])
def test_without_the_server_each_goes_by_its_share_and_says_so(
    fleet: Fleet, valkey: ValkeyServer, proxy: SlowProxy, trouble: str
) -> None:
    gateway = fleet.first
    key = gateway.create_key(rpm_limit=40)
    usual = max(one(gateway, key)[1] for _ in range(5))
    begin: dict[str, Callable[[], None]] = {
        "killed": valkey.kill,
        "paused": valkey.pause,
        "slow": lambda: proxy.slow_down(0.5),
    }
    end: dict[str, Callable[[], None]] = {
        "killed": valkey.start,
        "paused": valkey.resume,
        "slow": lambda: proxy.slow_down(0),
    }
    before = len(lines_about(gateway))
    begin[trouble]()
    answers = [one(gateway, key) for _ in range(40)]
    served = [answer for answer, _ in answers if answer.status == 200]
    assert max(took for _, took in answers) < usual + PATIENCE_S
    assert len(served) + 5 == 20, "half of what two replicas may do, the calls before counted"
    assert {answer.headers.get("x-tollway-limits") for answer, _ in answers} == {"local; share=1/2"}
    assert len(lines_about(gateway)) == before + 1
    end[trouble]()
    until(lambda: not is_alone(gateway, key))
    assert len(lines_about(gateway)) == before + 2
    assert "Traceback" not in gateway.log
    assert "secret-of-the-tests" not in gateway.log


def test_what_was_spent_alone_counts_when_the_server_is_back(fleet: Fleet, valkey: ValkeyServer) -> None:
    first, second = fleet.gateways
    key = first.create_key(max_budget=1)
    assert one(second, key)[0].status == one(first, key)[0].status == 200
    valkey.kill()
    alone = [one(first, key)[0].status for _ in range(30)]
    assert alone.count(200) in (9, 10), "half of the 0.9 dollars that were left"
    valkey.start()
    until(lambda: not (is_alone(first, key) or is_alone(second, key)))
    fleet.calls(40, key=key, body={"max_tokens": 10})
    spent = first.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert 1 <= spent <= 1 + 0.0501


def test_a_server_that_comes_and_goes_fails_no_call_and_lets_nobody_overspend(
    fleet: Fleet, valkey: ValkeyServer
) -> None:
    key, other_key = fleet.first.create_key(max_budget=1), fleet.first.create_key()
    before = [len(lines_about(gateway)) for gateway in fleet.gateways]
    replies = []
    for number in range(3):
        valkey.pause()
        replies += fleet.calls(3, key=key, at_once=2, body={"max_tokens": 10})
        valkey.resume()
        until(partial(is_back, fleet.gateways[number % 2]))
        replies += fleet.calls(1, key=key, body={"max_tokens": 10})
    until(lambda: not any(is_alone(gateway, other_key) for gateway in fleet.gateways))
    replies += fleet.calls(40, key=key, body={"max_tokens": 10})
    assert set(statuses(replies)) <= {200, 422, 429}
    assert 1 <= cost(replies) <= 1 + 0.0501
    for gateway, count in zip(fleet.gateways, before, strict=True):
        said = [line.partition("shared server is ")[2][:4] for line in lines_about(gateway)[count:]]
        assert said == ["away", "back"] * (len(said) // 2), "one line for each change"
        assert 1 <= len(said) // 2 <= 3
        assert "Traceback" not in gateway.log


def test_a_server_that_evicts_counters_lets_nobody_overspend(fleet: Fleet, valkey: ValkeyServer) -> None:
    key = fleet.first.create_key(max_budget=1)
    used = int(valkey.ask("INFO", "memory").partition("used_memory:")[2].split()[0])
    valkey.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    valkey.ask("CONFIG", "SET", "maxmemory", str(used + 500_000))
    replies = []
    try:
        for number in range(8):
            replies += fleet.calls(4, key=key, at_once=2, body={"max_tokens": 10})
            counter = next(name for name in valkey.ask("KEYS", "*:s:api_key:*").split() if "api_key" in name)
            while valkey.ask("EXISTS", counter).strip() == ":1":
                valkey.ask("EVAL", FILL, "0", f"other-{number}-{time.monotonic_ns()}")
        assert int(valkey.ask("INFO", "stats").partition("evicted_keys:")[2].split()[0]) > 100
    finally:
        valkey.ask("CONFIG", "SET", "maxmemory", "0")
        valkey.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    replies += fleet.calls(40, key=key, body={"max_tokens": 10})
    assert set(statuses(replies)) <= {200, 422, 429}
    assert 1 <= cost(replies) <= 1 + 0.0501
