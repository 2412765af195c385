"""The ledger over HTTP: every view of it agrees to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.databases import DATABASES
from tests.support.management import Management, error_of, good, make_group, make_snapshot, open_management
from tests.support.records import make_record

from tollway.core.money import dollars_from_nanos
from tollway.core.record import MASTER_KEY_ID
from tollway.core.usage import Usage
from tollway.stores.sql.ledger import SqlLedgerStore

DAY = 86_400


@pytest.mark.parametrize("database", DATABASES)
@given(calls=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**10)), max_size=12))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_view_agrees_to_the_nano_dollar(
    tmp_path_factory: pytest.TempPathFactory, database: str, calls: list[tuple[int, int]]
) -> None:
    async with open_management(tmp_path_factory.mktemp("spend"), database) as management:
        keys = [await management.new_key() for _ in range(3)]
        for index, nanos in calls:
            await management.spend(keys[index]["key"], 0, cost_nanos=nanos)
        by_key = [sum(nanos for index, nanos in calls if index == wanted) for wanted in range(3)]
        total = dollars_from_nanos(sum(by_key))
        assert good(await management.get("/global/spend"))["spend"] == total
        logs = good(await management.get("/spend/logs"))
        assert round(sum(row["spend"] * 1e9 for row in logs)) == sum(by_key)
        ranked = {row["api_key"]: row["total_spend"] for row in good(await management.get("/global/spend/keys"))}
        listed = {row["token"]: row["spend"] for row in good(await management.get("/spend/keys"))}
        days = good(await management.get("/spend/logs", start_date="2026-01-14", end_date="2026-01-14"))
        for key, nanos in zip(keys, by_key, strict=True):
            info = await management.info(key["key"])
            assert info["spend"] == info["total_spend"] == dollars_from_nanos(nanos)
            assert listed[key["token"]] == info["spend"]
            assert ranked.get(key["token"], 0.0) == info["spend"]
            assert days[0].get(key["token"], 0.0) == info["spend"]
        assert days[0]["spend"] == total


async def test_a_call_is_shown_with_every_field_of_the_contract(management: Management) -> None:
    made = await management.new_key(key_alias="al", user_id="ada")
    await management.spend(
        made["key"],
        0.05,
        key_alias="al",
        call_id="call-1",
        response_id="chatcmpl-1",
        model_id="m-1",
        api_base="https://api.example/v1",
        usage=Usage(input_tokens=10, cache_read_tokens=4, output_tokens=20, reasoning_tokens=5),
        end_user="customer",
        session_id="s",
        client_ip="10.0.0.1",
        user_agent="test/1",
        overhead_us=1500,
    )
    (row,) = good(await management.get("/spend/logs", api_key=made["key"]))
    metadata = row.pop("metadata")
    assert row == {
        "request_id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "call_type": "acompletion",
        "api_key": made["token"],
        "spend": 0.05,
        "total_tokens": 30,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "startTime": "2026-01-14T10:17:23.000Z",
        "endTime": "2026-01-14T10:17:23.250Z",
        "completionStartTime": "2026-01-14T10:17:23.250Z",
        "request_duration_ms": 250,
        "model": "gpt-4o",
        "model_id": "m-1",
        "model_group": "gpt-4o",
        "custom_llm_provider": "openai",
        "api_base": "https://api.example/v1",
        "user": "ada",
        "team_id": None,
        "organization_id": None,
        "end_user": "customer",
        "agent_id": None,
        "billing_agent_id": None,
        "cache_hit": "None",
        "cache_key": "Cache OFF",
        "request_tags": ["User-Agent: test"],
        "requester_ip_address": "10.0.0.1",
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "session_id": "s",
        "status": "success",
        "mcp_namespaced_tool_name": None,
        "created_at": "2026-01-14T10:17:23.250Z",
        "updated_at": "2026-01-14T10:17:23.250Z",
    }
    assert metadata["user_api_key_alias"] == "al"
    assert metadata["requester_metadata"] == {"run": 7}
    assert metadata["usage_object"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert metadata["usage_object"]["completion_tokens_details"]["reasoning_tokens"] == 5
    assert metadata["cost_breakdown"]["total_cost"] == 0.05
    assert metadata["litellm_overhead_time_ms"] == 1.5
    assert metadata["error_information"] is None


async def test_a_failed_call_is_shown_with_its_error(management: Management) -> None:
    key = (await management.new_key())["key"]
    failure = {
        "is_success": False,
        "status_code": 429,
        "error_class": "RateLimitError",
        "error_type": "throttling_error",
    }
    await management.spend(key, 0, **failure, error_message="slow down", metadata=b"not json", response_id="")
    (row,) = good(await management.get("/spend/logs"))
    assert row["status"] == row["metadata"]["status"] == "failure"
    assert row["request_id"] == row["litellm_call_id"]
    assert row["metadata"]["requester_metadata"] == {}
    assert row["metadata"]["error_information"] == {
        "error_code": "429",
        "error_class": "RateLimitError",
        "error_type": "throttling_error",
        "error_message": "slow down",
    }


@pytest.fixture
async def three_days(management: Management) -> Management:
    """Ada spends 1, 2 and 3 dollars on 14, 15 and 17 January; the administrator 10 on the last day."""
    key = (await management.new_key(user_id="ada", key="sk-ada-0123456789"))["key"]
    for dollars, pause in ((1, 1), (2, 2), (3, 0)):
        await management.spend(key, dollars, response_id=f"r-{dollars}", call_id=f"c-{dollars}")
        management.clock.advance(pause * DAY)
    admin = {"key_hash": MASTER_KEY_ID, "user_id": "default_user_id", "model": "other", "charges": ()}
    await management.spend(key, 10, response_id="r-10", call_id="c-10", **admin)
    return management


@pytest.mark.parametrize(
    ("query", "dollars"),
    [
        ({}, [10, 3, 2, 1]),
        ({"api_key": "sk-ada-0123456789"}, [3, 2, 1]),
        ({"api_key": MASTER_KEY_ID}, [10]),
        ({"user_id": "ada"}, [3, 2, 1]),
        ({"request_id": "r-2"}, [2]),
        ({"request_id": "c-2"}, [2]),
        ({"request_id": "r-2", "start_date": "2026-01-14", "end_date": "2026-01-15"}, [2]),
        ({"start_date": "2026-01-15"}, [10, 3, 2]),
        ({"end_date": "2026-01-15"}, [2, 1]),
        ({"start_date": "2026-01-15", "end_date": "2026-01-16", "summarize": False}, [2]),
        ({"api_key": "sk-nobody-0123456789"}, []),
    ],
)
async def test_calls_are_found_newest_first(
    query: dict[str, Any], dollars: list[float], three_days: Management
) -> None:
    rows = good(await three_days.get("/spend/logs", **query))
    assert sorted((row["spend"] for row in rows), reverse=True) == dollars
    assert [row["startTime"] for row in rows] == sorted((row["startTime"] for row in rows), reverse=True)


async def test_days_are_summed_and_padded(three_days: Management) -> None:
    days = good(await three_days.get("/spend/logs", start_date="2026-01-13", end_date="2026-01-17"))
    ada = days[1].keys() - {"startTime", "spend", "users", "models"}
    (ada_hash,) = ada
    assert days == [
        {"startTime": "2026-01-13", "spend": 0.0, "users": {}, "models": {}},
        {"startTime": "2026-01-14", "spend": 1.0, "users": {"ada": 1.0}, "models": {"gpt-4o": 1.0}, ada_hash: 1.0},
        {"startTime": "2026-01-15", "spend": 2.0, "users": {"ada": 2.0}, "models": {"gpt-4o": 2.0}, ada_hash: 2.0},
        {"startTime": "2026-01-16", "spend": 0.0, "users": {}, "models": {}},
        {
            "startTime": "2026-01-17",
            "spend": 13.0,
            "users": {"ada": 3.0, "default_user_id": 10.0},
            "models": {"gpt-4o": 3.0, "other": 10.0},
            ada_hash: 3.0,
            MASTER_KEY_ID: 10.0,
        },
    ]


@pytest.mark.parametrize(
    ("query", "spend"),
    [
        ({}, 16.0),
        ({"start_date": "2026-01-14", "end_date": "2026-01-14"}, 1.0),
        ({"start_date": "2026-01-15", "end_date": "2026-01-17"}, 15.0),
        ({"end_date": "2026-01-15"}, 3.0),
        ({"start_date": "2024-01-01", "end_date": "2024-01-31"}, 0.0),
    ],
)
async def test_global_spend_honours_its_dates(query: dict[str, str], spend: float, three_days: Management) -> None:
    assert good(await three_days.get("/global/spend", **query)) == {"spend": spend, "max_budget": 0.0}


async def test_without_dates_the_last_thirty_days_count(three_days: Management) -> None:
    three_days.clock.advance(28 * DAY)
    assert good(await three_days.get("/global/spend"))["spend"] == 15.0


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("/global/spend", {"start_date": "yesterday"}, "start_date"),
        ("/global/spend", {"end_date": "2026-02-30"}, "end_date"),
        ("/global/spend", {"start_date": "2026-02-01", "end_date": "2026-01-01"}, "start_date"),
        ("/global/spend", {"start_date": "0001-01-01", "end_date": "9999-12-31"}, "end_date"),
        ("/spend/logs", {"start_date": "01/02/2026"}, "start_date"),
    ],
)
async def test_dates_that_are_none(path: str, query: dict[str, str], param: str, management: Management) -> None:
    error = error_of(await management.get(path, **query), 400)
    assert (error["param"], error["type"]) == (param, "bad_request_error")


async def test_keys_and_models_are_ranked_by_spend(three_days: Management) -> None:
    keys = good(await three_days.get("/global/spend/keys"))
    assert [(row["api_key"] == MASTER_KEY_ID, row["key_name"], row["total_spend"]) for row in keys] == [
        (True, None, 10.0),
        (False, "sk-...6789", 6.0),
    ]
    assert good(await three_days.get("/global/spend/models")) == [
        {"model": "openai/other", "total_spend": 10.0},
        {"model": "openai/gpt-4o", "total_spend": 6.0},
    ]
    assert len(good(await three_days.get("/global/spend/keys", limit=1))) == 1
    assert (await three_days.get("/global/spend/keys", limit=0)).status_code == 422


async def test_a_key_sees_its_own_calls_only(three_days: Management) -> None:
    own = "sk-ada-0123456789"
    assert len(good(await three_days.get("/spend/logs", by=own))) == 3
    assert len(good(await three_days.get("/spend/logs", by=own, api_key=own))) == 3
    assert good(await three_days.get("/spend/logs", by=own, request_id="r-10")) == []
    days = good(await three_days.get("/spend/logs", by=own, start_date="2026-01-17", end_date="2026-01-17"))
    assert days[0]["spend"] == 3.0
    error_of(await three_days.get("/spend/logs", by=own, api_key=MASTER_KEY_ID), 403)


async def test_a_long_list_is_cut_and_says_so(management: Management) -> None:
    now = int(management.clock() * 1e6)
    calls = [make_record(now + index, cost_nanos=index) for index in range(10_001)]
    store = SqlLedgerStore(management.services.engine)
    await store.insert(calls[:-1])
    assert "x-litellm-spend-logs-truncated" not in (await management.get("/spend/logs")).headers
    await store.insert(calls[-1:])
    answer = await management.get("/spend/logs")
    assert answer.headers["x-litellm-spend-logs-truncated"] == "true"
    rows = good(answer)
    assert (len(rows), rows[0]["request_id"], rows[-1]["request_id"]) == (
        10_000,
        calls[-1].response_id,
        calls[1].response_id,
    )


MESSAGES = [{"role": "user", "content": "Hello"}]


async def test_the_cost_of_a_prompt_is_its_tokens_times_the_price(management: Management) -> None:
    cost = good(await management.post("/spend/calculate", {"model": "gpt-4o", "messages": MESSAGES}))
    assert cost == {"cost": 8 * 2.5e-6}


async def test_the_cost_of_an_answer_is_its_usage_times_the_price(management: Management) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    answer = {"id": "x", "model": "gpt-4o", "usage": usage}
    cost = good(await management.post("/spend/calculate", {"completion_response": answer}))
    assert cost == {"cost": 0.00035}


async def test_a_price_of_the_operator_wins(tmp_path: Path) -> None:
    mini = make_group("gpt-4o", provider="openai", model="gpt-4o-mini")
    async with open_management(tmp_path, snapshot=make_snapshot(mini)) as management:
        for model, dollars in (("gpt-4o", 0.15e-6), ("openai/gpt-4o", 2.5e-6), ("gpt-4.1-nano", 0.1e-6)):
            body = {"model": model, "messages": MESSAGES}
            assert good(await management.post("/spend/calculate", body))["cost"] == pytest.approx(8 * dollars)


async def test_a_team_asks_for_the_price_of_its_own_model(tmp_path: Path) -> None:
    async with open_management(tmp_path, config={}) as management:
        team_id = (await management.new_team())["team_id"]
        key = (await management.new_key(team_id=team_id))["key"]
        params = {"model": "openai/gpt-4o", "input_cost_per_token": 1e-3, "output_cost_per_token": 1e-3}
        model = {"model_name": "ours", "litellm_params": params, "model_info": {"team_id": team_id}}
        good(await management.post("/model/new", model))
        question = {"model": "ours", "messages": MESSAGES}
        assert good(await management.post("/spend/calculate", question, by=key)) == {"cost": 8e-3}
        error_of(await management.post("/spend/calculate", question), 400)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Send 'model' and 'messages', or 'completion_response'."),
        ({"model": "gpt-4o"}, "Send 'model' and 'messages', or 'completion_response'."),
        ({"messages": MESSAGES}, "Missing required parameter: 'model'."),
        ({"model": "nobody/knows", "messages": MESSAGES}, "Nobody has said what model 'nobody/knows' costs."),
    ],
)
async def test_a_cost_that_cannot_be_known(body: dict[str, Any], message: str, management: Management) -> None:
    error = error_of(await management.post("/spend/calculate", body), 400)
    assert error["message"].startswith(message)
    assert error["type"] == "bad_request_error"


async def test_any_key_may_ask_for_a_cost(management: Management) -> None:
    key = (await management.new_key())["key"]
    question = {"model": "gpt-4o", "messages": MESSAGES}
    assert good(await management.post("/spend/calculate", question, by=key)) == {"cost": 8 * 2.5e-6}
