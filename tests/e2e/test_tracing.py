"""Langfuse, OpenTelemetry and a bucket, told by a gateway."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.embedded import embedded_gateway
from tests.support.http_server import Reply, http_server
from tests.support.moto import ask, new_bucket, shared_url

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_one_call_is_told_to_all_three(tmp_path: Path) -> None:
    bucket = new_bucket()
    async with http_server(lambda request: Reply(200, b"{}")) as server:
        config = {
            "model_list": [{"model_name": "m", "litellm_params": {"model": "demo/demo"}}],
            "litellm_settings": {
                "callbacks": ["langfuse", "otel", "s3_v2"],
                "s3_callback_params": {
                    "s3_bucket_name": bucket,
                    "s3_endpoint_url": shared_url(),
                    "s3_aws_access_key_id": "AKIA",
                    "s3_aws_secret_access_key": "secret",
                },
            },
        }
        environ = {
            "LANGFUSE_PUBLIC_KEY": "pk",
            "LANGFUSE_SECRET_KEY": "sk",
            "LANGFUSE_HOST": f"{server.url}/langfuse",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{server.url}/collector",
        }
        async with embedded_gateway(tmp_path, config, environ) as gateway:
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": "Hi"}],
                "metadata": {"generation_name": "greeting"},
            }
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            answer = await gateway.post("/v1/chat/completions", body, headers=headers)
            response_id = (await answer.json())["id"]
            await gateway.runtime.callbacks.close()
    told = {request.target: json.loads(request.body) for request in server.requests}
    generation = told["/langfuse/api/public/ingestion"]["batch"][1]["body"]
    assert (generation["name"], generation["input"]) == ("greeting", body["messages"])
    assert generation["usageDetails"]["total"] > 0
    [span] = told["/collector/v1/traces"]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["parentSpanId"]) == (TRACE, PARENT)
    assert f"_{response_id}.json</Key>" in ask("GET", f"/{bucket}?list-type=2").decode()
