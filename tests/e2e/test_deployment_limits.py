"""Limits of deployments: a call goes where there is room, and is refused where there is none left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import HANG, FaultyUpstream


def models(upstream: FaultyUpstream, *limits: dict[str, Any]) -> dict[str, Any]:
    """A model `m` with one deployment for each of these limits."""
    common = {"model": "openai/gpt-4o", "api_base": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    return {
        "model_list": [
            {"model_name": "m", "model_info": {"id": f"d{number}"}, "litellm_params": {**common, **of_one}}
            for number, of_one in enumerate(limits)
        ]
    }


async def ids(gateway: Embedded, count: int) -> list[str | None]:
    """Which deployment served each call; None: it was refused."""
    answers = [await gateway.chat(max_tokens=5) for _ in range(count)]
    return [answer.headers["x-litellm-model-id"] if answer.status == 200 else None for answer in answers]


async def test_a_full_deployment_leaves_calls_to_the_others(upstream: FaultyUpstream, tmp_path: Path) -> None:
    config = models(upstream, {"rpm": 2}, {"rpm": 3}, {"rpm": 1, "order": 1})
    async with embedded_gateway(tmp_path, config) as gateway:
        served = await ids(gateway, 8)
        assert sorted(served[:5], key=str) == ["d0", "d0", "d1", "d1", "d1"]
        assert served[5:] == ["d2", None, None], "a higher order comes last"


async def test_a_call_that_no_deployment_takes_is_told_so_as_the_contract_does(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    async with embedded_gateway(tmp_path, models(upstream, {"tpm": 10})) as gateway:
        await gateway.chat(max_tokens=5)
        answer = await gateway.chat(max_tokens=5)
        error = (await answer.json())["error"]
        assert (answer.status, error["type"], error["code"]) == (429, "throttling_error", "429")
        assert "No deployments available for selected model" in error["message"]
        assert "Passed model=m" in error["message"]
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert "x-ratelimit-deployment-limit-tokens" not in answer.headers


async def test_limits_of_a_key_are_asked_first(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with embedded_gateway(tmp_path, models(upstream, {"rpm": 1})) as gateway:
        key = await gateway.create_key(rpm_limit=1)
        assert (await gateway.chat(key=key)).status == 200
        refused = await (await gateway.chat(key=key)).json()
        assert "Rate limit exceeded for api_key" in refused["error"]["message"]


@pytest.mark.parametrize("limit", [1, 2])
async def test_slots_come_free_again(upstream: FaultyUpstream, tmp_path: Path, limit: int) -> None:
    async with embedded_gateway(tmp_path, models(upstream, {"max_parallel_requests": limit})) as gateway:
        for _ in range(3):
            assert (await gateway.chat(max_tokens=1)).status == 200
        upstream.reply(HANG)
        hanging = gateway.session.post(
            f"{gateway.url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "Hi"}], "timeout": 0.2},
            headers={"Authorization": f"Bearer {gateway.runtime.master_key}"},
        )
        assert (await hanging).status in (408, 504)
        assert (await gateway.chat(max_tokens=1)).status == 200
