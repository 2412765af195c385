"""Replicas are killed under load: what callers were told was served is in the ledger, each once, and budgets hold."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.test_fleet import CONFIG
from tests.support import postgres
from tests.support.fleet import Fleet, running_fleet, statuses
from tests.support.gateway import MASTER_KEY
from tests.support.valkey import ValkeyServer

BUDGET = 3.0


@pytest.fixture
def url() -> Iterator[str]:
    url = postgres.databases().take()
    yield url
    postgres.databases().drop(url)


class Callers:
    """Threads that call random replicas until told to stop."""

    def __init__(self, fleet: Fleet, keys: list[str], count: int) -> None:
        self._fleet = fleet
        self._keys = keys
        self.acknowledged: dict[str, float] = {}
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(count)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Until so many calls were acknowledged: a busy machine may stand still for seconds."""
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, len(self.acknowledged)
            time.sleep(0.05)

    def _call(self) -> None:
        while not self._is_over.is_set():
            gateway = random.choice(self._fleet.gateways)
            try:
                answer = gateway.chat("m", "Hi", key=random.choice(self._keys), max_tokens=10)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if answer.status == 200:
                cost = float(answer.headers["x-litellm-response-cost"])
                self.acknowledged[answer.headers["x-litellm-call-id"]] = cost


def test_killed_at_random_the_ledger_has_every_acknowledged_call_once(tmp_path: Path, url: str) -> None:
    with ValkeyServer() as valkey:
        valkey.start()
        with running_fleet(tmp_path, 3, CONFIG, database_url=url, redis_url=valkey.url) as fleet:
            keys = [fleet.first.create_key(), fleet.first.create_key(max_budget=BUDGET)]
            with Callers(fleet, keys, 6) as callers:
                for _ in range(3):
                    time.sleep(random.uniform(0.5, 1.5))
                    victim = random.randrange(3)
                    fleet.gateways[victim].process.kill()
                    time.sleep(random.uniform(0, 0.5))
                    fleet.restart(victim)
                callers.wait_for(50)
            rows = [
                row for key in keys for row in fleet.first.admin("GET", f"/spend/logs?api_key={key}") if row["spend"]
            ]
            ids = [row["litellm_call_id"] for row in rows]
            spent = {row["litellm_call_id"]: row["spend"] for row in rows}
            assert len(ids) == len(set(ids)), "each exactly once"
            assert {name: spent.get(name) for name in callers.acknowledged} == pytest.approx(callers.acknowledged)
            _spend_the_rest(fleet, keys[1])
            _verify(fleet)


def _verify(fleet: Fleet) -> None:
    """Sums, budgets and live counters follow from the records."""
    verified = subprocess.run(
        [sys.executable, "-m", "tollway", "ledger", "verify", "--counters", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HOME": str(fleet.folder), "LITELLM_MASTER_KEY": MASTER_KEY, **fleet.env},
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = json.loads(verified.stdout)
    assert found["agrees"]
    assert found["records"] > 50
    assert found["counters"]["rows"] >= 2


def _spend_the_rest(fleet: Fleet, key: str) -> None:
    """What the killed ones had reserved is given back when their journals are in, and no more than the budget goes."""
    give_up_at = time.monotonic() + 30
    while 200 in (counts := statuses(fleet.calls(50, key=key, body={"max_tokens": 10}))) or 422 not in counts:
        assert time.monotonic() < give_up_at, counts
        time.sleep(0.5)
    spend = fleet.first.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert BUDGET <= spend <= BUDGET + 0.0501
