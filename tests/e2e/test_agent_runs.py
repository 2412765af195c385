"""Agents that never stop by themselves, and what stops them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import HANG, FaultyUpstream, chunk, chunked_head, sse
from tests.support.gateway import MASTER_KEY

RUN = {"x-litellm-session-id": "run-1"}
PRICE = {"input_cost_per_token": 0, "output_cost_per_token": 0.001}
OUTPUT_TOKENS = 10
COST = OUTPUT_TOKENS * 0.001


class Agent:
    """A loop that asks the model what to do next until something refuses it: it has no idea of being done."""

    def __init__(self, gateway: Embedded, key: str, session_id: str = "run-1", **headers: str) -> None:
        self.client = openai.AsyncOpenAI(
            api_key=key,
            base_url=f"{gateway.url}/v1",
            default_headers={"x-litellm-session-id": session_id, **headers},
            max_retries=5,
        )
        self.steps = 0

    async def run(self) -> openai.APIStatusError:
        """What ended it."""
        async with self.client:
            while True:
                try:
                    await self.client.chat.completions.create(
                        model="m",
                        messages=[{"role": "user", "content": "And now?"}],
                        max_tokens=OUTPUT_TOKENS,
                    )
                except openai.APIStatusError as error:
                    return error
                self.steps += 1
                assert self.steps < 500, "nothing has stopped it"


@pytest.fixture
async def upstream() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(text=" ".join(["on"] * OUTPUT_TOKENS)) as running:
        yield running


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultyUpstream) -> AsyncIterator[Embedded]:
    async with embedded_gateway(tmp_path, model_list(upstream, **PRICE)) as running:
        yield running


async def call(gateway: Embedded, key: str, **headers: str) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": OUTPUT_TOKENS}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.post("/v1/chat/completions", body, key=key, headers={**RUN, **named})


async def test_a_runaway_loop_stops_at_exactly_its_step_limit_and_is_not_retried(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    agent = Agent(gateway, await gateway.create_key(metadata={"max_iterations": 12}))
    error = await agent.run()
    assert agent.steps == 12
    assert isinstance(error, openai.RateLimitError)
    assert "Max iterations exceeded for session run-1. Current iterations: 12, Max iterations: 12" in error.message
    assert "retry-after" not in error.response.headers
    assert len(upstream.requests) == 12
    assert gateway.runtime.metrics.in_flight == 0


async def test_concurrent_sub_agents_share_the_steps_of_their_session(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_iterations=40)
    agents = [Agent(gateway, key) for _ in range(8)]
    errors = await asyncio.gather(*(agent.run() for agent in agents))
    assert sum(agent.steps for agent in agents) == 40
    assert len(upstream.requests) == 40
    assert all("Max iterations exceeded" in error.message for error in errors)


async def test_concurrent_sub_agents_never_spend_more_than_the_budget_and_one_call(gateway: Embedded) -> None:
    key = await gateway.create_key(max_budget_per_session=0.305)
    agents = [Agent(gateway, key) for _ in range(8)]
    errors = await asyncio.gather(*(agent.run() for agent in agents))
    assert any("Session budget exceeded for session run-1" in error.message for error in errors)
    (session,) = (await (await gateway.get("/session/info?session_id=run-1")).json())["sessions"]
    assert 0.305 <= session["spend"] <= 0.305 + COST
    assert session["calls"] == sum(agent.steps for agent in agents)


async def test_another_session_and_the_same_session_of_another_key_have_their_own_limits(gateway: Embedded) -> None:
    key, other = [await gateway.create_key(max_iterations=2) for _ in range(2)]
    for agent in (Agent(gateway, key), Agent(gateway, key, "run-2"), Agent(gateway, other)):
        await agent.run()
        assert agent.steps == 2


async def test_an_agent_that_goes_round_in_circles_is_stopped_and_one_that_gets_on_is_not(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_repeated_calls=4)
    error = await (stuck := Agent(gateway, key)).run()
    assert stuck.steps == len(upstream.requests) == 4
    assert isinstance(error, openai.RateLimitError)
    assert "Session run-1 repeats itself: the same request was sent 4 times in a row" in error.message
    assert (error.response.headers["x-should-retry"], error.response.headers["rate_limit_type"]) == ("false", "repeats")
    for number in range(6):
        body = {"model": "m", "messages": [{"role": "user", "content": f"Step {number}"}], "max_tokens": OUTPUT_TOKENS}
        assert (await gateway.post("/v1/chat/completions", body, key=key, headers=RUN)).status == 200
    elsewhere = Agent(gateway, key, "run-2")
    await elsewhere.run()
    assert elsewhere.steps == 4


async def test_the_smallest_limit_of_key_team_and_gateway_holds(tmp_path: Path, upstream: FaultyUpstream) -> None:
    config = {**model_list(upstream, **PRICE), "general_settings": {"max_iterations": 5}}
    async with embedded_gateway(tmp_path, config) as gateway:
        await gateway.post("/team/new", {"team_id": "narrow", "metadata": {"max_iterations": 3}})
        await gateway.post("/team/new", {"team_id": "wide", "max_iterations": 50})
        expected = {"plain": 5, "narrow": 3, "wide": 5}
        keys = {team: {} if team == "plain" else {"team_id": team} for team in expected}
        for team, fields in keys.items():
            agent = Agent(gateway, await gateway.create_key(**fields, metadata={"max_iterations": 100}))
            await agent.run()
            assert (team, agent.steps) == (team, expected[team])
        free = Agent(gateway, MASTER_KEY, **{"x-tollway-session-max-steps": "7"})
        await free.run()
        assert free.steps == 7, "the gateway's own limit does not hold for the master key; what it asks for does"


async def test_a_caller_lowers_the_limits_of_its_session_and_never_raises_them(gateway: Embedded) -> None:
    key = await gateway.create_key(max_iterations=4)
    for steps in ("2", "9"):
        agent = Agent(gateway, key, f"run-{steps}", **{"x-tollway-session-max-steps": steps})
        await agent.run()
        assert agent.steps == min(int(steps), 4)
    thrifty = Agent(gateway, key, "thrifty", **{"x-tollway-session-max-budget": str(2 * COST)})
    assert "Session budget exceeded for session thrifty" in (await thrifty.run()).message
    assert thrifty.steps == 2


async def test_what_is_left_is_told_with_every_answer(gateway: Embedded) -> None:
    key = await gateway.create_key(max_iterations=3, max_budget_per_session=1)
    told = [await call(gateway, key) for _ in range(2)]
    assert [one.headers["x-tollway-session-steps-remaining"] for one in told] == ["2", "1"]
    assert [one.headers["x-tollway-session-budget-remaining"] for one in told] == ["0.99", "0.98"]


async def test_failed_calls_are_steps_too_and_calls_refused_elsewhere_are_not(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_iterations=3, max_parallel_requests=0)
    assert (await call(gateway, key)).status == 429
    await gateway.post("/key/update", {"key": key, "max_parallel_requests": 10})
    upstream.reply(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", always=True)
    statuses = [(await call(gateway, key)).status for _ in range(5)]
    assert statuses == [500, 500, 500, 429, 429]


async def test_after_a_restart_a_session_goes_on_where_it_was(tmp_path: Path, upstream: FaultyUpstream) -> None:
    config = model_list(upstream, **PRICE)
    async with embedded_gateway(tmp_path, config) as gateway:
        key = await gateway.create_key(max_iterations=5)
        for _ in range(3):
            await call(gateway, key)
    async with embedded_gateway(tmp_path, config) as gateway:
        agent = Agent(gateway, key)
        await agent.run()
        assert agent.steps == 2


# The kill switch


async def stop(gateway: Embedded, **fields: Any) -> Any:
    return await gateway.post("/session/stop", {"session_id": "run-1", **fields})


async def test_a_stopped_session_is_refused_with_who_and_why_until_it_is_resumed(gateway: Embedded) -> None:
    key = await gateway.create_key()
    assert (await call(gateway, key)).status == 200
    assert (await stop(gateway, reason="It repeats itself")).status == 200
    error = await Agent(gateway, key).run()
    assert isinstance(error, openai.PermissionDeniedError)
    assert "Session run-1 was stopped by default_user_id at " in error.message
    assert ": It repeats itself." in error.message
    assert (await call(gateway, key, x_litellm_session_id="run-2")).status == 200
    assert (await gateway.post("/session/resume", {"session_id": "run-1"})).status == 200
    assert (await call(gateway, key)).status == 200


async def test_a_stop_reaches_a_running_loop_at_its_next_step(gateway: Embedded, upstream: FaultyUpstream) -> None:
    agent = Agent(gateway, await gateway.create_key())
    running = asyncio.create_task(agent.run())
    await upstream.wait_for_requests(3)
    await stop(gateway)
    steps = agent.steps
    assert isinstance(await running, openai.PermissionDeniedError)
    assert agent.steps <= steps + 1


async def test_a_session_can_be_stopped_before_it_begins(gateway: Embedded) -> None:
    key = await gateway.create_key()
    assert (await stop(gateway)).status == 404
    assert (await stop(gateway, key=key)).status == 200
    assert (await call(gateway, key)).status == 403


def delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return sse({"id": "chatcmpl-s", "model": "gpt-4o", "choices": [choice]})[0]


async def test_a_stream_in_flight_is_cut_with_an_error_event_and_settled(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_budget=100)
    upstream.reply(chunked_head(), chunk(delta("One thing after another")), HANG)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"Authorization": f"Bearer {key}", **RUN}
    async with gateway.session.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers) as response:
        first = await response.content.readuntil(b"\n\n")
        assert b"One thing" in first
        await stop(gateway, key=key, reason="Enough")
        async with asyncio.timeout(20):
            rest = (await response.content.read()).decode()
    failure, done, _ = rest.split("\n\n")
    assert done == "data: [DONE]"
    error = json.loads(failure.removeprefix("data: "))["error"]
    assert error["type"] == "session_stopped"
    assert "was stopped by default_user_id" in error["message"]
    (row,) = await gateway.records()
    assert (row["status"], row["session_id"]) == ("failure", "run-1")
    assert row["completion_tokens"] > 0
    assert len(gateway.runtime.sessions) == 0
    assert gateway.runtime.metrics.in_flight == 0


async def test_a_call_that_waits_for_the_provider_is_answered_and_settled(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    key = await gateway.create_key(max_parallel_requests=1)
    upstream.reply(HANG)
    waiting = asyncio.create_task(call(gateway, key))
    await upstream.wait_for_requests(1)
    await stop(gateway, key=key)
    async with asyncio.timeout(20):
        response = await waiting
    assert response.status == 403
    assert "was stopped by" in (await response.json())["error"]["message"]
    (row,) = await gateway.records()
    assert row["status"] == "failure"
    assert row["prompt_tokens"] > 0, "the provider has got the request"
    await gateway.post("/session/resume", {"session_id": "run-1"})
    assert (await call(gateway, key)).status == 200, "its slot is free"
