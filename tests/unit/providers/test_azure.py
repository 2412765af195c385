"""Azure: its URLs, and access tokens from a real token endpoint."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme
from tests.support.http_server import HttpServer, Reply, Request, http_server

from tollway import providers
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import Endpoint, Operation, Origin
from tollway.providers import ConnectionParams, Provider
from tollway.providers._token import Token, TokenSource
from tollway.providers.azure import client_credentials

RESOURCE = "https://res.openai.azure.com"
CLIENT = {"tenant_id": "ten/ant", "client_id": "app", "client_secret": "s3cret"}
DEFAULT = "api-version=2024-10-21"
ASKED = (Endpoint(origin=Origin("https", "res.openai.azure.com", 443), target="/", headers=()), b"{}")


def find(name: str) -> Provider:
    provider = providers.find(name)
    assert provider is not None
    return provider


def endpoint(name: str = "azure", operation: Operation = "chat", **given: object) -> Endpoint:
    params = ConnectionParams(**{"model": "gpt-4o", "api_base": RESOURCE, **given})  # type: ignore[arg-type]
    return find(name).endpoints(params)[operation]


def headers(endpoint: Endpoint) -> dict[str, str]:
    return {name.lower(): value for name, value in endpoint.headers}


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({}, f"/openai/deployments/gpt-4o/chat/completions?{DEFAULT}"),
        ({"api_base": f"{RESOURCE}/"}, f"/openai/deployments/gpt-4o/chat/completions?{DEFAULT}"),
        ({"api_base": f"{RESOURCE}/openai/"}, f"/openai/deployments/gpt-4o/chat/completions?{DEFAULT}"),
        ({"model": "a b/c"}, f"/openai/deployments/a%20b%2Fc/chat/completions?{DEFAULT}"),
        (
            {"api_version": "2025-01-01-preview"},
            "/openai/deployments/gpt-4o/chat/completions?api-version=2025-01-01-preview",
        ),
        (
            {"environ": {"AZURE_API_VERSION": "2024-06-01"}},
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01",
        ),
        ({"api_version": "2&x=1"}, "/openai/deployments/gpt-4o/chat/completions?api-version=2%26x%3D1"),
        ({"api_base": "https://apim.test/llm"}, f"/llm/openai/deployments/gpt-4o/chat/completions?{DEFAULT}"),
        ({"api_base": f"{RESOURCE}/openai/deployments/own"}, f"/openai/deployments/own/chat/completions?{DEFAULT}"),
        (
            {"api_base": f"{RESOURCE}/openai/deployments/own/chat/completions?api-version=2024-02-01"},
            "/openai/deployments/own/chat/completions?api-version=2024-02-01",
        ),
        ({"api_base": f"{RESOURCE}/openai/v1"}, "/openai/v1/chat/completions"),
        ({"api_base": f"{RESOURCE}/openai/v1/"}, "/openai/v1/chat/completions"),
        (
            {"api_base": f"{RESOURCE}/openai/v1", "environ": {"AZURE_API_VERSION": "2024-06-01"}},
            "/openai/v1/chat/completions",
        ),
        (
            {"api_base": f"{RESOURCE}/openai/v1", "api_version": "preview"},
            "/openai/v1/chat/completions?api-version=preview",
        ),
        ({"api_version": "v1"}, "/openai/v1/chat/completions"),
        ({"api_version": "latest"}, "/openai/v1/chat/completions?api-version=latest"),
    ],
)
def test_the_form_of_the_base_decides_about_the_url(given: dict[str, object], target: str) -> None:
    assert endpoint(**{"api_key": "k", **given}).target == target  # type: ignore[arg-type]


def test_each_operation_has_its_deployment_url() -> None:
    assert endpoint(operation="embeddings", api_key="k").target == f"/openai/deployments/gpt-4o/embeddings?{DEFAULT}"
    assert endpoint(operation="completions", api_key="k").target == f"/openai/deployments/gpt-4o/completions?{DEFAULT}"


@pytest.mark.parametrize(
    ("given", "target", "name"),
    [
        (
            {"api_base": "https://r.services.ai.azure.com"},
            "/models/chat/completions?api-version=2024-05-01-preview",
            "api-key",
        ),
        (
            {"api_base": "https://r.services.ai.azure.com/models/"},
            "/models/chat/completions?api-version=2024-05-01-preview",
            "api-key",
        ),
        (
            {"api_base": "https://r.services.ai.azure.com/models/chat/completions?api-version=2025-01-01"},
            "/models/chat/completions?api-version=2025-01-01",
            "api-key",
        ),
        ({"api_base": "https://r.services.ai.azure.com/openai/v1"}, "/openai/v1/chat/completions", "api-key"),
        ({"api_base": "https://own.test"}, "/v1/chat/completions", "authorization"),
    ],
)
def test_foundry_endpoints_route_by_the_body(given: dict[str, object], target: str, name: str) -> None:
    found = endpoint("azure_ai", api_key="k", **given)  # type: ignore[arg-type]
    assert found.target == target
    assert headers(found)[name].endswith("k")


FOUNDRY = "https://res.services.ai.azure.com"


@pytest.mark.parametrize(
    ("model", "base", "target"),
    [
        ("claude-opus-4-5", FOUNDRY, "/anthropic/v1/messages"),
        ("claude-opus-4-5", f"{FOUNDRY}/", "/anthropic/v1/messages"),
        ("claude-opus-4-5", f"{FOUNDRY}/models", "/anthropic/v1/messages"),
        ("claude-opus-4-5", f"{FOUNDRY}/anthropic", "/anthropic/v1/messages"),
        ("claude-opus-4-5", f"{FOUNDRY}/anthropic/v1/messages", "/anthropic/v1/messages"),
        ("my-own-name", f"{FOUNDRY}/anthropic/", "/anthropic/v1/messages"),
        ("claude-opus-4-5", "https://apim.test/llm/anthropic/v1", "/llm/anthropic/v1/messages"),
    ],
)
def test_claude_in_foundry_is_asked_in_its_own_format(model: str, base: str, target: str) -> None:
    params = ConnectionParams(model=model, api_base=base, api_key="k")
    found = find("azure_ai").endpoints(params)
    assert list(found) == ["messages"]
    assert found["messages"].target == target
    assert found["messages"].for_counting is not None
    assert found["messages"].for_counting.target == f"{target}/count_tokens"
    sent = headers(found["messages"])
    assert (sent["x-api-key"], sent["anthropic-version"]) == ("k", "2023-06-01")
    assert sent.keys().isdisjoint({"api-key", "authorization"})
    assert list(find("azure_ai").endpoints(ConnectionParams(model="Phi-4", api_base=FOUNDRY, api_key="k"))) == [
        "chat",
        "embeddings",
    ]


def test_claude_in_foundry_takes_an_access_token_and_the_operators_version() -> None:
    extra = {"azure_ad_token": "tok"}
    found = endpoint("azure_ai", "messages", model="claude-x", api_base=FOUNDRY, extra=extra)
    assert headers(found)["authorization"] == "Bearer tok"
    own = {"Anthropic-Version": "2030-01-01"}
    found = endpoint("azure_ai", "messages", model="claude-x", api_base=FOUNDRY, api_key="k", headers=own)
    assert [value for name, value in found.headers if name.lower() == "anthropic-version"] == ["2030-01-01"]
    assert find("azure_ai").seals("claude-x") == {"anthropic"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2023-05-15", False), ("2024-06-01", False), ("2024-09-01-preview", True), ("v1", True), (None, True)],
)
def test_old_versions_are_not_asked_for_stream_usage(version: str | None, expected: bool) -> None:
    params = ConnectionParams(model="m", api_version=version)
    assert find("azure").understands_stream_usage(params) is expected


def test_a_key_goes_into_its_own_header() -> None:
    found = endpoint(environ={"AZURE_API_KEY": "k"})
    assert headers(found)["api-key"] == "k"
    assert "authorization" not in headers(found)
    assert found.credential is None


def test_an_access_token_is_a_bearer_token() -> None:
    for given in ({"extra": {"azure_ad_token": "tok"}}, {"environ": {"AZURE_AD_TOKEN": "tok"}}):
        found = endpoint(**given)  # type: ignore[arg-type]
        assert headers(found)["authorization"] == "Bearer tok"
        assert "api-key" not in headers(found)


def test_what_the_deployment_says_goes_before_a_key_in_the_environment() -> None:
    found = endpoint(extra={"azure_ad_token": "tok"}, environ={"AZURE_API_KEY": "k"})
    assert headers(found)["authorization"] == "Bearer tok"
    assert "api-key" not in headers(found)
    assert endpoint(extra=CLIENT, environ={"AZURE_API_KEY": "k", "AZURE_AD_TOKEN": "t"}).credential is not None


def test_a_key_in_the_environment_goes_before_a_service_principal_there() -> None:
    environ = {"AZURE_API_KEY": "k", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    assert endpoint(environ=environ).credential is None


def test_tokens_of_other_identity_providers_are_refused_for_now() -> None:
    with pytest.raises(Misconfigured, match="OIDC"):
        endpoint(extra={"azure_ad_token": "oidc/google/x"})


async def test_without_any_credential_the_call_is_refused_with_the_choices() -> None:
    credential = endpoint().credential
    assert credential is not None
    with pytest.raises(UpstreamError, match=r"AZURE_API_KEY.*azure_ad_token.*client_secret"):
        await credential(*ASKED)


def test_a_secret_is_only_sent_encrypted() -> None:
    with pytest.raises(Misconfigured, match="AZURE_AUTHORITY_HOST must be https"):
        endpoint(extra=CLIENT, environ={"AZURE_AUTHORITY_HOST": "http://login.test"})


def token(value: str = "tok", lifetime: object = 3600) -> Reply:
    return Reply(200, json.dumps({"token_type": "Bearer", "access_token": value, "expires_in": lifetime}).encode())


def signed_in(server: HttpServer, name: str = "azure") -> Endpoint:
    return endpoint(name, extra=CLIENT, environ={"AZURE_AUTHORITY_HOST": server.url})


@pytest.mark.parametrize("name", ["azure", "azure_ai"])
async def test_client_credentials_become_an_access_token(name: str) -> None:
    async with http_server(lambda _: token()) as server:
        credential = signed_in(server, name).credential
        assert credential is not None
        assert await credential(*ASKED) == (("Authorization", "Bearer tok"),)
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/ten%2Fant/oauth2/v2.0/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app"],
        "client_secret": ["s3cret"],
        "scope": ["https://cognitiveservices.azure.com/.default"],
    }


async def test_scope_and_client_may_come_from_the_environment() -> None:
    async with http_server(lambda _: token()) as server:
        environ = {
            "AZURE_AUTHORITY_HOST": server.url,
            "AZURE_TENANT_ID": "t",
            "AZURE_CLIENT_ID": "c",
            "AZURE_CLIENT_SECRET": "s",
        }
        credential = endpoint(environ=environ, extra={"azure_scope": "api://own/.default"}).credential
        assert credential is not None
        await credential(*ASKED)
    assert parse_qs(server.requests[0].body.decode())["scope"] == ["api://own/.default"]


async def test_all_operations_and_concurrent_callers_share_one_fetch() -> None:
    gate = asyncio.Event()

    async def slowly(_: Request) -> Reply:
        await gate.wait()
        return token()

    async with http_server(slowly) as server:
        params = ConnectionParams(
            model="m", api_base=RESOURCE, extra=CLIENT, environ={"AZURE_AUTHORITY_HOST": server.url}
        )
        credentials = [found.credential for found in find("azure").endpoints(params).values()]
        callers = [asyncio.ensure_future(each(*ASKED)) for each in credentials if each for _ in range(5)]
        assert len(callers) == 20
        await asyncio.sleep(0)
        callers[0].cancel()
        gate.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [(("Authorization", "Bearer tok"),)] * 19
    assert len(server.requests) == 1


async def test_a_refusal_names_the_code_and_keeps_the_prose_to_itself() -> None:
    body = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret s3cret provided."}
    replies = [Reply(401, json.dumps(body).encode()), token()]
    async with http_server(lambda _: replies.pop(0)) as server:
        credential = signed_in(server).credential
        assert credential is not None
        with pytest.raises(UpstreamError, match="invalid_client, AADSTS7000215") as caught:
            await credential(*ASKED)
        assert "s3cret" not in caught.value.message
        assert (caught.value.status, caught.value.upstream_status) == (401, 401)
        assert not caught.value.is_retryable
        assert await credential(*ASKED) == (("Authorization", "Bearer tok"),), "a failure is not remembered"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b"oops"),
        Reply(200, b"<html>"),
        Reply(200, b"[]"),
        Reply(200, b'{"access_token": ""}'),
        Reply(200, b'{"access_token": "a\\r\\nX-Evil: 1", "expires_in": 60}'),
    ],
)
async def test_an_answer_without_a_token_is_an_error_worth_another_try(reply: Reply) -> None:
    async with http_server(lambda _: reply) as server:
        credential = signed_in(server).credential
        assert credential is not None
        with pytest.raises(UpstreamError, match="gave no access token") as caught:
            await credential(*ASKED)
    assert caught.value.is_retryable


async def test_a_token_endpoint_that_is_away_is_an_error_worth_another_try() -> None:
    async with http_server(lambda _: token()) as server:
        credential = signed_in(server).credential
    assert credential is not None
    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        await credential(*ASKED)
    assert caught.value.is_retryable


@pytest.mark.parametrize(("trusts", "is_reached"), [("its CA", True), ("anybody", True), ("the public CAs", False)])
async def test_the_token_endpoint_is_trusted_as_the_deployment_says(
    tmp_path: Path, trusts: str, is_reached: bool
) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    verify = {"its CA": str(bundle), "anybody": False, "the public CAs": True}[trusts]
    async with http_server(lambda _: token(), tls=tls) as server:
        environ = {"AZURE_AUTHORITY_HOST": server.url.removeprefix("https://")}
        credential = endpoint(extra=CLIENT, environ=environ, verify=verify).credential
        assert credential is not None
        if is_reached:
            assert await credential(*ASKED) == (("Authorization", "Bearer tok"),)
        else:
            with pytest.raises(UpstreamError, match="cannot be reached"):
                await credential(*ASKED)


async def test_a_bundle_that_is_not_there_is_the_operators_to_fix() -> None:
    credential = endpoint(extra=CLIENT, verify="/nowhere/ca.pem").credential
    assert credential is not None
    with pytest.raises(Misconfigured, match=r"/nowhere/ca\.pem is no readable CA bundle"):
        await credential(*ASKED)


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": "k"},
        {"extra": CLIENT},
        {"extra": {"azure_ad_token": "t"}},
        {"headers": {"Authorization": "Bearer mine"}},
    ],
)
def test_nothing_is_missing_where_there_is_a_credential(given: dict[str, object]) -> None:
    params = ConnectionParams(model="m", api_base=RESOURCE, **given)  # type: ignore[arg-type]
    assert find("azure").missing(params) is None


def test_a_service_principal_never_shows_its_secret() -> None:
    found = client_credentials(ConnectionParams(model="m", extra=CLIENT), provider="azure")
    assert "app" in repr(found)
    assert "s3cret" not in repr(found)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Fetches:
    """Gives numbered tokens of an hour; fails when told to."""

    def __init__(self) -> None:
        self.count = 0
        self.is_down = False

    async def __call__(self) -> Token:
        self.count += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise UpstreamError("away")
        return Token(f"t{self.count}", 3600)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_token_is_kept_until_five_minutes_before_its_end() -> None:
    clock, fetches = Clock(), Fetches()
    source = TokenSource(fetches, clock=clock)
    await source(*ASKED)
    clock.now += 3299
    assert await source(*ASKED) == (("Authorization", "Bearer t1"),)
    await settle()
    assert fetches.count == 1
    clock.now += 1
    assert await source(*ASKED) == (("Authorization", "Bearer t1"),), "still valid: nobody waits for the next"
    await settle()
    assert await source(*ASKED) == (("Authorization", "Bearer t2"),)
    assert fetches.count == 2


async def test_an_outage_hurts_nobody_while_the_token_lives() -> None:
    clock, fetches = Clock(), Fetches()
    source = TokenSource(fetches, clock=clock)
    await source(*ASKED)
    fetches.is_down = True
    clock.now += 3400
    assert await source(*ASKED) == (("Authorization", "Bearer t1"),)
    await settle()
    clock.now += 200
    with pytest.raises(UpstreamError, match="away"):
        await source(*ASKED)
    fetches.is_down = False
    assert (await source(*ASKED))[0][1].startswith("Bearer t")


async def test_a_short_lived_token_is_used_for_half_its_life() -> None:
    clock = Clock()
    lives = iter([Token("short", 60), Token("next", 60)])

    async def fetch() -> Token:
        return next(lives)

    source = TokenSource(fetch, clock=clock)
    await source(*ASKED)
    clock.now += 29
    assert await source(*ASKED) == (("Authorization", "Bearer short"),)
    clock.now += 1
    await source(*ASKED)
    await settle()
    assert await source(*ASKED) == (("Authorization", "Bearer next"),)
