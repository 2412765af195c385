"""Calls that go on when deployments fail: retries, fallbacks, cooldowns, and what caller and ledger see of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import (
    CUT,
    RESET,
    FaultyUpstream,
    Step,
    chunk,
    chunked_head,
    error,
    refused_url,
    response,
    sse,
    stream,
)


def deployment(upstream: FaultyUpstream | str, name: str, *, model: str = "m", **params: Any) -> dict[str, Any]:
    url = upstream if isinstance(upstream, str) else upstream.url
    common = {"model": "openai/gpt-4o", "api_base": f"{url}/v1", "api_key": "sk-upstream"}
    return {"model_name": model, "model_info": {"id": name}, "litellm_params": {**common, **params}}


@asynccontextmanager
async def routed(folder: Path, *deployments: dict[str, Any], **router: Any) -> AsyncIterator[Embedded]:
    config = {"model_list": list(deployments), "router_settings": router}
    async with embedded_gateway(folder, config) as gateway:
        yield gateway


@pytest.fixture
async def other() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as server:
        yield server


def delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return sse({"id": "chatcmpl-x", "model": "gpt-4o", "choices": [choice]})[0]


ROLE = sse({"id": "chatcmpl-x", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})[0]

FAULTS: dict[str, tuple[Step, ...]] = {
    "500": (error(500),),
    "429": (error(429),),
    "429 with retry-after": (error(429, retry_after="1"),),
    "reset": (RESET,),
    "closed without an answer": (CUT,),
    "cut in its head": (b"HTTP/1.1 200 OK\r\ncontent-", CUT),
    "cut in its body": (response(b'{"id":')[:-1] + b"", CUT),
    "no JSON": (response(b"<html>busy</html>"),),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", CUT),
    "401": (error(401),),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_whatever_a_deployment_does_another_answers(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path, fault: str, is_stream: bool
) -> None:
    upstream.reply(*FAULTS[fault], always=True)
    async with routed(tmp_path, deployment(upstream, "bad"), deployment(other, "good", order=1)) as gateway:
        answer = await gateway.chat(stream=is_stream)
        assert answer.status == 200
        assert "Hello" in await answer.text()
        assert answer.headers["x-litellm-model-id"] == "good"
        assert answer.headers["x-litellm-attempted-retries"] == "1"
        assert answer.headers["x-tollway-failed-attempts"].startswith("m/bad ")
        (row,) = await gateway.records()
        assert (row["status"], row["model_id"]) == ("success", "good")
        (attempt,) = row["metadata"]["attempts"]
        assert (attempt["model_group"], attempt["model_id"]) == ("m", "bad")


async def test_a_call_can_show_who_was_considered_and_who_was_skipped(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(429, retry_after="60"))
    async with routed(tmp_path, deployment(upstream, "bad"), deployment(other, "good", order=1)) as gateway:
        first = await gateway.chat()
        assert "x-tollway-skipped-deployments" not in first.headers, "it was tried, rather than skipped"
        second = await gateway.chat()
        assert second.headers["x-tollway-skipped-deployments"] == "m/bad cooldown"
        assert "x-tollway-considered-deployments" not in second.headers
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        third = await gateway.post("/v1/chat/completions", body, headers={"x-tollway-explain": "true"})
        assert third.headers["x-tollway-considered-deployments"] == "m/good"
        row = (await gateway.records())[0]
        assert row["metadata"]["attempts"] == []
        (skipped,) = row["metadata"]["skipped_deployments"]
        assert (skipped["model_id"], skipped["skipped"]) == ("bad", "cooldown")


STREAM_FAULTS: dict[str, tuple[Step, ...]] = {
    "an error event": (chunked_head(), chunk(sse({"error": {"message": "busy", "code": 503}})[0]), CUT),
    "nothing": (chunked_head() + b"0\r\n\r\n",),
    "a role and a cut": (chunked_head(), chunk(ROLE), 0.02, CUT),
    "a role and an error": (chunked_head(), chunk(ROLE), 0.02, chunk(sse({"error": {"message": "no"}})[0]), CUT),
    "a comment and a reset": (chunked_head(), chunk(b": ping\n\n"), 0.02, RESET),
    "JSON": (response(b'{"error":{"message":"no stream today"}}'),),
    "a role and the end": (chunked_head(), chunk(ROLE), 0.02, b"0\r\n\r\n"),
}


@pytest.mark.parametrize("fault", STREAM_FAULTS)
async def test_a_stream_that_fails_before_its_first_word_is_answered_elsewhere(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path, fault: str
) -> None:
    upstream.reply(*STREAM_FAULTS[fault], always=True)
    async with routed(tmp_path, deployment(upstream, "bad"), deployment(other, "good", order=1)) as gateway:
        answer = await gateway.chat(stream=True)
        text = await answer.text()
        assert answer.headers["x-litellm-model-id"] == "good"
        assert text.count('"role"') == 1, "nothing of the first is left"
        assert text.endswith("data: [DONE]\n\n")
        (row,) = await gateway.records()
        assert row["status"] == "success"


async def test_after_the_first_word_the_caller_gets_an_error_event(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(chunked_head(), chunk(ROLE), chunk(delta("Once")), 0.02, CUT, always=True)
    async with routed(tmp_path, deployment(upstream, "bad"), deployment(other, "good", order=1)) as gateway:
        text = await (await gateway.chat(stream=True)).text()
        assert "Once" in text
        assert '"error"' in text
        assert not other.requests


async def test_the_opening_of_a_stream_is_not_kept_back_for_ever(
    upstream: FaultyUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.gateway.stream._HOLD_S", 0.1)
    upstream.reply(chunked_head(), chunk(ROLE), 0.5, *(chunk(event) for event in sse(json.loads(delta("Hi")[6:]))))
    async with routed(tmp_path, deployment(upstream, "slow")) as gateway:
        async with asyncio.timeout(5):
            body = {"model": "m", "messages": [], "stream": True}
            headers = {"Authorization": f"Bearer {gateway.runtime.master_key}"}
            async with gateway.session.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers) as got:
                first = await got.content.readany()
                assert b'"role"' in first
                assert b"Hi" not in first
                rest = await got.content.read()
        assert b"Hi" in rest
        assert rest.endswith(b"[DONE]\n\n")


async def test_one_deployment_is_asked_again_after_a_pause(upstream: FaultyUpstream, tmp_path: Path) -> None:
    upstream.reply(error(503))
    async with routed(tmp_path, deployment(upstream, "d")) as gateway:
        answer = await gateway.chat()
        assert answer.status == 200
        first, second = upstream.requests
        assert 0.2 <= second.at - first.at <= 2
        assert answer.headers["x-litellm-attempted-retries"] == "1"
        assert float(answer.headers["x-litellm-overhead-duration-ms"]) < 150, "pauses are not ours"


async def test_the_provider_says_how_long_the_pause_is(upstream: FaultyUpstream, tmp_path: Path) -> None:
    upstream.reply(error(429, retry_after="1"))
    async with routed(tmp_path, deployment(upstream, "d")) as gateway:
        assert (await gateway.chat()).status == 200
        first, second = upstream.requests
        assert 0.99 <= second.at - first.at <= 3


async def test_when_nothing_is_left_the_caller_gets_the_last_error(upstream: FaultyUpstream, tmp_path: Path) -> None:
    upstream.reply(error(503, "Out to lunch."), always=True)
    async with routed(tmp_path, deployment(upstream, "a"), deployment(upstream, "b"), num_retries=1) as gateway:
        answer = await gateway.chat()
        assert answer.status == 503
        assert "Out to lunch." in (await answer.json())["error"]["message"]
        assert len(upstream.requests) == 2
        assert answer.headers["x-litellm-attempted-retries"] == "1"
        (row,) = await gateway.records()
        assert row["status"] == "failure"


@pytest.mark.parametrize("limit", [{"headers": {"x-litellm-timeout": "0.5"}}, {"body": {"timeout": 0.5}}])
async def test_a_pause_that_is_longer_than_the_caller_waits_is_not_begun(
    upstream: FaultyUpstream, tmp_path: Path, limit: dict[str, Any]
) -> None:
    upstream.reply(error(429, retry_after="30"), always=True)
    async with routed(tmp_path, deployment(upstream, "d")) as gateway:
        body = {"model": "m", "messages": [], **limit.get("body", {})}
        answer = await gateway.post("/v1/chat/completions", body, headers=limit.get("headers", {}))
        assert answer.status == 429
        assert len(upstream.requests) == 1


async def test_a_caller_who_leaves_during_a_pause_is_settled(upstream: FaultyUpstream, tmp_path: Path) -> None:
    upstream.reply(error(429, retry_after="30"), always=True)
    async with routed(tmp_path, deployment(upstream, "d")) as gateway:
        key = await gateway.create_key(max_budget=1, max_parallel_requests=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await gateway.chat(key=key)
        async with asyncio.timeout(5):
            while not (rows := await gateway.records()):  # noqa: ASYNC110 - the ledger is another's
                await asyncio.sleep(0.05)
        assert [(row["status"], row["spend"]) for row in rows] == [("failure", 0.0)]
        assert (await gateway.chat(key=key, num_retries=0)).status == 429
        assert "upstream says no" in await (await gateway.chat(key=key, num_retries=0)).text(), "its slot is free"


# ---- fallbacks ------------------------------------------------------------------------------------------------------


async def test_another_model_answers_under_the_name_that_was_asked_for(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(500), always=True)
    models = deployment(upstream, "a"), deployment(other, "b", model="spare", max_tokens=5)
    async with routed(tmp_path, *models, fallbacks=[{"m": ["nobody", "spare"]}], num_retries=0) as gateway:
        answer = await gateway.chat()
        assert (await answer.json())["model"] == "m"
        assert answer.headers["x-litellm-model-group"] == "spare"
        assert answer.headers["x-litellm-attempted-fallbacks"] == "2"
        streamed = await (await gateway.chat(stream=True)).text()
        assert '"model": "m"' in streamed
        rows = await gateway.records()
        assert {(row["model_group"], row["model_id"], row["status"]) for row in rows} == {("spare", "b", "success")}


async def test_callers_choose_fallbacks_or_none(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(500), always=True)
    models = deployment(upstream, "a"), deployment(other, "b", model="spare")
    async with routed(tmp_path, *models, fallbacks=[{"m": ["spare"]}], num_retries=0) as gateway:
        assert (await gateway.chat(disable_fallbacks=True)).status == 500
        assert (await gateway.chat(fallbacks=["m"])).status == 500
        assert (await gateway.chat(fallbacks=["spare"])).status == 200
        misshapen = await gateway.chat(fallbacks=[1])
        assert misshapen.status == 400
        assert "list of model names" in await misshapen.text()
        key = await gateway.create_key(models=["m"])
        assert (await gateway.chat(key=key)).status == 200, "what the operator wants needs no permission"
        assert (await gateway.chat(key=key, fallbacks=["spare"])).status == 403


@pytest.mark.parametrize(
    ("message", "served_by"), [("maximum context length is 10", "long"), ("content_policy_violation", "lax")]
)
async def test_sorts_of_refusal_have_fallbacks_of_their_own(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path, message: str, served_by: str
) -> None:
    upstream.reply(error(400, message), always=True)
    models = [deployment(upstream, "a"), *(deployment(other, name, model=name) for name in ("long", "lax", "any"))]
    lists: dict[str, Any] = {
        "fallbacks": [{"m": ["any"]}],
        "context_window_fallbacks": [{"m": ["long"]}],
        "content_policy_fallbacks": [{"m": ["lax"]}],
    }
    async with routed(tmp_path, *models, **lists) as gateway:
        assert (await gateway.chat()).headers["x-litellm-model-id"] == served_by
        assert len(upstream.requests) == 1, "it would say the same again"


async def test_a_model_that_is_full_or_rests_falls_back_too(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    models = deployment(upstream, "a", rpm=1), deployment(other, "b", model="spare")
    async with routed(tmp_path, *models, fallbacks=[{"m": ["spare"]}]) as gateway:
        assert [(await gateway.chat()).headers["x-litellm-model-id"] for _ in range(3)] == ["a", "b", "b"]


async def test_another_format_is_spoken_to_the_fallback_and_the_callers_own_to_the_caller(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(response(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', 529), always=True)
    claude = deployment(upstream, "claude", model="m")
    claude["litellm_params"] |= {"model": "anthropic/claude-sonnet-4-5", "api_base": upstream.url}
    models = claude, deployment(other, "gpt", model="spare")
    async with routed(tmp_path, *models, fallbacks=[{"m": ["spare"]}], num_retries=0) as gateway:
        body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
        whole = await (await gateway.post("/v1/messages", body)).json()
        assert (whole["type"], whole["model"]) == ("message", "m")
        assert "Hello" in whole["content"][0]["text"]
        text = await (await gateway.post("/v1/messages", {**body, "stream": True})).text()
        assert text.count("event: message_start") == 1
        assert "event: message_stop" in text
        assert upstream.requests[0].path == "/v1/messages"
        assert other.requests[0].path == "/v1/chat/completions"


# ---- money and limits -----------------------------------------------------------------------------------------------


async def test_what_is_reserved_follows_the_call(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    """A dearer fallback is reserved for, a limited one is counted in, and everything is given back."""
    upstream.reply(error(500), always=True)
    dear = deployment(other, "dear", model="spare", tpm=100_000, input_cost_per_token=1.0, output_cost_per_token=1.0)
    async with routed(
        tmp_path, deployment(upstream, "a", rpm=50), dear, fallbacks=[{"m": ["spare"]}], num_retries=0
    ) as gateway:
        key = await gateway.create_key(max_budget=40, rpm_limit=3, max_parallel_requests=1)
        first = await gateway.chat(key=key, max_tokens=20)
        assert first.status == 200
        assert first.headers["x-litellm-key-spend"] == "15.0"
        assert first.headers["x-ratelimit-api_key-remaining-requests"] == "2", "one request, however many attempts"
        second = await gateway.chat(key=key, max_tokens=20)
        assert second.headers["x-litellm-key-spend"] == "30.0"
        assert (await gateway.chat(key=key, max_tokens=20)).status == 200
        refused = await gateway.chat(key=key, max_tokens=20)
        assert refused.status == 422
        rows = await gateway.records(api_key=key)
        assert sum(row["spend"] for row in rows if row["status"] == "success") == 45.0


async def test_a_fallback_that_the_callers_own_limits_forbid_is_passed_over(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(500, "The first trouble."), always=True)
    models = deployment(upstream, "a"), deployment(other, "b", model="spare"), deployment(other, "c", model="last")
    async with routed(tmp_path, *models, fallbacks=[{"m": ["spare", "last"]}], num_retries=0) as gateway:
        key = await gateway.create_key(model_rpm_limit={"spare": 1, "last": 1})
        served = [(await gateway.chat(key=key)).headers["x-litellm-model-id"] for _ in range(2)]
        assert served == ["b", "c"]
        answer = await gateway.chat(key=key)
        assert answer.status == 500
        assert "The first trouble." in await answer.text(), "that is the news"


async def test_a_provider_or_a_deployment_that_has_cost_enough_leaves_calls_to_others(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    dear: dict[str, Any] = {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0}
    capped = deployment(upstream, "capped", max_budget=15, budget_duration="1d", **dear)
    of_vendor = deployment(upstream, "of-vendor", order=1, **dear)
    of_vendor["litellm_params"]["model"] = "groq/llama"
    free = deployment(other, "free", order=2)
    budgets = {"groq": {"budget_limit": 15, "time_period": "1d"}}
    async with routed(tmp_path, capped, of_vendor, free, provider_budget_config=budgets) as gateway:
        key = await gateway.create_key(max_budget=1000)
        served = [(await gateway.chat(key=key)).headers["x-litellm-model-id"] for _ in range(4)]
        assert served == ["capped", "of-vendor", "free", "free"]
        other.reply(error(500), always=True)
        refused = await gateway.chat(key=key, num_retries=0)
        assert refused.status == 500


async def test_a_session_stays_with_one_deployment(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    models = deployment(upstream, "a"), deployment(other, "b")
    async with routed(tmp_path, *models, optional_pre_call_checks=["session_affinity"]) as gateway:
        homes = set()
        for session in range(8):
            answers = [await gateway.chat(litellm_session_id=f"s{session}") for _ in range(3)]
            (home,) = {answer.headers["x-litellm-model-id"] for answer in answers}
            homes.add(home)
        assert homes == {"a", "b"}


# ---- cooldowns ------------------------------------------------------------------------------------------------------


async def test_a_deployment_that_says_to_come_later_is_left_alone_until_then(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(429, retry_after="7"), always=True)
    other.reply(error(429, retry_after="7"), always=True)
    async with routed(tmp_path, deployment(upstream, "a"), deployment(other, "b")) as gateway:
        answer = await gateway.chat()
        assert answer.status == 429
        told = (await answer.json())["error"]
        assert told["type"] == "all_deployments_in_cooldown"
        assert answer.headers["retry-after"] in ("6", "7")
        assert (await gateway.chat()).status == 429
        assert len(upstream.requests) + len(other.requests) == 2, "neither was asked again"


async def test_metrics_tell_of_cooldowns_and_fallbacks(upstream: FaultyUpstream, tmp_path: Path) -> None:
    upstream.reply(error(429), always=True)
    models = (
        deployment(upstream, "a", rpm=100),
        deployment(refused_url(), "b"),
        deployment(upstream, "c", model="worse"),
        deployment("http://unused", "d", model="spare", mock_response="Hello"),
    )
    async with routed(tmp_path, *models, fallbacks=[{"m": ["worse", "spare"]}]) as gateway:
        assert (await gateway.chat()).status == 200
        text = await (await gateway.get("/metrics")).text()
        found = [
            (sample.name, sample.labels.get("fallback_model", sample.labels.get("model_id")), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("litellm_deployment_") and "responses" not in sample.name
        ]
        prefix = "litellm_deployment"
        assert (f"{prefix}_cooled_down_total", "a", 1.0) in found
        assert (f"{prefix}_failed_fallbacks_total", "worse", 1.0) in found
        assert (f"{prefix}_successful_fallbacks_total", "spare", 1.0) in found
        assert (f"{prefix}_rpm_limit", "a", 100.0) in found
        states = {name: value for series, name, value in found if series == f"{prefix}_state"}
        assert states == {"a": 2.0, "b": 1.0, "c": 1.0, "d": 0.0}


async def test_addresses_where_nobody_listens_are_left_alone_after_a_few_calls(
    other: FaultyUpstream, tmp_path: Path
) -> None:
    async with routed(
        tmp_path, deployment(refused_url(), "gone", weight=1000), deployment(other, "b", weight=1)
    ) as gateway:
        answers = [await gateway.chat() for _ in range(12)]
        assert {answer.status for answer in answers} == {200}
        assert [answer.headers["x-litellm-attempted-retries"] for answer in answers[-4:]] == ["0"] * 4


async def test_cooldowns_can_be_switched_off(upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path) -> None:
    upstream.reply(error(429), always=True)
    async with routed(
        tmp_path, deployment(upstream, "a"), deployment(other, "b", order=1), disable_cooldowns=True
    ) as gateway:
        for _ in range(3):
            assert (await gateway.chat()).headers["x-litellm-model-id"] == "b"
        assert len(upstream.requests) == 3


async def test_a_stream_event_by_event_costs_no_more_because_of_all_this(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(*stream(ROLE, *(delta(f"w{number} ") for number in range(50)), b"data: [DONE]\n\n", delay_s=0.001))
    async with routed(tmp_path, deployment(upstream, "a")) as gateway:
        text = await (await gateway.chat(stream=True)).text()
        assert text.count("data: ") == 52


# ---- explaining -----------------------------------------------------------------------------------------------------


async def test_where_a_call_would_go_is_explained_without_calling_anybody(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(429, retry_after="50"), always=True)
    models = (
        deployment(upstream, "resting", weight=1_000_000_000),
        deployment(refused_url(), "works", weight=3),
        deployment(refused_url(), "later", order=1),
        deployment("http://four", "d", model="spare", mock_response="Hello"),
    )
    router = {"fallbacks": [{"m": ["nobody", "spare"]}], "num_retries": 0, "model_group_alias": {"alias": "m"}}
    async with routed(tmp_path, *models, **router) as gateway:
        assert (await gateway.chat(disable_fallbacks=True)).status == 429
        before = await (await gateway.get("/metrics")).text()
        told = await (await gateway.post("/utils/route", {"model": "alias"})).json()
        assert told["resolution"] == [
            {"kind": "alias", "name": "alias", "to": "m"},
            {"kind": "group", "name": "m", "to": "m"},
        ]
        resting, works, later = told["deployments"]
        assert (resting["status"], resting["reason"]) == ("skipped", "cooldown")
        assert 40 < resting["cooldown_seconds_left"] <= 50
        assert (works["status"], works["weight"], works["in_flight"]) == ("chosen", 3.0, 0)
        assert works["api_base"].startswith("http://127.0.0.1")
        assert (later["status"], later["order"]) == ("candidate", 1)
        nobody, spare = told["fallbacks"]["general"]
        assert nobody["error"]
        assert spare["deployments"][0]["status"] == "chosen"
        assert (told["retries"], told["routing_strategy"]) == (0, "simple-shuffle")

        key = await gateway.create_key(models=["m"])
        answer = await gateway.post("/utils/route", {"model": "m", "disable_fallbacks": True}, key=key)
        seen = await answer.json()
        assert "api_base" not in seen["deployments"][0]
        assert seen["fallbacks"] == {"general": []}
        assert (await gateway.post("/utils/route", {"model": "spare"}, key=key)).status == 403
        assert len(upstream.requests) == 1
        calls = [line for line in before.splitlines() if line.startswith("litellm_deployment_total_requests_total")]
        after = (await (await gateway.get("/metrics")).text()).splitlines()
        assert all(line in after for line in calls)


async def test_a_key_and_its_team_have_router_settings_of_their_own(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(500), always=True)
    spare = {**deployment(other, "spare"), "model_name": "spare"}
    settings = {"num_retries": 0, "disable_cooldowns": True}
    async with routed(tmp_path, deployment(upstream, "bad"), spare, **settings) as gateway:
        plain = await gateway.create_key()
        assert (await gateway.chat(key=plain)).status == 500
        asked = len(upstream.requests)
        key = await gateway.create_key(router_settings={"num_retries": 1, "fallbacks": [{"m": ["spare"]}]})
        answer = await gateway.chat(key=key)
        assert answer.headers["x-litellm-model-group"] == "spare"
        assert answer.headers["x-litellm-attempted-retries"] == "1"
        assert len(upstream.requests) == asked + 2
        assert (await gateway.chat(key=key, disable_fallbacks=True)).status == 500
        refused = await gateway.chat(key=plain, router_settings={"fallbacks": [{"m": ["spare"]}], "num_retries": 0})
        assert refused.headers["x-litellm-model-group"] == "spare"

        team = await gateway.post("/team/new", {"router_settings": {"fallbacks": ["spare"]}, "models": ["m"]})
        of_team = await gateway.create_key(team_id=(await team.json())["team_id"])
        assert (await gateway.chat(key=of_team)).status == 500, "nobody is led to a model that they may not call"


async def test_router_settings_that_cannot_be_are_refused_where_they_are_written(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    async with routed(tmp_path, deployment(upstream, "one")) as gateway:
        for settings, field in (
            ({"fallbacks": [7]}, "router_settings.fallbacks"),
            ({"num_retries": -1}, "router_settings.num_retries"),
            ({"routing_strategy": "by-heart"}, "router_settings.routing_strategy"),
            ({"timeout": 0}, "router_settings.timeout"),
        ):
            answer = await gateway.post("/key/generate", {"router_settings": settings})
            assert answer.status == 400
            assert field in (await answer.json())["error"]["message"]
