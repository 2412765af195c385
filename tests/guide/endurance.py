"""What the whole stack has to stand: killed and upgraded gateways, servers that are away, a backup and its return."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

from tests.docs.pages import Example, on_the_stack
from tests.guide.figures import ask
from tests.guide.reader import Reader
from tests.support.load import calling
from tests.support.stack import REPLICAS, Stack


def survives_a_killed_gateway_and_upgrades_without_a_lost_call(stack: Stack) -> None:
    """Under streaming load: one gateway is killed and comes back, then both are stopped and started in turn."""
    with calling(stack.proxy, stack.proxy.create_key()) as load:
        load.wait_for(20)
        stack.services["litellm-1"].kill()
        killed_at = time.monotonic()
        load.wait_for(30, since=killed_at)
        stack.services["litellm-1"].start()
        stack.wait_for("litellm-1")
        _until_it_serves(stack, "litellm-1")
        upgraded_at = time.monotonic()
        [block] = on_the_stack("upgrade")
        for name, command in zip(REPLICAS, block.text.splitlines(), strict=True):
            follow(stack, replace(block, text=command))
            stack.wait_for(name)
            _until_it_serves(stack, name)
        load.wait_for(30, since=upgraded_at)
    assert not load.troubles(since=killed_at), load.troubles(since=killed_at)
    assert all(trouble.startswith(("cut", "Client")) for trouble in load.troubles()), "only streams that had begun"


def is_deployed_as_the_guide_says(stack: Stack) -> None:
    """The first block of the deployment guide, and the one of the README."""
    for block in on_the_stack("start"):
        ran = follow(stack, block)
        assert '"status":"healthy"' in ran
        assert '"object":"chat.completion"' in ran


def takes_a_changed_configuration(stack: Stack) -> None:
    """Another model in the file is served once the gateways are told to read it."""
    file = stack.folder / "deploy" / "config.yaml"
    added = "  - model_name: one-more\n    litellm_params:\n      model: demo/demo\n\nlitellm_settings:"
    file.write_text(file.read_text().replace("litellm_settings:", added, 1))
    [block] = on_the_stack("reload")
    follow(stack, block)
    for name in REPLICAS:
        _until(lambda: stack.client(name).chat("one-more", "Hello!").status == 200)  # noqa: B023


def serves_without_its_servers(stack: Stack) -> None:
    """Redis away: limits are kept alone. Postgres away: keys in use go on, and their records follow."""
    key = stack.proxy.create_key()
    for server, sign in (("redis", "tollway_shared_counters_up 0"), ("postgres", "tollway_ledger_lag_seconds [1-9]")):
        _until_served(stack, key)
        stack.services[server].stop()
        _until_served(stack, key)
        _until_shown(stack, sign)
        stack.services[server].start()
        stack.wait_for(server)
        _until_shown(stack, "tollway_shared_counters_up 1")
    _until_shown(stack, r"tollway_ledger_lag_seconds 0\.0$")


def comes_back_from_a_backup(stack: Stack) -> None:
    """What was there at the backup is there again, to the cent; what came after is not."""
    key = stack.proxy.create_key(max_budget=5)
    assert stack.proxy.chat("gpt-4o", "What is in the backup?", key=key).status == 200
    spend = stack.proxy.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert spend > 0
    [backup], [restore] = on_the_stack("backup"), on_the_stack("restore")
    follow(stack, backup)
    later = stack.proxy.create_key()
    follow(stack, restore)
    stack.wait_until_ready()
    for name in REPLICAS:
        assert stack.client(name).admin("GET", f"/key/info?key={key}")["info"]["spend"] == spend
        assert stack.client(name).chat("demo", "Hello!", key=key).status == 200
        assert stack.client(name).chat("demo", "Hello!", key=later).status == 401


def follow(stack: Stack, example: Example) -> str:
    """What a block of a guide prints, all of whose commands must succeed."""
    ran = Reader(stack).run(f"set -euo pipefail\n{example.text}")
    assert ran.returncode == 0, f"{example}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def _until_served(stack: Stack, key: str) -> None:
    question = f"who is there? {time.monotonic()}"
    _until(lambda: stack.client("litellm-1").chat("demo", question, key=key).status == 200)


def _until_shown(stack: Stack, sign: str) -> None:
    """A line of its metrics, which Prometheus has seen as well."""
    _until(lambda: _shows(stack, sign))
    age = f'time() - timestamp(up{{instance="127.0.0.1:{stack.ports["litellm-1"]}"}})'
    shown_at = time.monotonic()
    _until(lambda: bool(ask(stack, "/api/v1/query", query=f"{age} < {time.monotonic() - shown_at}")["result"]))


def _until_it_serves(stack: Stack, name: str) -> None:
    """nginx sends calls to it again."""
    _until(lambda: _shows(stack, r"litellm_requests_metric_total\{.*\} [1-9]", name))


def _shows(stack: Stack, pattern: str, name: str = "litellm-1") -> bool:
    page = stack.client(name).get("/metrics").body.decode()
    return re.search(rf"^{pattern}", page, re.MULTILINE) is not None


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
