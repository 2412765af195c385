"""Keys that a container gets from the machine it runs on: ECS tasks, and pods of EKS.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html (2026-11-26).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from typing_extensions import override

from tollway.core.errors import UpstreamError
from tollway.providers._form import ask, secure_url
from tollway.providers._kit import text
from tollway.providers._sigv4 import Keys
from tollway.providers._sts import RoleKeys, lifetime

_OF_ECS = "http://169.254.170.2"
_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""The machine itself, as ECS and EKS call it."""


class _Answer(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str | None = None


class ContainerRole(msgspec.Struct, frozen=True, kw_only=True):
    """Who the container is."""

    url: str
    token: str | None = None
    token_file: str | None = None
    """It is read each time, for it is replaced."""

    @override
    def __repr__(self) -> str:
        """Names the address, not the token."""
        return f"ContainerRole({self.url!r})"

    async def fetch(self) -> RoleKeys:
        """One GET. Raises `UpstreamError`."""
        return await asyncio.to_thread(self._fetch)

    def _fetch(self) -> RoleKeys:
        token = self.token
        try:
            if self.token_file is not None:
                token = Path(self.token_file).read_text().strip()
        except OSError:
            raise _failure(f"{self.token_file} cannot be read", 401) from None
        status, body = ask(
            self.url,
            None,
            service="The container's credential endpoint",
            check="AWS_CONTAINER_CREDENTIALS_FULL_URI",
            verify=True,
            headers={"Authorization": token} if token else None,
            is_local=True,
        )
        return read_keys(checked(status, body, _failure), _failure)


Failure = Callable[[str, int], UpstreamError]
"""The error for a reason and a status: 401 where somebody has to mend something, 503 where it may pass."""


def checked(status: int, body: bytes, failure: Failure) -> bytes:
    """The body of a good answer of a machine's endpoint. Raises what `failure` makes of any other."""
    if status != 200:
        raise failure(f"HTTP {status}", 401 if 400 <= status < 500 else 503)
    return body


def read_keys(answer: bytes, failure: Failure) -> RoleKeys:
    """The keys in an answer of a machine's credential endpoint. Raises what `failure` makes of anything else."""
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise failure("no usable answer", 503) from None
    keys = Keys(access_key_id=found.access_key_id, secret_access_key=found.secret_access_key, session_token=found.token)
    return RoleKeys(keys, lifetime(found.expiration))


def container_role(environ: Mapping[str, str]) -> ContainerRole | None:
    """What the environment of a container says of it; None outside of one."""
    relative = text(environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))
    full = f"{_OF_ECS}{relative}" if relative else text(environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    if full is None:
        return None
    return ContainerRole(
        url=secure_url(full, "", field="AWS_CONTAINER_CREDENTIALS_FULL_URI", local=_HOSTS),
        token=text(environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")),
        token_file=text(environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")),
    )


def _failure(why: str, status: int) -> UpstreamError:
    is_ours = status == 401
    return UpstreamError(
        f"The container's credential endpoint gave no keys ({why}); check the role of the task or the pod",
        status=status,
        error_class="AuthenticationError" if is_ours else "ServiceUnavailableError",
        is_retryable=not is_ours,
    )
