"""Alerts: what a chat and a webhook get of what goes wrong, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from tests.support.embedded import embedded_gateway
from tests.support.http_server import Reply, http_server


async def test_a_budget_that_is_exceeded_is_told_once_to_chat_and_webhook(tmp_path: Path) -> None:
    async with http_server(lambda request: Reply(200, b"ok")) as server:
        config = {
            "model_list": [
                {
                    "model_name": "m",
                    "litellm_params": {
                        "model": "openai/gpt-4o",
                        "mock_response": "lemon",
                        "input_cost_per_token": 1,
                        "output_cost_per_token": 1,
                    },
                }
            ],
            "general_settings": {"alerting": ["slack", "webhook"]},
        }
        environ = {"SLACK_WEBHOOK_URL": f"{server.url}/slack", "WEBHOOK_URL": f"{server.url}/webhook"}
        async with embedded_gateway(tmp_path, config, environ) as gateway:
            key = await gateway.create_key(max_budget=0.001, key_alias="of ada")
            assert (await gateway.chat(key=key)).status == 200
            for _ in range(3):
                assert (await gateway.chat(key=key)).status == 422
            await gateway.runtime.alerts.close()
            metrics = await (await gateway.get("/metrics")).text()
    told: dict[str, Any] = {one.target: msgspec.json.decode(one.body) for one in server.requests}
    assert len(server.requests) == 2
    text = told["/slack"]["text"]
    assert text.startswith("Alert type: `budget_alerts`\nLevel: `High`\nTimestamp: `")
    assert "\n\nMessage: " in text
    assert text.endswith("\n\nProxy URL: ``")
    event = told["/webhook"]
    assert (event["event"], event["event_group"], event["key_alias"]) == ("budget_crossed", "key", "of ada")
    assert event["spend"] is None
    assert key not in str(told)
    assert 'tollway_alerts_total{alert_type="budget_alerts"} 1.0' in metrics


async def test_a_provider_that_fails_is_told_where_that_sort_of_alert_goes(tmp_path: Path) -> None:
    async with (
        http_server(lambda request: Reply(500, b"{}")) as provider,
        http_server(lambda request: Reply(200, b"ok")) as server,
    ):
        params = {"model": "openai/gpt-4o", "api_base": provider.url, "api_key": "sk-x"}
        config = {
            "router_settings": {"num_retries": 0},
            "model_list": [{"model_name": "m", "litellm_params": params}],
            "general_settings": {
                "alerting": ["slack"],
                "alert_types": ["llm_exceptions"],
                "alert_to_webhook_url": {"llm_exceptions": [f"{server.url}/oncall"]},
            },
        }
        async with embedded_gateway(tmp_path, config) as gateway:
            assert (await gateway.chat()).status == 500
            await gateway.runtime.alerts.close()
    [request] = server.requests
    assert request.target == "/oncall"
    assert "llm_exceptions" in request.body.decode()
