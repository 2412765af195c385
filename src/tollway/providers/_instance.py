"""Keys of the EC2 instance that the gateway runs on, from its metadata service (version 2).

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from typing_extensions import override

from tollway.core.errors import UpstreamError
from tollway.providers._container import checked, read_keys
from tollway.providers._form import ask, secure_url
from tollway.providers._kit import text
from tollway.providers._sts import RoleKeys

_ADDRESS = "http://169.254.169.254"
_HOSTS = frozenset({"169.254.169.254", "fd00:ec2::254"})
_ROLES = "/latest/meta-data/iam/security-credentials/"
_LIFETIME_S = "21600"
_TIMEOUT_S = 2.0
_SERVICE = "The metadata service of the EC2 instance"
_VENDOR = Path("/sys/devices/virtual/dmi/id/sys_vendor")


class InstanceRole(msgspec.Struct, frozen=True, kw_only=True):
    """Who the machine is."""

    url: str = _ADDRESS

    @override
    def __repr__(self) -> str:
        """Names the address."""
        return f"InstanceRole({self.url!r})"

    async def fetch(self) -> RoleKeys:
        """A token, the role's name, its keys. Raises `UpstreamError`."""
        return await asyncio.to_thread(self._fetch)

    def _fetch(self) -> RoleKeys:
        token = self._ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": _LIFETIME_S})
        headers = {"X-aws-ec2-metadata-token": token.decode("latin-1").strip()}
        [role, *_] = self._ask("GET", _ROLES, headers).decode("latin-1").split() or [""]
        if not re.fullmatch(r"[\w+=,.@-]{1,128}", role):
            raise _failure("it has no role", 401)
        return read_keys(self._ask("GET", f"{_ROLES}{role}", headers), _failure)

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        status, body = ask(
            f"{self.url}{path}",
            None,
            service=_SERVICE,
            check="that the gateway may reach it (a container needs a hop limit of 2)",
            verify=True,
            headers=headers,
            is_local=True,
            method=method,
            timeout_s=_TIMEOUT_S,
        )
        return checked(status, body, _failure)


def instance_role(environ: Mapping[str, str], *, is_asked_for: bool = False) -> InstanceRole | None:
    """The instance's; None on a machine that is none, unless a profile or the environment says that it is one."""
    if (text(environ.get("AWS_EC2_METADATA_DISABLED")) or "").lower() == "true":
        return None
    given = text(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    if given is None and not is_asked_for and not _is_instance():
        return None
    url = secure_url(given or _ADDRESS, "", field="AWS_EC2_METADATA_SERVICE_ENDPOINT", local=_HOSTS)
    return InstanceRole(url=url.rstrip("/"))


def _is_instance() -> bool:
    try:
        return _VENDOR.read_text("latin-1").strip() == "Amazon EC2"
    except OSError:
        return False


def _failure(why: str, status: int) -> UpstreamError:
    is_ours = status == 401
    return UpstreamError(
        f"{_SERVICE} gave no keys ({why}); check the instance's profile",
        status=status,
        error_class="AuthenticationError" if is_ours else "ServiceUnavailableError",
        is_retryable=not is_ours,
    )
