"""Calls through proxies, and from where none are served."""

from __future__ import annotations

from pathlib import Path

from tests.support.embedded import embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


async def test_the_real_client_is_recorded_and_only_those_allowed_are_served(
    upstream: FaultyUpstream, tmp_path: Path
) -> None:
    settings = {"use_x_forwarded_for": True, "allowed_ips": ["198.51.100.0/24", "127.0.0.1"]}
    config = {**model_list(upstream), "general_settings": settings}
    async with embedded_gateway(tmp_path, config) as gateway:
        of_client = {"X-Forwarded-For": "198.51.100.7"}
        assert (await gateway.post("/v1/chat/completions", BODY, headers=of_client)).status == 200
        (record,) = await gateway.records()
        assert record["requester_ip_address"] == "198.51.100.7"
        made = await gateway.post("/key/generate", {}, headers=of_client)
        assert made.status == 200

        elsewhere = {"X-Forwarded-For": "192.0.2.1"}
        for path in ("/v1/chat/completions", "/v1/messages", "/key/generate", "/v1/models", "/nowhere"):
            refused = await gateway.post(path, BODY, headers=elsewhere)
            assert refused.status == 403, path
            assert "192.0.2.1 not allowed" in await refused.text()
        async with gateway.session.get(f"{gateway.url}/health/liveliness", headers=elsewhere) as alive:
            assert alive.status == 200
        assert len(upstream.requests) == 1
