"""Profiles of the AWS command line: what `~/.aws/config` and `~/.aws/credentials` say of one name.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html and …/feature-assume-role-credentials.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from configparser import ConfigParser, Error
from pathlib import Path

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.providers._kit import text
from tollway.providers._sigv4 import Keys

_FIELD = "aws_profile_name"
_NOT_YET = ("credential_process", "sso_session", "sso_start_url", "mfa_serial")
_LONGEST_CHAIN = 5


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One profile, the steps to its keys included."""

    name: str
    keys: Keys | None = None
    role_arn: str | None = None
    session_name: str | None = None
    external_id: str | None = None
    web_identity_token_file: str | None = None
    source: Profile | None = None
    """Whose keys may take the role."""
    machine: str | None = None
    """`Environment`, `EcsContainer` or `Ec2InstanceMetadata`: who may take the role, where no profile does."""
    region: str | None = None

    @override
    def __repr__(self) -> str:
        """Names the profile, not its keys."""
        return f"Profile({self.name!r})"


def read_profile(name: str, environ: Mapping[str, str]) -> Profile:
    """The profile of that name. Raises `Misconfigured` for one that is not there, or whose keys cannot be had."""
    return _Files(environ).profile(name, ())


class _Files:
    """Both files. What is in the credentials goes before what is in the configuration."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = text(environ.get("HOME")) or text(environ.get("USERPROFILE"))
        usual = Path(home) / ".aws" if home is not None else None
        self._config = _read(text(environ.get("AWS_CONFIG_FILE")), usual and usual / "config")
        self._credentials = _read(text(environ.get("AWS_SHARED_CREDENTIALS_FILE")), usual and usual / "credentials")

    def profile(self, name: str, chain: tuple[str, ...]) -> Profile:
        fields = {
            **_section(self._config, name if name == "default" else f"profile {name}"),
            **_section(self._credentials, name),
        }
        if not fields:
            raise _wrong(f"there is no profile {name!r} in the AWS configuration files")
        role = fields.get("role_arn")
        keys = _keys(fields)
        token_file = fields.get("web_identity_token_file")
        source, machine = fields.get("source_profile"), fields.get("credential_source")
        if role is None and keys is None:
            raise _wrong(_why_no_keys(name, fields))
        is_step = role is not None and not token_file
        if is_step and source is None and machine is None and keys is None:
            raise _wrong(f"the profile {name!r} has a role_arn, and neither source_profile nor credential_source")
        if "mfa_serial" in fields and is_step:
            raise _wrong(f"the profile {name!r} wants a code of a device (mfa_serial), which nobody is there to give")
        return Profile(
            name=name,
            keys=keys,
            role_arn=role,
            session_name=fields.get("role_session_name"),
            external_id=fields.get("external_id"),
            web_identity_token_file=token_file,
            source=self._source(name, source, chain, keys) if is_step and source is not None else None,
            machine=machine,
            region=fields.get("region"),
        )

    def _source(self, name: str, source: str, chain: tuple[str, ...], keys: Keys | None) -> Profile:
        if source == name and keys is not None:  # takes its own role with its own keys
            return Profile(name=name, keys=keys)
        if source in (*chain, name) or len(chain) >= _LONGEST_CHAIN:
            raise _wrong(f"the profile {name!r} leads back to itself through source_profile")
        return self.profile(source, (*chain, name))


def _read(given: str | None, usual: Path | None) -> ConfigParser:
    """A file; an empty one where there is none in the usual place."""
    path = Path(given).expanduser() if given else usual
    parser = ConfigParser(interpolation=None, default_section="tollway: no section is the default of others")
    if path is None:
        return parser
    try:
        parser.read_string(path.read_text("utf-8"))
    except FileNotFoundError:
        if given:
            raise _wrong(f"{path} cannot be read") from None
    except (OSError, UnicodeDecodeError, Error):
        raise _wrong(f"{path} cannot be read") from None
    return parser


def _section(parser: ConfigParser, name: str) -> dict[str, str]:
    if not parser.has_section(name):
        return {}
    return {key: value.strip() for key, value in parser.items(name) if value.strip()}


def _keys(fields: Mapping[str, str]) -> Keys | None:
    key, secret = fields.get("aws_access_key_id"), fields.get("aws_secret_access_key")
    if not (key and secret):
        return None
    return Keys(access_key_id=key, secret_access_key=secret, session_token=fields.get("aws_session_token"))


def _why_no_keys(name: str, fields: Mapping[str, str]) -> str:
    other = next((each for each in _NOT_YET if each in fields), None)
    if other is not None:
        return f"the profile {name!r} gets its keys by {other}, which is not supported yet"
    return f"the profile {name!r} has neither keys nor a role_arn"


def _wrong(why: str) -> Misconfigured:
    return Misconfigured(f"bedrock: {why}; write keys or a role into it, or set other credentials", param=_FIELD)
