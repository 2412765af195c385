"""Amazon Bedrock: its URLs, who signs, and keys of a role from a real token endpoint."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from tests.support.http_server import HttpServer, Reply, Request, http_server

from tollway import providers
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import Endpoint, Operation
from tollway.providers import ConnectionParams, Provider
from tollway.providers._container import container_role

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
STATIC = {"aws_access_key_id": "AKID", "aws_secret_access_key": "s3cret"}
ROLE = "arn:aws:iam::123456789012:role/r"
PROFILE = "arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/abc"


def bedrock() -> Provider:
    provider = providers.find("bedrock")
    assert provider is not None
    return provider


def endpoint(model: str = CLAUDE, **given: Any) -> Endpoint:
    return bedrock().endpoints(ConnectionParams(model=model, **given))["converse"]


async def signed(found: Endpoint, body: bytes = b"{}") -> dict[str, str]:
    assert found.credential is not None
    return dict(await found.credential(found, body))


@pytest.mark.parametrize(
    ("model", "given", "host", "target"),
    [
        (CLAUDE, {}, "us-west-2", "anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        (f"converse/{CLAUDE}", {}, "us-west-2", "anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        ("us.amazon.nova-v1:0", {"extra": {"aws_region_name": "eu-west-1"}}, "eu-west-1", "us.amazon.nova-v1%3A0"),
        ("us-east-1/a.b", {"extra": {"aws_region_name": "eu-west-1"}}, "us-east-1", "a.b"),
        ("converse/us-gov-west-1/a.b", {}, "us-gov-west-1", "a.b"),
        ("us-east-1/converse/a.b", {}, "us-east-1", "a.b"),
        ("a.b", {"environ": {"AWS_REGION": "ap-south-1"}}, "ap-south-1", "a.b"),
        ("a.b", {"environ": {"AWS_DEFAULT_REGION": "x-y-1", "AWS_REGION_NAME": "ap-south-2"}}, "ap-south-2", "a.b"),
        (PROFILE, {"environ": {"AWS_REGION": "us-east-1"}}, "eu-west-3",
         "arn%3Aaws%3Abedrock%3Aeu-west-3%3A123456789012%3Aapplication-inference-profile%2Fabc"),
    ],
)  # fmt: skip
def test_model_and_region_become_path_and_host(model: str, given: dict[str, Any], host: str, target: str) -> None:
    found = endpoint(model, api_key="k", **given)
    assert found.origin.host == f"bedrock-runtime.{host}.amazonaws.com"
    assert found.target == f"/model/{target}/converse"
    assert found.for_streams is not None
    assert found.for_streams.target == f"/model/{target}/converse-stream"
    assert found.for_streams.origin == found.origin


def test_china_has_a_domain_of_its_own() -> None:
    assert endpoint(extra={"aws_region_name": "cn-north-1"}, api_key="k").origin.host.endswith(".amazonaws.com.cn")


def test_a_region_cannot_lead_elsewhere() -> None:
    with pytest.raises(Misconfigured, match="name of a region"):
        endpoint(extra={"aws_region_name": "x.evil.test/"}, api_key="k")


@pytest.mark.parametrize(
    "given",
    [
        {"extra": {"aws_bedrock_runtime_endpoint": "https://vpce.test"}},
        {"api_base": "https://vpce.test/"},
        {"environ": {"AWS_BEDROCK_RUNTIME_ENDPOINT": "https://vpce.test"}},
    ],
)
def test_another_address_is_used_where_one_is_given(given: dict[str, Any]) -> None:
    found = endpoint("a.b", api_key="k", **given)
    assert (found.origin.host, found.target) == ("vpce.test", "/model/a.b/converse")


def test_the_alias_of_existing_configurations_is_known() -> None:
    assert providers.find("bedrock_converse") is bedrock()


@pytest.mark.parametrize("given", [{"api_key": "k"}, {"environ": {"AWS_BEARER_TOKEN_BEDROCK": "k"}}])
def test_a_key_is_a_bearer_token(given: dict[str, Any]) -> None:
    found = endpoint(**given)
    assert dict(found.headers)["Authorization"] == "Bearer k"
    assert found.credential is None


async def test_a_pair_of_keys_signs_each_call() -> None:
    found = endpoint(extra={**STATIC, "aws_session_token": "tok", "aws_region_name": "eu-west-1"})
    headers = await signed(found)
    assert "Credential=AKID/" in headers["Authorization"]
    assert "/eu-west-1/bedrock/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "tok"
    assert (await signed(found, b"other"))["Authorization"] != headers["Authorization"]
    assert found.for_streams is not None
    assert (await signed(found.for_streams))["Authorization"] != headers["Authorization"]
    assert "Authorization" not in dict(found.headers)


async def test_the_environments_keys_sign_where_the_deployment_has_none() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "tok"}
    assert "Credential=ENV/" in (await signed(endpoint(environ=environ)))["Authorization"]
    headers = await signed(endpoint(environ=environ, extra=STATIC))
    assert "Credential=AKID/" in headers["Authorization"]
    assert "X-Amz-Security-Token" not in headers, "the token belongs to the other pair"


async def test_what_the_deployment_says_goes_before_a_key_in_the_environment() -> None:
    found = endpoint(extra=STATIC, environ={"AWS_BEARER_TOKEN_BEDROCK": "k"})
    assert "Credential=AKID/" in (await signed(found))["Authorization"]


async def test_without_any_credential_the_call_is_refused_with_the_choices() -> None:
    for extra in ({}, {"aws_access_key_id": "AKID"}, {"aws_role_name": ROLE}):
        with pytest.raises(UpstreamError, match=r"AWS_BEARER_TOKEN_BEDROCK.*aws_secret_access_key.*aws_role_name"):
            await signed(endpoint(extra=extra))


def test_a_header_of_the_operators_is_credential_enough() -> None:
    assert endpoint(headers={"Authorization": "Bearer own"}).credential is None


def test_other_identity_providers_are_refused_with_the_remedy() -> None:
    with pytest.raises(Misconfigured, match="OIDC"):
        endpoint(extra={"aws_role_name": ROLE, "aws_web_identity_token": "oidc/google/x"})


def test_keys_in_the_environment_offer_bedrock_only_with_a_region() -> None:
    pair = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    assert not bedrock().is_in(pair)
    assert bedrock().is_in({**pair, "AWS_REGION": "us-east-1"})
    assert bedrock().is_in({"AWS_BEARER_TOKEN_BEDROCK": "k"})


def test_only_claude_opens_what_claude_sealed() -> None:
    for model in (CLAUDE, f"eu.{CLAUDE}", PROFILE):
        assert bedrock().seals(model) == {"anthropic"}
    assert bedrock().seals("amazon.nova-pro-v1:0") == frozenset()


def role_keys(name: str = "ASIA1", lifetime_s: float = 3600) -> Reply:
    ends = (datetime.now(UTC) + timedelta(seconds=lifetime_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
        f"<AccessKeyId>{name}</AccessKeyId><SecretAccessKey>rs</SecretAccessKey>"
        f"<SessionToken>tok+/=</SessionToken><Expiration>{ends}</Expiration>"
        "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    return Reply(200, body.encode())


def of_role(server: HttpServer, **extra: str) -> Endpoint:
    return endpoint(extra={**STATIC, "aws_role_name": ROLE, "aws_sts_endpoint": server.url, **extra})


async def test_a_role_is_taken_with_the_keys_and_its_own_keys_sign() -> None:
    async with http_server(lambda _: role_keys()) as server:
        found = of_role(server, aws_session_name="me and you", aws_external_id="ext", aws_region_name="eu-west-1")
        headers = await signed(found)
        assert "Credential=ASIA1/" in headers["Authorization"]
        assert headers["X-Amz-Security-Token"] == "tok+/="
        await signed(found)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/")
    assert "Credential=AKID/" in request.headers["authorization"]
    assert "/eu-west-1/sts/aws4_request" in request.headers["authorization"]
    form = {name: value for name, [value] in parse_qs(request.body.decode()).items()}
    assert form == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "me-and-you",
        "DurationSeconds": "3600",
        "ExternalId": "ext",
    }


async def test_concurrent_callers_share_one_role() -> None:
    gate = asyncio.Event()

    async def slowly(_: Request) -> Reply:
        await gate.wait()
        return role_keys()

    async with http_server(slowly) as server:
        found = of_role(server)
        callers = [asyncio.ensure_future(signed(found)) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*callers)
    assert len(server.requests) == 1
    assert all("ASIA1" in headers["Authorization"] for headers in results)


async def test_keys_that_have_ended_are_fetched_anew() -> None:
    replies = [role_keys("ASIA1", lifetime_s=-10), role_keys("ASIA2")]
    async with http_server(lambda _: replies.pop(0)) as server:
        found = of_role(server)
        await signed(found)
        assert "ASIA2" in (await signed(found))["Authorization"]


@pytest.mark.parametrize("where", ["parameter", "file", "environment"])
async def test_a_web_identity_takes_a_role_without_keys(tmp_path: Path, where: str) -> None:
    file = tmp_path / "token"
    file.write_text("jwt\n")
    async with http_server(lambda _: role_keys()) as server:
        extra = {"aws_sts_endpoint": server.url}
        environ = {}
        if where == "environment":
            environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file)}
        else:
            extra |= {"aws_role_name": ROLE, "aws_web_identity_token": "jwt" if where == "parameter" else str(file)}
        assert "Credential=ASIA1/" in (await signed(endpoint(extra=extra, environ=environ)))["Authorization"]
    [request] = server.requests
    assert "authorization" not in request.headers
    form = parse_qs(request.body.decode())
    assert (form["Action"], form["WebIdentityToken"]) == (["AssumeRoleWithWebIdentity"], ["jwt"])


async def test_a_token_that_cannot_be_read_is_the_operators_to_fix() -> None:
    with pytest.raises(UpstreamError, match=r"/nowhere/token cannot be read"):
        await signed(endpoint(extra={"aws_role_name": ROLE, "aws_web_identity_token": "/nowhere/token"}))


@pytest.mark.parametrize(
    ("reply", "why", "status"),
    [
        (
            Reply(403, b"<Error><Code>AccessDenied</Code><Message>s3cret</Message></Error>"),
            "HTTP 403: AccessDenied",
            401,
        ),
        (Reply(500, b"oops"), "HTTP 500: no usable answer", 503),
        (Reply(200, b"<html>"), "no usable answer", 503),
    ],
)
async def test_a_refusal_names_the_code_and_keeps_the_prose_to_itself(reply: Reply, why: str, status: int) -> None:
    async with http_server(lambda _: reply) as server:
        with pytest.raises(UpstreamError, match=why) as caught:
            await signed(of_role(server))
    assert (caught.value.status, caught.value.is_retryable) == (status, status == 503)
    assert "s3cret" not in caught.value.message


def test_a_secret_is_only_sent_encrypted() -> None:
    extra = {"aws_role_name": ROLE, "aws_web_identity_token": "jwt", "aws_sts_endpoint": "http://sts.test"}
    with pytest.raises(Misconfigured, match="aws_sts_endpoint must be https"):
        endpoint(extra=extra)


CONTAINER = b'{"AccessKeyId":"ASIAC","SecretAccessKey":"s","Token":"tok","Expiration":"2999-01-01T00:00:00Z"}'


@pytest.mark.parametrize("is_file", [False, True])
async def test_a_container_asks_its_machine_for_keys(tmp_path: Path, is_file: bool) -> None:
    file = tmp_path / "token"
    file.write_text("pod\n")
    async with http_server(lambda _: Reply(200, CONTAINER)) as server:
        environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v1/credentials"}
        environ |= (
            {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}
            if is_file
            else {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod"}
        )
        found = endpoint(environ=environ)
        headers = await signed(found)
        await signed(found)
    assert "Credential=ASIAC/" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "tok"
    [request] = server.requests
    assert (request.method, request.target, request.headers["authorization"]) == ("GET", "/v1/credentials", "pod")


async def test_a_container_takes_a_role() -> None:
    def answer(request: Request) -> Reply:
        return Reply(200, CONTAINER) if request.method == "GET" else role_keys()

    async with http_server(answer) as server:
        found = endpoint(
            extra={"aws_role_name": ROLE, "aws_sts_endpoint": server.url},
            environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/c"},
        )
        assert "Credential=ASIA1/" in (await signed(found))["Authorization"]
    assert "Credential=ASIAC/" in server.requests[1].headers["authorization"]


def test_a_task_asks_the_machine_at_its_well_known_address() -> None:
    role = container_role({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"})
    assert role is not None
    assert role.url == "http://169.254.170.2/v2/credentials/x"
    with pytest.raises(Misconfigured, match="must be https"):
        container_role({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.test/x"})


@pytest.mark.parametrize(
    ("reply", "status"), [(Reply(403, b"no"), 401), (Reply(500, b"oops"), 503), (Reply(200, b"<html>"), 503)]
)
async def test_a_machine_that_gives_no_keys_is_named(reply: Reply, status: int) -> None:
    async with http_server(lambda _: reply) as server:
        with pytest.raises(UpstreamError, match="gave no keys") as caught:
            await signed(endpoint(environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/c"}))
    assert (caught.value.status, caught.value.is_retryable) == (status, status == 503)


async def test_a_containers_token_that_cannot_be_read_is_named() -> None:
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/c",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/token",
    }
    with pytest.raises(UpstreamError, match="/nowhere/token cannot be read"):
        await signed(endpoint(environ=environ))


# ---- InvokeModel: Claude in Anthropic's format -----------------------------------------------------------------------


def endpoints(model: str) -> dict[Operation, Endpoint]:
    return bedrock().endpoints(ConnectionParams(model=model, api_key="k"))


@pytest.mark.parametrize(
    ("model", "spoken"),
    [
        (CLAUDE, ["converse", "messages"]),
        (f"us-east-1/{CLAUDE}", ["converse", "messages"]),
        (f"us.{CLAUDE}", ["converse", "messages"]),
        (f"invoke/{CLAUDE}", ["messages"]),
        (f"us-east-1/invoke/{CLAUDE}", ["messages"]),
        (f"invoke/{PROFILE}", ["messages"]),
        (f"converse/{CLAUDE}", ["converse"]),
        (PROFILE, ["converse"]),
        ("amazon.nova-pro-v1:0", ["converse"]),
        ("invoke/mistral.mistral-7b-instruct-v0:2", ["converse"]),
    ],
)
def test_claude_is_asked_in_its_own_format_too(model: str, spoken: list[str]) -> None:
    assert list(endpoints(model)) == spoken


def test_invoke_has_the_model_and_streaming_in_its_path() -> None:
    found = endpoints(f"invoke/us.{CLAUDE}")["messages"]
    path = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
    assert found.target == f"{path}/invoke"
    assert found.for_streams is not None
    assert found.for_streams.target == f"{path}/invoke-with-response-stream"
    assert (found.wrapping, found.sets) == ("amazon", {"anthropic_version": msgspec.Raw(b'"bedrock-2023-05-31"')})
    assert {"model", "stream"} <= found.omits


@pytest.mark.parametrize("operation", ["converse", "messages"])
def test_tokens_are_counted_by_the_model_itself(operation: Operation) -> None:
    counting = endpoints(f"us.{CLAUDE}")[operation].for_counting
    assert counting is not None
    assert counting.target == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"
    assert dict(counting.headers)["Authorization"] == "Bearer k"
    assert endpoints("amazon.nova-pro-v1:0")["converse"].for_counting is None
    assert endpoints(PROFILE)["converse"].for_counting is None


@pytest.mark.parametrize(
    "model", ["amazon.titan-embed-text-v2:0", "us-east-1/cohere.embed-english-v3", "eu.cohere.embed-v4:0"]
)
def test_models_that_embed_are_asked_for_nothing_else(model: str) -> None:
    found = endpoints(model)
    assert list(found) == ["embeddings"]
    assert found["embeddings"].target.endswith("/invoke")
    assert found["embeddings"].wrapping == "amazon"
