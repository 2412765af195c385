"""What the whole stack has to stand: killed and upgraded gateways, servers that are away, a backup and its return."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

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
        for name in REPLICAS:
            stack.services[name].stop()
            stack.services[name].start()
            stack.wait_for(name)
            _until_it_serves(stack, name)
        load.wait_for(30, since=upgraded_at)
    assert not load.troubles(since=killed_at), load.troubles(since=killed_at)
    assert all(trouble.startswith(("cut", "Client")) for trouble in load.troubles()), "only streams that had begun"


def takes_a_changed_configuration(stack: Stack) -> None:
    """The file is edited and the gateways are restarted, as the guide says."""
    file = stack.folder / "deploy" / "config.yaml"
    file.write_text(
        file.read_text().replace(
            "litellm_settings:",
            "  - model_name: one-more\n    litellm_params:\n      model: demo/demo\n\nlitellm_settings:",
            1,
        )
    )
    ran = Reader(stack).run("docker-compose restart litellm-1 litellm-2")
    assert ran.returncode == 0, ran.stdout
    stack.wait_until_ready()
    for name in REPLICAS:
        assert stack.client(name).chat("one-more", "Hello!").status == 200


def serves_without_its_servers(stack: Stack) -> None:
    """Redis away: limits are kept alone. Postgres away: keys in use go on, and their records follow."""
    gateway = stack.client("litellm-1")
    key = gateway.create_key()
    assert gateway.chat("demo", "Hello!", key=key).status == 200
    for server, sign in (("redis", "tollway_shared_counters_up 0"), ("postgres", "tollway_journal_records [1-9]")):
        stack.services[server].stop()
        _until(lambda: gateway.chat("demo", f"{server} is away", key=key).status == 200 and _shows(stack, sign))  # noqa: B023
        stack.services[server].start()
        stack.wait_for(server)
    for sign in ("tollway_shared_counters_up 1", "tollway_journal_records 0", "tollway_ledger_lag_seconds 0"):
        _until(lambda: _shows(stack, sign))  # noqa: B023


def comes_back_from_a_backup(stack: Stack) -> None:
    """What was there at the backup is there again, to the cent; what came after is not."""
    reader = Reader(stack)
    key = stack.proxy.create_key(max_budget=5)
    assert stack.proxy.chat("gpt-4o", "What is in the backup?", key=key).status == 200
    spend = stack.proxy.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert spend > 0
    commands = (
        "docker-compose exec -T postgres pg_dump -U litellm litellm > backup.sql",
        "docker-compose stop litellm-1 litellm-2",
        "docker-compose exec -T postgres dropdb -U litellm litellm",
        "docker-compose exec -T postgres createdb -U litellm litellm",
        "docker-compose exec -T postgres psql -q -v ON_ERROR_STOP=1 -U litellm -d litellm < backup.sql",
        "docker-compose exec -T redis redis-cli -a your-redis-password FLUSHALL",
        "docker-compose up -d litellm-1 litellm-2",
    )
    later = ""
    for command in commands:
        ran = reader.run(command)
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
        later = later or stack.proxy.create_key()
    stack.wait_until_ready()
    for name in REPLICAS:
        assert stack.client(name).admin("GET", f"/key/info?key={key}")["info"]["spend"] == spend
        assert stack.client(name).chat("demo", "Hello!", key=key).status == 200
        assert stack.client(name).chat("demo", "Hello!", key=later).status == 401


def _until_it_serves(stack: Stack, name: str) -> None:
    """nginx sends calls to it again."""
    _until(lambda: _shows(stack, r'litellm_requests_metric_total\{.*\} [1-9]', name))


def _shows(stack: Stack, pattern: str, name: str = "litellm-1") -> bool:
    page = stack.client(name).get("/metrics").body.decode()
    return re.search(rf"^{pattern}", page, re.MULTILINE) is not None


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
