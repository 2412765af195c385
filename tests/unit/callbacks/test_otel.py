"""Spans, read by OpenTelemetry's own definitions of its messages."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.support.faulty_upstream import FaultyUpstream, response
from tests.support.records import NOON
from tests.support.told_calls import failed_call, good_call

from tollway.callbacks.langfuse_otel import LangfuseOtel
from tollway.callbacks.otel import OpenTelemetry
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.ports.callbacks import Destination, Event

CONTENT = "otel_instrumentation_genai_capture_message_content"


@pytest.fixture
async def server() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as running:
        running.reply(response(b"{}"), always=True)
        yield running


async def tell(destination: Destination, *events: Event) -> None:
    try:
        await destination.deliver(events)
    finally:
        await destination.close()


async def told(server: FaultyUpstream, event: Event, **variables: str) -> list[Span]:
    await tell(OpenTelemetry.open({"otel_exporter_otlp_endpoint": server.url, **variables}), event)
    return spans(server)


def spans(server: FaultyUpstream) -> list[Span]:
    """Of the last request, as a collector reads them."""
    (resource,) = request(server).resource_spans
    (scope,) = resource.scope_spans
    return list(scope.spans)


def request(server: FaultyUpstream) -> ExportTraceServiceRequest:
    """The one difference between OTLP's JSON and that of Protocol Buffers is that ids are not base64."""
    body = server.requests[-1].json
    for resource in body["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = b64encode(bytes.fromhex(span[name])).decode()
    whole = ExportTraceServiceRequest()
    ParseDict(body, whole)
    return whole


def attributes(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value") or "string_value"
        value = getattr(pair.value, kind)
        found[pair.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


async def test_a_good_call(server: FaultyUpstream) -> None:
    (span,) = await told(server, good_call(session_id="s-1"), otel_service_name="edge")
    assert (span.name, span.kind) == ("chat openai/gpt-4o", Span.SPAN_KIND_CLIENT)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (NOON * 1000, NOON * 1000 + 250_000_000)
    assert (span.trace_id.hex(), len(span.span_id)) == ("3f6c5a0e7f0b4d359a391a0d6f0e2b11", 8)
    assert span.parent_span_id == b""
    assert span.status.code == Status.STATUS_CODE_UNSET
    found = attributes(span)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "openai/gpt-4o",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ["."],
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-11-20",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.cost.total_cost": 0.0015,
        "gen_ai.conversation.id": "s-1",
        "server.address": "api.example.com",
        "user.id": "customer-1",
        "tollway.time_to_first_token": 0.1,
        "metadata.user_api_key_alias": "search",
    }
    assert {name: found.get(name) for name in expected} == expected
    (resource,) = request(server).resource_spans
    assert [(pair.key, pair.value.string_value) for pair in resource.resource.attributes] == [("service.name", "edge")]


async def test_content_is_left_out_unless_it_is_asked_for(server: FaultyUpstream) -> None:
    (span,) = await told(server, good_call())
    assert "toll?" not in str(span)
    (span,) = await told(server, good_call(), **{CONTENT: "true"})
    found = attributes(span)
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "What is a toll?"}]}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "A fee."}], "finish_reason": "stop"}
    ]


async def test_tools_in_content(server: FaultyUpstream) -> None:
    function = {"name": "look", "arguments": "{}"}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look"}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
    ]
    event = good_call()
    event = Event(record=event.record, payload={**event.payload, "messages": messages})
    (span,) = await told(server, event, **{CONTENT: "span_only"})
    assert [message["parts"] for message in json.loads(attributes(span)["gen_ai.input.messages"])] == [
        [{"type": "text", "content": "Look"}],
        [{"type": "tool_call", "id": "c", **function}],
        [{"type": "tool_call_response", "id": "c", "response": "seen"}],
    ]


async def test_attempts_that_failed_are_below_the_call(server: FaultyUpstream) -> None:
    call, *attempts = await told(server, failed_call())
    assert (call.status.code, call.status.message) == (Status.STATUS_CODE_ERROR, "slow down")
    assert attributes(call)["error.type"] == "RateLimitError"
    assert [attributes(one)["tollway.model_id"] for one in attempts] == ["a", "b"]
    assert {one.parent_span_id for one in attempts} == {call.span_id}
    assert {one.trace_id for one in attempts} == {call.trace_id}
    assert [(one.end_time_unix_nano - one.start_time_unix_nano) // 1_000_000 for one in attempts] == [50, 100]
    assert len({call.span_id, *(one.span_id for one in attempts)}) == 3


async def test_the_caller_s_span_is_the_parent(server: FaultyUpstream) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (span,) = await told(server, good_call({"traceparent": parent}))
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.mark.parametrize("parent", ["00-" + "0" * 32 + "-b7ad6b7169203331-01", "nonsense"])
async def test_a_parent_that_is_none(server: FaultyUpstream, parent: str) -> None:
    (span,) = await told(server, good_call({"traceparent": parent, "trace_id": "my trace"}))
    assert (len(span.trace_id), span.parent_span_id) == (16, b"")


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"otel_exporter_otlp_endpoint": "{}"}, "/v1/traces"),
        ({"otel_exporter_otlp_endpoint": "{}/otlp/"}, "/otlp/v1/traces"),
        ({"otel_endpoint": "{}/v1/traces"}, "/v1/traces"),
        ({"otel_exporter_otlp_traces_endpoint": "{}/own", "otel_endpoint": "{}"}, "/own"),
    ],
)
async def test_where_spans_go(server: FaultyUpstream, variables: dict[str, str], path: str) -> None:
    given = {name: value.format(server.url) for name, value in variables.items()}
    await tell(OpenTelemetry.open({**given, "otel_headers": "Authorization=Basic%20abc, x-team=a"}), good_call())
    (asked,) = server.requests
    assert (asked.path, asked.headers["authorization"], asked.headers["x-team"]) == (path, "Basic abc", "a")


async def refused(answer: bytes) -> None:
    async with FaultyUpstream() as server:
        server.reply(answer)
        await told(server, good_call())


async def test_a_partial_success_is_not_tried_again() -> None:
    answer = {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "sk-secret"}}
    with pytest.raises(Misconfigured, match="did not take 1 of 1 spans; its log says why"):
        await refused(response(json.dumps(answer).encode()))


async def test_a_collector_that_is_busy_is_tried_again() -> None:
    with pytest.raises(UpstreamError, match="The OpenTelemetry collector answered HTTP 503"):
        await refused(response(b"", 503))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"otel_endpoint": "http://c", "otel_exporter": "otlp_grpc"}, "OTEL_EXPORTER: .* 4318"),
        ({"otel_endpoint": "http://c", "otel_headers": "nonsense"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"otel_endpoint": "c:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        OpenTelemetry.open(given)


async def test_langfuse_by_spans(server: FaultyUpstream) -> None:
    variables = {"langfuse_public_key": "pk", "langfuse_secret_key": "sk", "langfuse_host": server.url}
    event = good_call({"trace_name": "search", "trace_user_id": "ada", "mask_output": True, "release": "v9"})
    await tell(LangfuseOtel.open({**variables, "langfuse_environment": "prod", "langfuse_release": "v7"}), event)
    (asked,) = server.requests
    assert asked.path == "/api/public/otel/v1/traces"
    assert asked.headers["authorization"] == f"Basic {b64encode(b'pk:sk').decode()}"
    (span,) = spans(server)
    found = attributes(span)
    expected = {
        "langfuse.trace.name": "search",
        "langfuse.user.id": "ada",
        "langfuse.trace.tags": ["blue"],
        "langfuse.environment": "prod",
        "langfuse.release": "v9",
        "langfuse.observation.type": "generation",
        "langfuse.observation.output": "redacted-by-litellm",
        "langfuse.observation.level": "DEFAULT",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert json.loads(found["langfuse.observation.cost_details"])["total"] == 0.0015
