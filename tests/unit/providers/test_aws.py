"""Who signs calls to Amazon: profiles of the AWS configuration files, and the instance that the gateway runs on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.support.http_server import Reply, Request, http_server

from tollway import providers
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.providers import ConnectionParams
from tollway.providers import _instance as instance
from tollway.providers._profile import read_profile

CREDENTIALS = """
[default]
aws_access_key_id = DEFAULT
aws_secret_access_key = s1

[plain]
aws_access_key_id = PLAIN
aws_secret_access_key = s%2=x
aws_session_token = tok
"""
CONFIG = """
[default]
region = eu-north-1

[profile plain]
region = ap-south-1
aws_access_key_id = OVERRULED
aws_secret_access_key = overruled

[profile taker]
role_arn = arn:aws:iam::123456789012:role/taken
source_profile = plain
role_session_name = me at work
external_id = ext

[profile chained]
role_arn = arn:aws:iam::123456789012:role/second
source_profile = taker

[profile own]
role_arn = arn:aws:iam::123456789012:role/own
source_profile = own
aws_access_key_id = OWN
aws_secret_access_key = s

[profile web]
role_arn = arn:aws:iam::123456789012:role/web
web_identity_token_file = {folder}/token

[profile pod]
role_arn = arn:aws:iam::123456789012:role/pod
credential_source = EcsContainer

[profile of-environment]
role_arn = arn:aws:iam::123456789012:role/env
credential_source = Environment

[profile round]
role_arn = arn:aws:iam::123456789012:role/round
source_profile = about

[profile about]
role_arn = arn:aws:iam::123456789012:role/about
source_profile = round

[profile sso]
sso_session = corp

[profile program]
credential_process = /bin/give

[profile mfa]
role_arn = arn:aws:iam::123456789012:role/m
source_profile = plain
mfa_serial = arn:aws:iam::1:mfa/x

[profile lonely]
role_arn = arn:aws:iam::123456789012:role/l

[profile empty]
region = eu-west-1
"""
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
MACHINE_KEYS = b'{"AccessKeyId":"ASIAMACHINE","SecretAccessKey":"s","Token":"tok","Expiration":"2099-01-01T00:00:00Z"}'


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with both files."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(CREDENTIALS)
    (folder / "config").write_text(CONFIG.replace("{folder}", str(folder)))
    (folder / "token").write_text("of-the-pod\n")
    return {"HOME": str(tmp_path)}


def params(environ: Mapping[str, str], *, may_use_machine: bool = True, **extra: Any) -> ConnectionParams:
    return ConnectionParams(model=CLAUDE, extra=extra, environ=environ, may_use_machine=may_use_machine)


async def signed(asked: ConnectionParams) -> tuple[str, str]:
    """The id of the key that signs, and the host that is called."""
    provider = providers.find("bedrock")
    assert provider is not None
    endpoint = provider.endpoints(asked)["converse"]
    assert endpoint.credential is not None
    headers = dict(await endpoint.credential(endpoint, b"{}"))
    return headers["Authorization"].partition("Credential=")[2].partition("/")[0], endpoint.origin.host


def role_keys(name: str) -> Reply:
    body = (
        f"<AccessKeyId>{name}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>2099-01-01T00:00:00Z</Expiration>"
    )
    return Reply(200, body.encode())


async def test_a_profile_has_keys_and_a_region(home: dict[str, str]) -> None:
    host = "bedrock-runtime.ap-south-1.amazonaws.com"
    assert await signed(params(home, aws_profile_name="plain")) == ("PLAIN", host)
    found = read_profile("plain", home)
    assert found.keys is not None
    assert (found.keys.secret_access_key, found.keys.session_token) == ("s%2=x", "tok")
    assert "s%2" not in repr(found)
    named = params({"AWS_REGION": "us-east-2", **home}, aws_profile_name="plain")
    assert (await signed(named))[1] == "bedrock-runtime.us-east-2.amazonaws.com"


async def test_the_environments_profile_counts_where_nothing_else_says_who_signs(home: dict[str, str]) -> None:
    assert await signed(params(home)) == ("DEFAULT", "bedrock-runtime.eu-north-1.amazonaws.com")
    assert (await signed(params({**home, "AWS_PROFILE": "plain"})))[0] == "PLAIN"
    keys = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
    assert (await signed(params({**home, **keys})))[0] == "ENV"
    assert (await signed(params({**home, **keys}, aws_profile_name="plain")))[0] == "PLAIN"
    own: dict[str, Any] = {"aws_access_key_id": "GIVEN", "aws_secret_access_key": "s"}
    assert (await signed(params({**home, "AWS_PROFILE": "sso"}, **own)))[0] == "GIVEN"


async def test_other_files_may_be_named(home: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("[default]\naws_access_key_id = OTHER\naws_secret_access_key = s\n")
    assert (await signed(params({**home, "AWS_SHARED_CREDENTIALS_FILE": str(other)})))[0] == "OTHER"
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_profile("default", {"AWS_CONFIG_FILE": str(tmp_path / "none")})
    other.write_text("no section = 1\n")
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_profile("default", {"AWS_CONFIG_FILE": str(other)})


@pytest.mark.parametrize(
    ("profile", "first"),
    [("taker", "PLAIN"), ("own", "OWN"), ("of-environment", "ENV"), ("pod", "ASIAMACHINE"), ("web", None)],
)
async def test_a_profile_takes_a_role(home: dict[str, str], profile: str, first: str | None) -> None:
    async def respond(request: Request) -> Reply:
        return Reply(200, MACHINE_KEYS) if request.target == "/pod" else role_keys("ASIAROLE")

    async with http_server(respond) as server:
        environ = {**home, "AWS_STS_ENDPOINT": server.url}
        if profile == "pod":
            environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{server.url}/pod"
        if profile == "of-environment":
            environ |= {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
        assert (await signed(params(environ, aws_profile_name=profile)))[0] == "ASIAROLE"
        asked = server.requests[-1]
    form = {name: value for name, [value] in parse_qs(asked.body.decode()).items()}
    assert form["RoleArn"].startswith("arn:aws:iam::123456789012:role/")
    if first is None:
        assert (form["Action"], form["WebIdentityToken"]) == ("AssumeRoleWithWebIdentity", "of-the-pod")
    else:
        assert f"Credential={first}/" in asked.headers["authorization"]
    if profile == "taker":
        assert (form["RoleSessionName"], form["ExternalId"]) == ("me-at-work", "ext")


async def test_roles_are_taken_one_after_the_other(home: dict[str, str]) -> None:
    async with http_server(lambda request: role_keys(f"ASIA{len(server.requests)}")) as server:
        environ = {**home, "AWS_STS_ENDPOINT": server.url}
        assert (await signed(params(environ, aws_profile_name="chained")))[0] == "ASIA2"
        first, second = server.requests
    assert "Credential=PLAIN/" in first.headers["authorization"]
    assert "Credential=ASIA1/" in second.headers["authorization"]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("nobody", "there is no profile 'nobody'"),
        ("round", "leads back to itself"),
        ("sso", "by sso_session, which is not supported yet"),
        ("program", "by credential_process, which is not supported yet"),
        ("mfa", "mfa_serial"),
        ("lonely", "neither source_profile nor credential_source"),
        ("empty", "neither keys nor a role_arn"),
        ("pod", "'EcsContainer' of the profile 'pod' gives no keys here"),
    ],
)
async def test_a_profile_without_keys_says_why(home: dict[str, str], profile: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as raised:
        await signed(params(home, aws_profile_name=profile))
    assert raised.value.param == "aws_profile_name"


@pytest.mark.parametrize(
    "extra",
    [{"aws_profile_name": "plain"}, {"aws_role_name": "arn:x", "aws_web_identity_token": "/var/run/secrets/token"}],
)
async def test_a_teams_model_is_not_lent_files_of_the_machine(home: dict[str, str], extra: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="a team's model cannot use"):
        await signed(params(home, may_use_machine=False, **extra))
    with pytest.raises(UpstreamError, match="no credential"):
        await signed(params(home, may_use_machine=False))


# ---- the instance ---------------------------------------------------------------------------------------------------


def metadata(request: Request) -> Reply:
    """The instance's service, as Amazon documents it."""
    if request.target == "/latest/api/token":
        assert (request.method, request.headers["x-aws-ec2-metadata-token-ttl-seconds"]) == ("PUT", "21600")
        return Reply(200, b"session-token")
    assert request.headers["x-aws-ec2-metadata-token"] == "session-token"
    roles = "/latest/meta-data/iam/security-credentials/"
    return Reply(200, b"my-role\n" if request.target == roles else MACHINE_KEYS)


async def test_an_instance_signs_with_its_role() -> None:
    async with http_server(metadata) as server:
        environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{server.url}/"}
        assert (await signed(params(environ)))[0] == "ASIAMACHINE"
        assert [request.target for request in server.requests][-1].endswith("/my-role")
        with pytest.raises(UpstreamError, match="no credential"):
            await signed(params({**environ, "AWS_EC2_METADATA_DISABLED": "True"}))
        with pytest.raises(UpstreamError, match="no credential"):
            await signed(params(environ, may_use_machine=False))


async def test_an_instance_is_the_last_to_be_asked(home: dict[str, str]) -> None:
    environ = {**home, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}
    assert (await signed(params(environ)))[0] == "DEFAULT"


def test_a_machine_that_is_no_instance_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = tmp_path / "sys_vendor"
    monkeypatch.setattr(instance, "_VENDOR", vendor)
    assert instance.instance_role({}) is None
    vendor.write_text("Hetzner\n")
    assert instance.instance_role({}) is None
    assert instance.instance_role({}, is_asked_for=True) is not None
    vendor.write_text("Amazon EC2\n")
    found = instance.instance_role({})
    assert found is not None
    assert found.url == "http://169.254.169.254"
    with pytest.raises(Misconfigured, match="must be https"):
        instance.instance_role({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://evil.test"})


@pytest.mark.parametrize(
    ("at", "reply", "words", "status"),
    [
        ("token", Reply(403, b""), "HTTP 403", 401),
        ("security-credentials/", Reply(404, b""), "HTTP 404", 401),
        ("security-credentials/", Reply(200, b""), "no role", 401),
        ("security-credentials/", Reply(200, b"../x"), "no role", 401),
        ("my-role", Reply(200, b"<html>"), "no usable answer", 503),
        ("my-role", Reply(500, b""), "HTTP 500", 503),
    ],
)
async def test_an_instance_that_gives_no_keys_is_named(at: str, reply: Reply, words: str, status: int) -> None:
    def respond(request: Request) -> Reply:
        return reply if request.target.endswith(at) else metadata(request)

    async with http_server(respond) as server:
        environ: dict[str, Any] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}
        with pytest.raises(UpstreamError, match=words) as raised:
            await signed(params(environ))
    assert (raised.value.status, raised.value.is_retryable) == (status, status == 503)
