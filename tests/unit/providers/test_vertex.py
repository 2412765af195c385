"""Vertex AI: its addresses, and access tokens from a token endpoint of our own."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.support.http_server import HttpServer, Reply, Request, http_server

from tollway import providers
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import Endpoint, Operation
from tollway.providers import ConnectionParams, Provider
from tollway.providers._google import google_credentials

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
ROOT = "/v1/projects/p/locations/us-central1/publishers"


def vertex() -> Provider:
    found = providers.find("vertex_ai")
    assert found is not None
    return found


def endpoints(model: str = "gemini-2.5-pro", **extra: object) -> dict[Operation, Endpoint]:
    return vertex().endpoints(ConnectionParams(model=model, extra={"vertex_project": "p", **extra}))


def account(url: str, **fields: object) -> str:
    known = {"type": "service_account", "client_email": "a@p.iam", "private_key": PEM, "project_id": "of-file"}
    return json.dumps({**known, "private_key_id": "kid1", "token_uri": f"{url}/token", **fields})


def granted(value: str = "ya29.tok") -> Reply:
    return Reply(200, json.dumps({"access_token": value, "expires_in": 3599}).encode())


def test_gemini_is_asked_in_its_own_format() -> None:
    endpoint = endpoints()["gemini"]
    assert endpoint.origin.host == "us-central1-aiplatform.googleapis.com"
    assert endpoint.target == f"{ROOT}/google/models/gemini-2.5-pro:generateContent"
    assert endpoint.for_streams is not None
    assert endpoint.for_streams.target == f"{ROOT}/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert endpoint.for_counting is not None
    assert endpoint.for_counting.target.endswith(":countTokens")


def test_claude_is_asked_in_anthropics_format_with_its_version_in_the_body() -> None:
    model = "claude-sonnet-4-5@20250929"
    endpoint = endpoints(model)["messages"]
    assert endpoint.target == f"{ROOT}/anthropic/models/{model}:rawPredict"
    assert endpoint.for_streams is not None
    assert endpoint.for_streams.target.endswith(":streamRawPredict")
    assert vertex().refuses(model) == {"model"}
    assert vertex().sets(model) == {"anthropic_version": "vertex-2023-10-16"}
    assert vertex().seals(model) == {"anthropic"}
    assert vertex().sets("gemini-2.5-pro") == {}


def test_places_have_hosts_of_their_own() -> None:
    assert endpoints(vertex_location="europe-west4")["gemini"].origin.host == "europe-west4-aiplatform.googleapis.com"
    assert endpoints(vertex_location="global")["gemini"].origin.host == "aiplatform.googleapis.com"
    environ = {"VERTEXAI_PROJECT": "e", "VERTEXAI_LOCATION": "asia-east1"}
    found = vertex().endpoints(ConnectionParams(model="gemini-2.5-pro", environ=environ))["gemini"]
    assert "/projects/e/locations/asia-east1/" in found.target


def test_the_project_may_be_the_credentials_own() -> None:
    given = ConnectionParams(model="m", extra={"vertex_credentials": account("https://t.test")})
    assert "/projects/of-file/" in vertex().endpoints(given)["gemini"].target
    with pytest.raises(Misconfigured) as caught:
        vertex().endpoints(ConnectionParams(model="m"))
    assert caught.value.param == "vertex_project"


async def signed_in(server: HttpServer, credentials: str) -> tuple[tuple[str, str], ...]:
    endpoint = endpoints(vertex_credentials=credentials)["gemini"]
    assert endpoint.credential is not None
    return await endpoint.credential(endpoint, b"{}")


async def test_a_service_account_signs_a_statement_for_its_token() -> None:
    async def respond(_: Request) -> Reply:
        return granted()

    async with http_server(respond) as server:
        assert await signed_in(server, account(server.url)) == (("Authorization", "Bearer ya29.tok"),)
        form = parse_qs(server.requests[0].body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = form["assertion"][0].split(".")
    KEY.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "kid1"}
    said = json.loads(decoded(claims))
    assert (said["iss"], said["aud"]) == ("a@p.iam", f"{server.url}/token")
    assert said["exp"] - said["iat"] == 3600


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_a_users_sign_in_is_refreshed(tmp_path: Path) -> None:
    async def respond(_: Request) -> Reply:
        return granted("of-user")

    async with http_server(respond) as server:
        file = tmp_path / "adc.json"
        fields = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
        file.write_text(json.dumps({**fields, "token_uri": f"{server.url}/token"}))
        assert await signed_in(server, str(file)) == (("Authorization", "Bearer of-user"),)
        form = parse_qs(server.requests[0].body.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["r"])


async def test_a_federated_identity_is_exchanged_and_takes_on_an_account(tmp_path: Path) -> None:
    async def respond(request: Request) -> Reply:
        if request.target.endswith("generateAccessToken"):
            assert request.headers["authorization"] == "Bearer federated"
            return Reply(200, b'{"accessToken":"impersonated","expireTime":"2030-01-01T00:00:00Z"}')
        return granted("federated")

    subject = tmp_path / "token"
    subject.write_text('{"id_token": "theirs"}')
    source = {"file": str(subject), "format": {"type": "json", "subject_token_field_name": "id_token"}}
    async with http_server(respond) as server:
        fields = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.url}/token",
            "credential_source": source,
            "service_account_impersonation_url": f"{server.url}/v1/x:generateAccessToken",
        }
        assert await signed_in(server, json.dumps(fields)) == (("Authorization", "Bearer impersonated"),)
        assert parse_qs(server.requests[0].body.decode())["subject_token"] == ["theirs"]


@pytest.mark.parametrize("is_json", [False, True])
async def test_the_token_of_another_provider_may_come_from_an_address(is_json: bool) -> None:
    async def respond(request: Request) -> Reply:
        if request.target == "/theirs?audience=x":
            assert (request.method, request.headers["metadata"]) == ("GET", "True")
            return Reply(200, b'{"access_token":"theirs"}' if is_json else b"theirs\n")
        return granted("federated")

    async with http_server(respond) as server:
        source: dict[str, object] = {"url": f"{server.url}/theirs?audience=x", "headers": {"Metadata": "True"}}
        if is_json:
            source["format"] = {"type": "json", "subject_token_field_name": "access_token"}
        assert await signed_in(server, federated(server, source)) == (("Authorization", "Bearer federated"),)
        assert parse_qs(server.requests[1].body.decode())["subject_token"] == ["theirs"]


async def test_an_address_that_gives_no_token_is_named() -> None:
    async with http_server(lambda _: Reply(403, b"no")) as server:
        with pytest.raises(UpstreamError, match="credential_source answered HTTP 403") as raised:
            await signed_in(server, federated(server, {"url": f"{server.url}/theirs"}))
        assert raised.value.status == 401
        wrong = {"must be https": {"url": "http://evil.test/x"}, "neither": {"environment_id": "aws1"}}
        for words, source in wrong.items():
            with pytest.raises(Misconfigured, match=words):
                await signed_in(server, federated(server, source))


def federated(server: HttpServer, source: Mapping[str, object]) -> str:
    return json.dumps(
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.url}/token",
            "credential_source": source,
        }
    )


@pytest.mark.parametrize("given", [None, "/var/run/key.json", '{"type": "external_account"}'])
def test_a_teams_model_is_not_lent_the_machines_identity(given: str | None) -> None:
    fields = {
        "audience": "a",
        "subject_token_type": "t",
        "token_url": "https://evil.test",
        "credential_source": {"file": "/etc/x"},
    }
    text = json.dumps({**json.loads(given), **fields}) if given is not None and given.startswith("{") else given
    params = ConnectionParams(
        model="gemini-2.5-pro",
        extra={"vertex_project": "p", "vertex_credentials": text},
        environ={"GOOGLE_APPLICATION_CREDENTIALS": "/etc/key.json"},
        may_use_machine=False,
    )
    with pytest.raises(Misconfigured, match="a team's model cannot use files and identities of the machine"):
        vertex().endpoints(params)


async def test_a_machine_of_googles_has_an_identity_of_its_own() -> None:
    async def respond(request: Request) -> Reply:
        assert request.headers["metadata-flavor"] == "Google"
        return granted("of-machine")

    async with http_server(respond) as server:
        credentials = google_credentials(None, {"GCE_METADATA_HOST": server.url.removeprefix("http://")}, True)
        token = await credentials.fetch()
    assert token.value == "of-machine"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("/no/such/file.json", "cannot be read"),
        ("{not json", "no JSON"),
        ('{"type": "api_key"}', "service_account"),
        ('{"type": "service_account", "client_email": "a"}', "private_key is missing"),
    ],
)
def test_what_is_no_credential_is_said(given: str, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        google_credentials(given, {}, True)
    assert words in caught.value.message
    assert caught.value.param == "vertex_credentials"


async def test_a_refusal_names_the_code_and_keeps_the_prose_to_itself() -> None:
    async def respond(_: Request) -> Reply:
        return Reply(400, b'{"error":"invalid_grant","error_description":"Invalid JWT: eyJsecret"}')

    async with http_server(respond) as server:
        with pytest.raises(UpstreamError) as caught:
            await signed_in(server, account(server.url))
    assert "invalid_grant" in caught.value.message
    assert "eyJ" not in caught.value.message
    assert caught.value.status == 401


async def test_a_key_that_is_none_is_said_when_it_is_used() -> None:
    async def respond(_: Request) -> Reply:
        return granted()

    async with http_server(respond) as server:
        with pytest.raises(Misconfigured, match="private_key"):
            await signed_in(server, account(server.url, private_key="nonsense"))


def test_credentials_show_no_secret() -> None:
    assert "PRIVATE" not in repr(google_credentials(account("https://t.test"), {}, True))
