"""Probes of deployments: in the background, what is shown of them, and who is asked because of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.faulty_upstream import FaultyUpstream, error


@pytest.fixture
async def other() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as server:
        yield server


def deployment(upstream: FaultyUpstream, name: str, **info: Any) -> dict[str, Any]:
    params = {"model": "openai/gpt-4o", "api_base": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    return {"model_name": "m", "model_info": {"id": name, **info}, "litellm_params": params}


async def all_probed(gateway: Embedded, count: int) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            report: dict[str, Any] = await (await gateway.get("/health")).json()
            if report["healthy_count"] + report["unhealthy_count"] == count:
                return report
            await asyncio.sleep(0.02)


async def test_probes_in_the_background_are_shown_and_followed(
    upstream: FaultyUpstream, other: FaultyUpstream, tmp_path: Path
) -> None:
    upstream.reply(error(500), always=True)
    config = {
        "model_list": [
            deployment(upstream, "bad"),
            deployment(other, "good", health_check_model="openai/gpt-4o-mini", health_check_max_tokens=3),
            deployment(other, "unasked", disable_background_health_check=True),
        ],
        "general_settings": {"background_health_checks": True, "health_check_interval": 60},
        "router_settings": {"enable_health_check_routing": True, "num_retries": 0},
    }
    async with embedded_gateway(tmp_path, config) as gateway:
        report = await all_probed(gateway, 2)
        (healthy,), (unhealthy,) = report["healthy_endpoints"], report["unhealthy_endpoints"]
        assert (healthy["model_id"], unhealthy["model_id"]) == ("good", "bad")
        assert "InternalServerError" in unhealthy["error"]
        assert [(one.json["model"], one.json["max_tokens"]) for one in other.requests] == [("gpt-4o-mini", 3)]
        assert (await gateway.get("/health?model_id=bad")).status == 503
        asked = len(upstream.requests)
        answers = [await gateway.chat() for _ in range(8)]
        assert {answer.status for answer in answers} == {200}
        assert len(upstream.requests) == asked, "nobody is sent where a probe failed"
        told = await (await gateway.post("/utils/route", {"model": "m"})).json()
        assert (told["deployments"][0]["status"], told["deployments"][0]["reason"]) == ("skipped", "probe")

        records = [row for row in await gateway.records() if "health-check" in row["request_tags"]]
        assert {(row["api_key"], row["user"], row["model_id"]) for row in records} == {
            ("litellm_proxy_master_key", "", "good"),
            ("litellm_proxy_master_key", "", "bad"),
        }

        key = await gateway.create_key(models=["m"])
        seen = await gateway.get("/health", key=key)
        assert seen.headers["litellm-health-field-notice"]
        (entry,) = (await seen.json())["unhealthy_endpoints"]
        assert (entry["error"], "api_base" in entry) == ("InternalServerError", False)
        blind = await gateway.create_key(models=["other"])
        assert (await (await gateway.get("/health", key=blind)).json())["healthy_count"] == 0

        latest = await (await gateway.get("/health/latest")).json()
        assert latest["total_models"] == 2
        assert latest["latest_health_checks"]["bad"]["status"] == "unhealthy"
        history = await (await gateway.get("/health/history?status_filter=healthy&limit=1")).json()
        (row,) = history["health_checks"]
        assert (row["model_id"], row["model_name"], row["healthy_count"]) == ("good", "m", 1)
        assert (history["total_records"], history["limit"], history["offset"]) == (1, 1, 0)


async def test_a_deployment_is_tried_before_it_is_added(upstream: FaultyUpstream, tmp_path: Path) -> None:
    async with embedded_gateway(tmp_path, {"model_list": [deployment(upstream, "a")]}) as gateway:
        params = {"model": "openai/gpt-new", "api_base": f"{upstream.url}/v1", "api_key": "sk-new"}

        async def tried(**more: Any) -> tuple[int, Any]:
            body = {"mode": "chat", "litellm_params": {**params, **more}}
            answer = await gateway.post("/health/test_connection", body)
            return answer.status, await answer.json()

        status, told = await tried()
        assert (status, told["status"]) == (200, "success")
        assert upstream.requests[-1].json["model"] == "gpt-new"
        upstream.reply(error(401), always=True)
        status, told = await tried()
        assert (status, told["status"], told["result"]["error_class"]) == (200, "error", "AuthenticationError")
        assert (await tried(api_key="os.environ/HOME"))[0] == 403
        status, told = await tried(model="nobody/nothing")
        assert (status, "model" in str(told)) == (400, True)
        assert len(upstream.requests) == 2
        key = await gateway.create_key()
        assert (await gateway.post("/health/test_connection", {"litellm_params": params}, key=key)).status == 401
        listed = await (await gateway.get("/v1/models")).json()
        assert [one["id"] for one in listed["data"]] == ["m"]
        assert (await (await gateway.get("/health/license", key=key)).json())["allowed_features"] == ["*"]
        assert (await (await gateway.get("/health/shared-status", key=key)).json())["health_check_interval"] == 300
        assert (await (await gateway.get("/health/backlog", key=key)).json())["in_flight_requests"] == 0
