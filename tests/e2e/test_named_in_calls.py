"""What customers, tags and access groups do to calls: limits, models, blocks, and what an outage leaves of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from sqlalchemy import insert
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.gateway import MASTER_KEY

from tollway.core.errors import StoreUnavailable
from tollway.core.money import nanos_from_dollars
from tollway.db.budgets import budgets
from tollway.db.engine import writing
from tollway.db.teams import teams
from tollway.stores.sql.entities import SqlEntityStore

TINY = 0.000001
"""Dollars: less than the cheapest call costs, so that one call is served and no second."""


async def made(gateway: Embedded, path: str, **body: Any) -> Any:
    response = await gateway.post(path, body)
    assert response.status in (200, 201), await response.text()
    return await response.json()


async def refusal(response: ClientResponse) -> tuple[int, str, str]:
    error = (await response.json())["error"]
    return response.status, error["type"], error["message"]


async def add_budget(gateway: Embedded, budget_id: str, **limits: Any) -> None:
    opened = await gateway.runtime.database.opened()
    now = datetime.now(UTC)
    row = {"budget_id": budget_id, "model_max_budget": {}, "allowed_models": [], "created_at": now, "updated_at": now}
    async with writing(opened.engine) as connection:
        await connection.execute(insert(budgets).values(row | limits))


class Counted:
    """An entity store that counts what it is asked, and can be away."""

    def __init__(self, store: SqlEntityStore) -> None:
        self._store = store
        self.asked: list[tuple[str, str]] = []
        self.is_away = False

    async def find_entity(self, kind: Any, id: str, *, default_budget_id: str | None = None) -> Any:
        self.asked.append((kind, id))
        if self.is_away:
            raise StoreUnavailable("The database cannot be reached right now.")
        return await self._store.find_entity(kind, id, default_budget_id=default_budget_id)


async def watch(gateway: Embedded) -> Counted:
    counted = Counted((await gateway.runtime.database.opened()).entities)
    gateway.runtime.entities._store = counted
    return counted


async def test_a_customers_own_budget_holds_whatever_key_calls(gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", max_budget=TINY)
    first, second = await gateway.create_key(), await gateway.create_key()
    assert (await gateway.chat(key=first, user="ada")).status == 200
    status, kind, message = await refusal(await gateway.chat(key=second, user="ada"))
    assert (status, kind) == (422, "budget_exceeded")
    assert message.startswith("ExceededBudget: End User=ada over budget. Spend=")
    assert (await gateway.chat(key=second, user="bob")).status == 200
    assert (await gateway.chat(key=second)).status == 200


async def test_a_change_of_a_customer_counts_from_the_next_call_on(gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", max_budget=TINY)
    assert (await gateway.chat(user="ada")).status == 200
    assert (await gateway.chat(user="ada")).status == 422
    await made(gateway, "/customer/update", user_id="ada", max_budget=1)
    assert (await gateway.chat(user="ada")).status == 200
    await made(gateway, "/customer/update", user_id="ada", max_budget=TINY)
    assert (await gateway.chat(user="ada")).status == 422
    await made(gateway, "/customer/update", user_id="ada", spend=0)
    assert (await gateway.chat(user="ada")).status == 200
    await made(gateway, "/customer/update", user_id="ada", max_budget=None, models=["other"])
    assert (await refusal(await gateway.chat(user="ada")))[:2] == (403, "customer_model_access_denied")
    await made(gateway, "/customer/update", user_id="ada", models=["m"])
    assert (await gateway.chat(user="ada")).status == 200


async def test_spend_set_on_a_new_customer_counts(gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", max_budget=5, spend=5)
    assert (await gateway.chat(user="ada")).status == 422


@pytest.mark.parametrize(
    "naming",
    [
        {"headers": {"x-litellm-customer-id": "ada"}},
        {"headers": {"x-litellm-end-user-id": "ada"}},
        {"body": {"user": "ada"}},
        {"body": {"metadata": {"user_id": "ada"}}},
        {"body": {"safety_identifier": "ada"}},
    ],
)
async def test_a_blocked_customer_is_refused_however_named_until_unblocked(
    naming: dict[str, Any], gateway: Embedded, upstream: FaultyUpstream
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **naming.get("body", {})}
    headers = naming.get("headers", {})
    await made(gateway, "/end_user/block", user_ids=["ada"])
    answer = await gateway.post("/v1/chat/completions", body, headers=headers)
    status, kind, message = await refusal(answer)
    assert (status, kind) == (403, "auth_error")
    assert "'ada' is blocked from making LLM calls" in message
    assert upstream.requests == []
    await made(gateway, "/end_user/unblock", user_ids=["ada"])
    assert (await gateway.post("/v1/chat/completions", body, headers=headers)).status == 200


@pytest.mark.parametrize("limit", ["rpm_limit", "tpm_limit"])
async def test_a_customers_rate_limit_holds(limit: str, gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", **{limit: 1})
    answers = [await gateway.chat(user="ada") for _ in range(2)]
    assert answers[-1].status == 429
    assert "end_user: ada" in (await refusal(answers[-1]))[2]
    assert (await gateway.chat(user="bob")).status == 200


async def test_a_customers_parallel_limit_holds(gateway: Embedded, upstream: FaultyUpstream) -> None:
    await made(gateway, "/customer/new", user_id="ada", max_parallel_requests=2)
    upstream.event_delay_s = 0.02
    answers = await asyncio.gather(*(gateway.chat(user="ada", stream=True) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429, 429, 429, 429]


async def test_a_customers_budget_for_one_model_holds_for_that_model(gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", model_max_budget={"m": {"max_budget": TINY}})
    assert (await gateway.chat(user="ada")).status == 200
    status, _, message = await refusal(await gateway.chat(user="ada"))
    assert (status, "LiteLLM End User: ada, exceeded budget for model=m" in message) == (422, True)


async def test_a_customers_default_model_is_used_where_a_call_names_none(gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", default_model="m")
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    answer = await gateway.post("/v1/chat/completions", body | {"user": "ada"})
    assert (answer.status, (await answer.json())["model"]) == (200, "m")
    assert (await gateway.post("/v1/chat/completions", body)).status == 400
    key = await gateway.create_key(models=["other"])
    denied = await gateway.post("/v1/chat/completions", body | {"user": "ada"}, key=key)
    assert (await refusal(denied))[1] == "key_model_access_denied"


async def test_the_keys_default_budget_goes_before_the_settings(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream) | {"litellm_settings": {"max_end_user_budget_id": "of-all"}}
    async with embedded_gateway(tmp_path, config) as gateway:
        await add_budget(gateway, "of-all", max_budget_nanos=nanos_from_dollars(TINY))
        await add_budget(gateway, "of-key", rpm_limit=1)
        assert (await gateway.chat(user="ada")).status == 200
        assert (await gateway.chat(user="ada")).status == 422
        key = await gateway.create_key(end_user_budget_id="of-key")
        assert (await gateway.chat(key=key, user="bob")).status == 200
        assert (await gateway.chat(key=key, user="bob")).status == 429
        await made(gateway, "/customer/new", user_id="eve", max_budget=1)
        assert [(await gateway.chat(key=key, user="eve")).status for _ in range(2)] == [200, 200]


async def test_concurrent_first_requests_of_an_unknown_end_user_do_not_bypass_the_default_budget(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    limit, bound = 0.002, 3e-4  # of one call: some 60 bytes in, 20 tokens out
    config = model_list(upstream) | {"litellm_settings": {"max_end_user_budget_id": "free"}}
    async with embedded_gateway(tmp_path, config) as gateway:
        await add_budget(gateway, "free", max_budget_nanos=nanos_from_dollars(limit))
        answers = await asyncio.gather(*(gateway.chat(user="never-seen", max_tokens=20) for _ in range(200)))
        assert {answer.status for answer in answers} <= {200, 422, 429}
        assert any(answer.status == 422 for answer in answers)
        shown = await (await gateway.get("/customer/info?end_user_id=never-seen")).json()
        assert 0 < shown["spend"] <= limit + bound


async def test_the_default_budget_can_be_an_amount(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream) | {"litellm_settings": {"max_end_user_budget": TINY}}
    async with embedded_gateway(tmp_path, config) as gateway:
        assert (await gateway.chat(user="ada")).status == 200
        assert (await refusal(await gateway.chat(user="ada")))[:2] == (422, "budget_exceeded")
        await made(gateway, "/customer/update", user_id="ada", max_budget=1)
        assert (await gateway.chat(user="ada")).status == 200


async def test_unknown_end_users_are_refused_where_they_must_be_known(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream) | {"litellm_settings": {"validate_end_user_id_in_db": True}}
    async with embedded_gateway(tmp_path, config) as gateway:
        answer = await gateway.chat(user="ada")
        assert (await refusal(answer))[:2] == (400, "invalid_request_error")
        assert (await gateway.chat()).status == 200
        await made(gateway, "/customer/new", user_id="ada")
        assert (await gateway.chat(user="ada")).status == 200
        unknown = await gateway.get("/customer/info?end_user_id=bob")
        assert (await gateway.chat(user="bob")).status == 400
        assert unknown.status == 404, "who was refused is no customer"


async def test_end_users_can_be_ignored(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = model_list(upstream) | {"litellm_settings": {"disable_end_user_cost_tracking": True}}
    async with embedded_gateway(tmp_path, config) as gateway:
        assert (await gateway.chat(user="ada")).status == 200
        assert (await gateway.get("/customer/info?end_user_id=ada")).status == 404


async def test_whoever_was_served_is_a_customer_and_whoever_was_refused_is_not(gateway: Embedded) -> None:
    assert (await gateway.chat(user="ada")).status == 200
    assert (await gateway.chat(user="bob", model="no-such-model")).status == 400
    shown = await (await gateway.get("/customer/info?end_user_id=ada")).json()
    assert (shown["user_id"], shown["blocked"], shown["litellm_budget_table"]) == ("ada", False, None)
    (row,) = await gateway.records(end_user="ada")
    assert shown["spend"] == pytest.approx(row["spend"])
    assert [one["user_id"] for one in await (await gateway.get("/customer/list")).json()] == ["ada"]
    await made(gateway, "/customer/update", user_id="ada", max_budget=TINY)
    assert (await gateway.chat(user="ada")).status == 422


async def test_a_tags_budget_holds_for_tags_of_key_body_and_header(gateway: Embedded) -> None:
    await made(gateway, "/tag/new", name="prod", max_budget=TINY)
    tagged = await gateway.create_key(tags=["prod"])
    assert (await gateway.chat(key=tagged)).status == 200
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    refused = [
        await gateway.chat(key=tagged),
        await gateway.chat(tags=["prod"]),
        await gateway.chat(metadata={"tags": ["x", "prod"]}),
        await gateway.post("/v1/chat/completions", body, headers={"x-litellm-tags": "x, prod"}),
    ]
    for answer in refused:
        status, kind, message = await refusal(answer)
        assert (status, kind) == (422, "budget_exceeded")
        assert message.startswith("Budget has been exceeded! Tag=prod Current cost:")
    assert (await gateway.chat(tags=["test"])).status == 200
    await made(gateway, "/tag/update", name="prod", max_budget=1)
    assert (await gateway.chat(key=tagged)).status == 200
    await made(gateway, "/tag/update", name="prod", max_budget=TINY)
    assert (await gateway.chat(key=tagged)).status == 422
    await made(gateway, "/tag/delete", name="prod")
    assert (await gateway.chat(key=tagged)).status == 200


async def test_a_tag_that_is_made_later_limits_calls_that_already_have_it(gateway: Embedded) -> None:
    assert (await gateway.chat(tags=["beta"])).status == 200
    await made(gateway, "/tag/new", name="beta", rpm_limit=1)
    assert (await gateway.chat(tags=["beta"])).status == 200
    assert (await refusal(await gateway.chat(tags=["beta"])))[2].startswith("Rate limit exceeded for tag: beta")


async def test_an_access_group_adds_its_models_to_a_keys(gateway: Embedded) -> None:
    key = await gateway.create_key(models=["other"])
    assert (await gateway.chat(key=key)).status == 403
    group = await made(
        gateway, "/v1/access_group", access_group_name="beta", access_model_names=["m"], assigned_key_ids=[key]
    )
    assert (await gateway.chat(key=key)).status == 200
    path = f"{gateway.url}/v1/access_group/{group['access_group_id']}"
    auth = {"Authorization": f"Bearer {MASTER_KEY}"}
    await gateway.session.put(path, json={"access_model_names": ["n"]}, headers=auth)
    assert (await gateway.chat(key=key)).status == 403
    await gateway.session.put(path, json={"access_model_names": ["m"]}, headers=auth)
    assert (await gateway.chat(key=key)).status == 200
    await gateway.session.put(path, json={"assigned_key_ids": []}, headers=auth)
    assert (await gateway.chat(key=key)).status == 403
    await gateway.session.put(path, json={"assigned_key_ids": [key]}, headers=auth)
    assert (await gateway.chat(key=key)).status == 200
    assert (await gateway.session.delete(path, headers=auth)).status == 204
    assert (await gateway.chat(key=key)).status == 403


async def test_an_access_group_adds_its_models_to_a_teams(gateway: Embedded) -> None:
    now = datetime.now(UTC)
    row: dict[str, Any] = {"team_id": "red", "models": ["other"], "created_at": now, "updated_at": now}
    documents: dict[str, Any] = {"model_aliases": {}, "member_permissions": [], "metadata": {}, "options": {}}
    async with writing((await gateway.runtime.database.opened()).engine) as connection:
        await connection.execute(insert(teams).values(row | documents))
    key = await gateway.create_key(team_id="red")
    assert (await refusal(await gateway.chat(key=key)))[1] == "team_model_access_denied"
    group = {"access_group_name": "beta", "access_model_names": ["m"], "assigned_team_ids": ["red"]}
    await made(gateway, "/v1/access_group", **group)
    assert (await gateway.chat(key=key)).status == 200


async def test_entities_are_looked_up_once_and_not_once_a_call(gateway: Embedded) -> None:
    await made(gateway, "/customer/new", user_id="ada", max_budget=1)
    await made(gateway, "/tag/new", name="prod", max_budget=1)
    counted = await watch(gateway)
    for _ in range(5):
        assert (await gateway.chat(user="ada", tags=["prod", "plain"])).status == 200
        assert (await gateway.chat(user="unknown")).status == 200
    assert sorted(counted.asked) == [
        ("end_user", "ada"), ("end_user", "unknown"), ("tag", "plain"), ("tag", "prod")
    ]  # fmt: skip


async def test_a_known_end_user_goes_on_while_the_database_is_away_and_an_unknown_one_gets_503(
    gateway: Embedded,
) -> None:
    counted = await watch(gateway)
    assert (await gateway.chat(user="ada")).status == 200
    counted.is_away = True
    gateway.runtime.entities._ttl_s = 0
    assert (await gateway.chat(user="ada")).status == 200
    status, kind, _ = await refusal(await gateway.chat(user="stranger"))
    assert (status, kind) == (503, "no_db_connection")
    assert (await gateway.chat()).status == 200


async def test_names_that_are_no_names_are_refused(gateway: Embedded) -> None:
    assert (await refusal(await gateway.chat(user="x" * 1001)))[:2] == (400, "invalid_request_error")
    assert (await refusal(await gateway.chat(user="ü" * 501)))[:2] == (400, "invalid_request_error")
    assert (await refusal(await gateway.chat(tags=["x" * 1001])))[:2] == (400, "invalid_request_error")
    assert (await refusal(await gateway.chat(tags=[str(n) for n in range(101)])))[:2] == (400, "invalid_request_error")
    assert (await gateway.chat(user="ü" * 500, tags=[str(n) for n in range(100)])).status == 200
