"""Four replicas on one Postgres and one Valkey keep every budget and limit as one process would."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import postgres
from tests.support.fleet import Fleet, running_fleet, statuses
from tests.support.valkey import ValkeyServer

CALLS = int(os.environ.get("TOLLWAY_TEST_FLEET_CALLS", "120"))
"""Concurrent calls against each budget; 1,000 in the run that docs/guarantees.md speaks of."""
RATE_S = int(os.environ.get("TOLLWAY_TEST_FLEET_RATE_S", "3"))
"""Seconds for which too many requests are offered; 150, more than two minutes' windows, in that run."""
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


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    url = postgres.databases().take()
    with ValkeyServer() as valkey:
        valkey.start()
        with running_fleet(folder, 4, CONFIG, database_url=url, redis_url=valkey.url) as running:
            yield running
    postgres.databases().drop(url)


def post(fleet: Fleet, path: str, **body: Any) -> Any:
    return fleet.first.admin("POST", path, body)


def of_key(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    return fleet.first.create_key(**limits), {}


def of_user(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    return fleet.first.create_key(user_id=post(fleet, "/user/new", **limits)["user_id"]), {}


def of_team(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    return fleet.first.create_key(team_id=post(fleet, "/team/new", **limits)["team_id"]), {}


def of_organization(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    organization = post(fleet, "/organization/new", organization_alias="o", **limits)["organization_id"]
    team = post(fleet, "/team/new", organization_id=organization)["team_id"]
    return fleet.first.create_key(team_id=team), {}


def of_member(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    team = post(fleet, "/team/new")["team_id"]
    user = post(fleet, "/user/new")["user_id"]
    member = {"role": "user", "user_id": user}
    post(fleet, "/team/member_add", team_id=team, member=member, max_budget_in_team=limits["max_budget"])
    return fleet.first.create_key(team_id=team, user_id=user), {}


def of_customer(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    post(fleet, "/customer/new", user_id="customer-1", **limits)
    return fleet.first.create_key(), {"user": "customer-1"}


def of_tag(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    post(fleet, "/tag/new", name="tag-1", **limits)
    return fleet.first.create_key(), {"metadata": {"tags": ["tag-1"]}}


def of_model(fleet: Fleet, **limits: Any) -> tuple[str, dict[str, Any]]:
    budget = {"m": {"budget_limit": limits["max_budget"], "time_period": "30d"}}
    return fleet.first.create_key(model_max_budget=budget), {}


ENTITIES = (of_key, of_user, of_team, of_organization, of_member, of_customer, of_tag, of_model)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
def test_calls_at_once_never_settle_more_than_the_budget_and_one_call(fleet: Fleet, entity: Any) -> None:
    key, named = entity(fleet, max_budget=1)
    replies = fleet.calls(CALLS, key=key, body={"max_tokens": 10, **named})
    served = [reply for reply in replies if reply.status == 200]
    assert set(statuses(replies)) <= {200, 422, 429}
    spent = sum(reply.cost for reply in served)
    dearest = max(reply.cost for reply in served)
    assert 1 <= spent <= 1 + dearest, "no call was refused while there was room, and none admitted when there was not"
    last = fleet.calls(1, key=key, body={"max_tokens": 10, **named})[0]
    assert last.status == 422
    assert f"{spent:.4f}"[:5] in last.body["error"]["message"]


def test_without_max_tokens_a_call_reserves_what_its_model_can_say(fleet: Fleet) -> None:
    key, _ = of_key(fleet, max_budget=1)
    replies = fleet.calls(CALLS // 5, key=key)
    spent = sum(reply.cost for reply in replies)
    assert set(statuses(replies)) <= {200, 422, 429}
    assert spent <= 1 + max(reply.cost for reply in replies)


def test_streams_count_as_any_call(fleet: Fleet) -> None:
    key, _ = of_key(fleet, max_budget=1)
    replies = fleet.calls(CALLS // 2, key=key, body={"max_tokens": 10, "stream": True})
    assert set(statuses(replies)) <= {200, 422, 429}
    spend: float = fleet.first.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert 1 <= spend <= 1 + 10 * OUTPUT + 100 * INPUT


def test_requests_are_admitted_up_to_the_limit_of_the_minute(fleet: Fleet) -> None:
    key, _ = of_key(fleet, rpm_limit=100)
    replies = fleet.calls(2 * CALLS, key=key, body={"max_tokens": 1})
    assert statuses(replies) == {200: 100, 429: 2 * CALLS - 100}
    refused = next(reply for reply in replies if reply.status == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert refused.headers["rate_limit_type"] == "requests"


def test_six_times_the_limit_for_minutes_is_admitted_at_the_limit(fleet: Fleet) -> None:
    limit = 100 if RATE_S > 60 else 10
    key, _ = of_key(fleet, rpm_limit=limit)
    replies = fleet.calls(10 * RATE_S, key=key, every_s=0.1, body={"max_tokens": 1})
    served = sorted((reply for reply in replies if reply.status == 200), key=lambda reply: reply.sent_at)
    assert set(statuses(replies)) == {200, 429}
    for first in served:  # all that can only have been admitted in the minute that begins with it
        minute = [
            reply for reply in served if first.sent_at <= reply.sent_at and reply.received_at < first.sent_at + 60
        ]
        assert len(minute) <= limit
    assert len(served) == limit * (1 + RATE_S // 62), "a minute's requests are admitted again when they have left it"


def test_tokens_are_admitted_up_to_the_limit_and_one_call(fleet: Fleet) -> None:
    key, _ = of_key(fleet, tpm_limit=1_000)
    replies = fleet.calls(CALLS, key=key, body={"max_tokens": 10})
    tokens = [reply.body["usage"]["total_tokens"] for reply in replies if reply.status == 200]
    assert set(statuses(replies)) == {200, 429}
    assert sum(tokens) <= 1_000 + max(tokens)


def test_calls_in_parallel_never_exceed_the_slots(fleet: Fleet) -> None:
    key, _ = of_key(fleet, max_parallel_requests=5)
    replies = fleet.calls(100, key=key, at_once=100, body={"max_tokens": 1, "mock_response": "x"})
    assert set(statuses(replies)) == {200, 429}
    counts = statuses(replies)
    assert counts[200] >= 5


def test_a_budget_raised_on_one_replica_admits_on_another(fleet: Fleet) -> None:
    key, _ = of_key(fleet, max_budget=0.04)
    assert statuses(fleet.calls(20, key=key, at_once=1, body={"max_tokens": 10})) == {200: 1, 422: 19}
