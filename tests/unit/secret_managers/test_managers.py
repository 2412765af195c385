"""Secret managers against the bytes that their documentation shows. (AWS is asked for real: see the configuration.)"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.support.faulty_upstream import FaultyUpstream, response

from tollway.core.errors import Misconfigured, TollwayError, UpstreamError
from tollway.secret_managers import KINDS, open_manager


@pytest.fixture
async def server() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as running:
        yield running


def says(server: FaultyUpstream, path: str, answer: Any, status: int = 200) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    server.reply(response(body, status), path=path, always=True)


async def read(kind: str, *names: str, **environ: str) -> Mapping[str, str]:
    return await open_manager(kind, {}, environ).read(names)


async def test_vault_by_a_token(server: FaultyUpstream) -> None:
    says(server, "/v1/kv/data/team/A_KEY", {"data": {"data": {"key": "sk-1"}, "metadata": {"version": 2}}})
    environ = {
        "HCP_VAULT_ADDR": f"{server.url}/",
        "HCP_VAULT_TOKEN": "hvs.token",
        "HCP_VAULT_NAMESPACE": "admin",
        "HCP_VAULT_MOUNT_NAME": "kv",
        "HCP_VAULT_PATH_PREFIX": "/team/",
    }
    assert await read("hashicorp_vault", "A_KEY", "NOT_THERE", **environ) == {"A_KEY": "sk-1"}
    for request in server.requests:
        assert (request.headers["x-vault-token"], request.headers["x-vault-namespace"]) == ("hvs.token", "admin")


async def test_vault_by_an_approle(server: FaultyUpstream) -> None:
    says(server, "/v1/auth/approle/login", {"auth": {"client_token": "hvs.lent", "lease_duration": 1200}})
    says(server, "/v1/secret/data/A_KEY", {"data": {"data": {"key": "sk-1"}}})
    role = {"HCP_VAULT_APPROLE_ROLE_ID": "role", "HCP_VAULT_APPROLE_SECRET_ID": "secret of the role"}
    assert await read("hashicorp_vault", "A_KEY", VAULT_ADDR=server.url, **role) == {"A_KEY": "sk-1"}
    login, asked = server.requests
    assert (login.method, login.json) == ("POST", {"role_id": "role", "secret_id": "secret of the role"})
    assert asked.headers["x-vault-token"] == "hvs.lent"


async def test_google(server: FaultyUpstream) -> None:
    says(
        server,
        "/computeMetadata/v1/instance/service-accounts/default/token",
        {"access_token": "ya29.lent", "expires_in": 3599, "token_type": "Bearer"},
    )
    payload = {"data": b64encode("sk-ä".encode()).decode()}
    says(
        server,
        "/v1/projects/p/secrets/A_KEY/versions/latest:access",
        {"name": "projects/1/secrets/A_KEY/versions/3", "payload": payload},
    )
    environ = {
        "GOOGLE_SECRET_MANAGER_PROJECT_ID": "p",
        "GOOGLE_SECRET_MANAGER_ENDPOINT": server.url,
        "GCE_METADATA_HOST": server.url.removeprefix("http://"),
    }
    assert await read("google_secret_manager", "A_KEY", "NOT_THERE", **environ) == {"A_KEY": "sk-ä"}
    assert server.requests[-1].headers["authorization"] == "Bearer ya29.lent"


async def test_azure(server: FaultyUpstream) -> None:
    says(server, "/tenant/oauth2/v2.0/token", {"access_token": "eyJ.lent", "expires_in": 3599})
    says(server, "/secrets/A-KEY", {"value": "sk-1", "id": "https://v.vault.azure.net/secrets/A-KEY/4387e9f3"})
    environ = {
        "AZURE_KEY_VAULT_URI": server.url,
        "AZURE_AUTHORITY_HOST": server.url,
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_CLIENT_SECRET": "secret of the client",
    }
    assert await read("azure_key_vault", "A_KEY", "NOT_THERE", **environ) == {"A_KEY": "sk-1"}
    assert b"scope=https%3A%2F%2Fvault.azure.net%2F.default" in server.requests[0].body
    (asked,) = (request for request in server.requests if request.path == "/secrets/A-KEY")
    assert asked.target == "/secrets/A-KEY?api-version=7.4"
    assert asked.headers["authorization"] == "Bearer eyJ.lent"


async def test_conjur(server: FaultyUpstream) -> None:
    token = b'{"protected":"eyJ","payload":"eyJ","signature":"x"}'
    says(server, "/authn/org/host%2Fgateway/authenticate", token)
    says(server, "/secrets/org/variable/llm%2FA_KEY", "sk-ä".encode())
    environ = {
        "CYBERARK_API_BASE": server.url,
        "CYBERARK_ACCOUNT": "org",
        "CYBERARK_USERNAME": "host/gateway",
        "CYBERARK_API_KEY": "key of the host",
    }
    assert await read("cyberark", "llm/A_KEY", "NOT_THERE", **environ) == {"llm/A_KEY": "sk-ä"}
    assert server.requests[0].body == b"key of the host"
    assert server.requests[1].headers["authorization"] == f'Token token="{b64encode(token).decode()}"'


@pytest.mark.parametrize("status", [403, 503])
async def test_a_refusal_names_what_to_check_and_repeats_nothing(server: FaultyUpstream, status: int) -> None:
    says(server, "/v1/secret/data/A_KEY", {"errors": ["hvs.token is not allowed"]}, status)
    with pytest.raises(UpstreamError, match=f"HTTP {status} for A_KEY; check HCP_VAULT_ADDR") as got:
        await read("hashicorp_vault", "A_KEY", VAULT_ADDR=server.url, VAULT_TOKEN="hvs.token")
    assert "hvs" not in got.value.message


async def test_a_secret_of_another_shape_is_named(server: FaultyUpstream) -> None:
    says(server, "/v1/secret/data/A_KEY", {"data": {"data": {"password": "sk-1"}}})
    with pytest.raises(Misconfigured, match="A_KEY holds no text that could be used; it needs a member `key`"):
        await read("hashicorp_vault", "A_KEY", VAULT_ADDR=server.url, VAULT_TOKEN="t")


async def test_no_secret_goes_over_a_network_in_the_clear() -> None:
    with pytest.raises(Misconfigured, match="HCP_VAULT_ADDR must be https"):
        await read("hashicorp_vault", "A_KEY", VAULT_ADDR="http://vault:8200", VAULT_TOKEN="t")


@pytest.mark.parametrize(
    ("kind", "environ", "expected"),
    [
        ("aws_secret_manager", {}, "set AWS_REGION"),
        ("aws_secret_manager", {"AWS_REGION": "eu-west-3", "AWS_EC2_METADATA_DISABLED": "true"}, "nobody says who"),
        ("hashicorp_vault", {}, "set HCP_VAULT_ADDR or VAULT_ADDR"),
        ("hashicorp_vault", {"VAULT_ADDR": "https://v"}, "set HCP_VAULT_TOKEN"),
        ("google_secret_manager", {}, "set GOOGLE_SECRET_MANAGER_PROJECT_ID"),
        ("azure_key_vault", {}, "set AZURE_KEY_VAULT_URI"),
        ("azure_key_vault", {"AZURE_KEY_VAULT_URI": "https://v.vault.azure.net"}, "set AZURE_TENANT_ID"),
        ("cyberark", {}, "set CYBERARK_API_BASE"),
        ("cyberark", {"CYBERARK_API_BASE": "https://c"}, "set CYBERARK_API_KEY"),
    ],
)
def test_what_is_missing_is_named(kind: str, environ: dict[str, str], expected: str) -> None:
    assert kind in KINDS
    with pytest.raises(TollwayError, match=expected):
        open_manager(kind, {}, {"HOME": "/nowhere", **environ})
