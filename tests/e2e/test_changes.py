"""Two gateways on one database: what is changed on one, the other obeys within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_process import PRICED
from tests.support.embedded import embedded_gateway
from tests.support.gateway import Gateway, launch_gateway
from tests.support.postgres import databases
from tests.support.valkey import ValkeyServer

WITHIN_S = 1.0
SALT = {"LITELLM_SALT_KEY": "salt-of-the-tests"}
CONFIG = {**PRICED, "general_settings": {"completion_model": "nobody"}}
Pair = tuple[Gateway, Gateway]


def two(folder: Path, env: Mapping[str, str], stack: ExitStack) -> Pair:
    """Two gateways that differ in nothing but their data folder, ready to hear of each other."""

    def start(name: str) -> Gateway:
        place = folder / name
        place.mkdir()
        gateway = launch_gateway(place, CONFIG, env={**SALT, **env})
        gateway.admin("GET", "/key/list")  # the management plane is made, and the database open
        return gateway

    with ThreadPoolExecutor(2) as threads:
        one, another = threads.map(start, ("one", "another"))
    for gateway in (one, another):
        stack.callback(gateway.process.stop)
    time.sleep(0.6)  # by now they have begun to listen
    return one, another


class Pairs:
    """Pairs by what they share, each started when a test first asks for it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.valkey = ValkeyServer()
        self._folder = folder
        self._stack = stack
        self._pairs: dict[str, Pair] = {}

    def on(self, shared: str) -> Pair:
        if shared not in self._pairs:
            folder = self._folder / shared
            folder.mkdir()
            self._pairs[shared] = two(folder, self._environment(shared), self._stack)
        return self._pairs[shared]

    def _environment(self, shared: str) -> dict[str, str]:
        url = databases().take()
        self._stack.callback(databases().drop, url)
        if shared == "postgres":
            return {"DATABASE_URL": url}
        self._stack.enter_context(self.valkey).start()
        return {"DATABASE_URL": url, "REDIS_URL": self.valkey.url}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    with ExitStack() as stack:
        yield Pairs(tmp_path_factory.mktemp("pairs"), stack)


@pytest.fixture(params=["postgres", "postgres-and-valkey"])
def pair(request: pytest.FixtureRequest, pairs: Pairs) -> Pair:
    return pairs.on(request.param)


def chat(gateway: Gateway, key: str, model: str = "m") -> int:
    return gateway.chat(model, "Hi", key=key, max_tokens=5).status


def obeys_within(is_so: Callable[[], bool], since: float) -> None:
    while not is_so():
        assert time.monotonic() - since < WITHIN_S
        time.sleep(0.02)


def test_a_key_blocked_on_one_is_refused_by_the_other(pair: Pair) -> None:
    one, another = pair
    key = one.create_key()
    assert chat(another, key) == 200
    changed = time.monotonic()
    one.admin("POST", "/key/block", {"key": key})
    obeys_within(lambda: chat(another, key) == 401, changed)
    changed = time.monotonic()
    another.admin("POST", "/key/unblock", {"key": key})
    obeys_within(lambda: chat(one, key) == 200, changed)
    changed = time.monotonic()
    one.admin("POST", "/key/delete", {"keys": [key]})
    obeys_within(lambda: chat(another, key) == 401, changed)


def test_a_budget_changed_on_one_holds_on_the_other(pair: Pair) -> None:
    one, another = pair
    team = one.admin("POST", "/team/new", {"max_budget": 1})["team_id"]
    key = one.create_key(team_id=team)
    assert chat(another, key) == 200
    changed = time.monotonic()
    one.admin("POST", "/team/update", {"team_id": team, "max_budget": 0.000000001})
    obeys_within(lambda: chat(another, key) != 200, changed)


def test_a_model_added_on_one_is_served_by_the_other(pair: Pair) -> None:
    one, another = pair
    key = one.create_key()
    name = "added-on-one"
    assert chat(another, key, name) in (400, 404)
    changed = time.monotonic()
    model = {"model_name": name, "litellm_params": {"model": "demo/demo"}}
    made: Any = one.admin("POST", "/model/new", model)
    obeys_within(lambda: chat(another, key, name) == 200, changed)
    changed = time.monotonic()
    one.admin("POST", "/model/delete", {"id": made["model_info"]["id"]})
    obeys_within(lambda: chat(another, key, name) in (400, 404), changed)


def test_a_setting_changed_on_one_acts_on_the_other(pair: Pair) -> None:
    one, another = pair

    def without_a_model() -> int:
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        return another.post("/v1/chat/completions", body, key=another.master_key).status

    assert without_a_model() == 400
    changed = time.monotonic()
    one.admin("POST", "/config/update", {"general_settings": {"completion_model": "m"}})
    obeys_within(lambda: without_a_model() == 200, changed)
    one.admin("POST", "/config/field/delete", {"field_name": "completion_model"})


def test_a_bus_that_fails_is_told_of_once_and_missed_by_nobody(pairs: Pairs) -> None:
    one, another = pairs.on("postgres-and-valkey")
    key = one.create_key()
    assert chat(another, key) == 200
    pairs.valkey.kill()
    another.process.wait_until(lambda: "not heard at once" in another.log, what="noticing")
    changed = time.monotonic()
    one.admin("POST", "/key/block", {"key": key})
    obeys_within(lambda: chat(another, key) == 401, changed)
    pairs.valkey.start()
    another.process.wait_until(lambda: "are heard at once again" in another.log, what="hearing again")
    changed = time.monotonic()
    one.admin("POST", "/key/unblock", {"key": key})
    obeys_within(lambda: chat(another, key) == 200, changed)
    assert another.log.count("changes:") == 2
    assert "Traceback" not in another.log + one.log


async def test_two_on_one_sqlite_file_hear_of_each_other(tmp_path: Path) -> None:
    env = {**SALT, "DATABASE_URL": f"sqlite:///{tmp_path}/both.sqlite3"}
    folders = tmp_path / "one", tmp_path / "another"
    for folder in folders:
        folder.mkdir()
    async with embedded_gateway(folders[0], CONFIG, env) as one, embedded_gateway(folders[1], CONFIG, env) as another:
        key = await one.create_key()
        assert (await another.chat(key=key, max_tokens=5)).status == 200
        await asyncio.sleep(1)  # by now both have begun to look
        changed = time.monotonic()
        assert (await one.post("/key/block", {"key": key})).status == 200
        while (await another.chat(key=key, max_tokens=5)).status != 401:
            assert time.monotonic() - changed < WITHIN_S
