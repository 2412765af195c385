"""Who signs calls to Amazon: the credential chain of its SDKs, as far as a server needs it.

Keys of the deployment or the environment, profiles of the AWS configuration files, a token of another identity
provider, the container or the instance that the gateway runs on; and a role that any of them may take.
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html (2026-11-26).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from tollway.core.errors import Misconfigured
from tollway.providers._container import container_role
from tollway.providers._form import secure_url
from tollway.providers._instance import instance_role
from tollway.providers._kit import ConnectionParams, text
from tollway.providers._profile import Profile, read_profile
from tollway.providers._sigv4 import Keys
from tollway.providers._sts import KeySource, Role, RoleKeys
from tollway.providers._token import Renewed

_NOT_IN_SESSION_NAMES = re.compile(r"[^\w+=,.@-]")

ENVIRONMENT = {
    "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
    "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "aws_session_token": ("AWS_SESSION_TOKEN",),
    "aws_region_name": ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "aws_role_name": ("AWS_ROLE_ARN",),
    "aws_session_name": ("AWS_ROLE_SESSION_NAME",),
    "aws_web_identity_token": ("AWS_WEB_IDENTITY_TOKEN_FILE",),
    "aws_sts_endpoint": ("AWS_STS_ENDPOINT",),
}
"""Variables that stand in for a parameter of the deployment."""


def domain(name: str) -> str:
    """Where Amazon's services of a region are."""
    return "amazonaws.com.cn" if name.startswith("cn-") else "amazonaws.com"


def option(params: ConnectionParams, name: str) -> str | None:
    """A parameter of the deployment, or else of the environment."""
    given = text(params.extra.get(name))
    if given:
        return given
    return next((value for each in ENVIRONMENT.get(name, ()) if (value := text(params.environ.get(each)))), None)


def names_identity(params: ConnectionParams) -> bool:
    """True if the deployment itself, not the environment, says who signs."""
    names = ("aws_access_key_id", "aws_role_name", "aws_web_identity_token", "aws_profile_name")
    return any(text(params.extra.get(name)) for name in names)


def _static_keys(params: ConnectionParams) -> Keys | None:
    """The pair of the deployment, or else of the environment; never half of one and half of the other."""
    if text(params.extra.get("aws_access_key_id")):
        key, secret, token = (
            text(params.extra.get(name)) for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        )
    else:
        key, secret, token = (
            text(params.environ.get(name))
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        )
    if not (key and secret):
        return None
    return Keys(access_key_id=key, secret_access_key=secret, session_token=token)


def key_source(params: ConnectionParams, region: str) -> KeySource | None:
    """Where the keys come from; None if there are none."""
    profile = _profile(params)
    static = _static_keys(params) if profile is None else None
    if static is not None and not text(params.extra.get("aws_role_name")):
        return _always(static)
    base: KeySource | None
    if profile is not None:
        base = _of_profile(profile, params, region)
    else:
        base = _always(static) if static is not None else _of_machine(params)
    role = _role(params, base, region)
    if role is not None:
        return _renewed(role.fetch)
    return base if profile is not None or not option(params, "aws_role_name") else None


def region_of_profile(params: ConnectionParams) -> str | None:
    """The region that the profile in use is in."""
    profile = _profile(params)
    return profile.region if profile is not None else None


def _profile(params: ConnectionParams) -> Profile | None:
    """The profile that the deployment names; the environment's, or `default`, where nothing else says who signs."""
    named = text(params.extra.get("aws_profile_name"))
    if named is not None:
        if not params.may_use_machine:
            raise _not_for_teams("aws_profile_name")
        return read_profile(named, params.environ)
    if not params.may_use_machine or _static_keys(params) is not None or option(params, "aws_web_identity_token"):
        return None
    try:
        return read_profile(text(params.environ.get("AWS_PROFILE")) or "default", params.environ)
    except Misconfigured:
        return None  # nobody asked for it here


def _of_profile(profile: Profile, params: ConnectionParams, region: str) -> KeySource:
    """Keys of a profile: its own, or of the role that it takes."""
    if profile.role_arn is None:
        assert profile.keys is not None
        return _always(profile.keys)
    token_file = profile.web_identity_token_file
    base = None if token_file else _taker(profile, params, region)
    role = _sts_role(
        params,
        region,
        arn=profile.role_arn,
        session_name=profile.session_name,
        external_id=profile.external_id,
        base=base,
        web_identity=str(Path(token_file).expanduser().absolute()) if token_file else None,
    )
    return _renewed(role.fetch)


def _taker(profile: Profile, params: ConnectionParams, region: str) -> KeySource:
    """Whose keys may take the role of a profile."""
    if profile.source is not None:
        return _of_profile(profile.source, params, region)
    found: KeySource | None = None
    match profile.machine:
        case None if profile.keys is not None:
            found = _always(profile.keys)
        case "Environment":
            static = _static_keys(msgspec.structs.replace(params, extra={}))
            found = _always(static) if static is not None else None
        case "EcsContainer":
            container = container_role(params.environ)
            found = _renewed(container.fetch) if container is not None else None
        case "Ec2InstanceMetadata":
            instance = instance_role(params.environ, is_asked_for=True)
            found = _renewed(instance.fetch) if instance is not None else None
    if found is None:
        raise Misconfigured(
            f"bedrock: the credential_source {profile.machine!r} of the profile {profile.name!r} gives no keys here",
            param="aws_profile_name",
        )
    return found


def _of_machine(params: ConnectionParams) -> KeySource | None:
    """Keys of the container, or else of the instance, that the gateway runs on."""
    if not params.may_use_machine:
        return None
    if (container := container_role(params.environ)) is not None:
        return _renewed(container.fetch)
    if option(params, "aws_web_identity_token") is not None:
        return None  # that is how the machine says who it is
    instance = instance_role(params.environ)
    return _renewed(instance.fetch) if instance is not None else None


def _role(params: ConnectionParams, base: KeySource | None, region: str) -> Role | None:
    """The role that the deployment or the environment names, where something may take it."""
    arn = option(params, "aws_role_name")
    token = text(params.extra.get("aws_web_identity_token")) or (
        None if base is not None else option(params, "aws_web_identity_token")
    )
    if arn is None or (token is None and base is None):
        return None
    if token is not None and token.startswith("oidc/"):
        raise Misconfigured(
            "bedrock: aws_web_identity_token from an OIDC provider is not supported yet; give the token, or the path "
            "of a file that holds it",
            param="aws_web_identity_token",
        )
    if token is not None and token.startswith("/") and not params.may_use_machine:
        raise _not_for_teams("aws_web_identity_token")
    return _sts_role(
        params,
        region,
        arn=arn,
        session_name=option(params, "aws_session_name"),
        external_id=text(params.extra.get("aws_external_id")),
        base=None if token is not None else base,
        web_identity=token,
    )


def _sts_role(
    params: ConnectionParams,
    region: str,
    *,
    arn: str,
    session_name: str | None,
    external_id: str | None,
    base: KeySource | None,
    web_identity: str | None,
) -> Role:
    url = option(params, "aws_sts_endpoint") or f"https://sts.{region}.{domain(region)}"
    return Role(
        arn=arn,
        session_name=_NOT_IN_SESSION_NAMES.sub("-", session_name or "tollway")[:64],
        external_id=external_id,
        url=secure_url(url, "/", field="aws_sts_endpoint"),
        region=region,
        verify=params.verify,
        base=base,
        web_identity=web_identity,
    )


def _not_for_teams(field: str) -> Misconfigured:
    return Misconfigured(
        f"bedrock: {field} names a file of the machine, which a team's model cannot use; give the keys themselves",
        param=field,
    )


def _always(keys: Keys) -> KeySource:
    async def get() -> Keys:
        return keys

    return get


def _renewed(fetch: Callable[[], Awaitable[RoleKeys]]) -> KeySource:
    leases: Renewed[RoleKeys] = Renewed(fetch)

    async def get() -> Keys:
        return (await leases.get()).keys

    return get
