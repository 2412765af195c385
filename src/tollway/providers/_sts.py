"""Amazon's Security Token Service: keys that last for an hour, for whoever may take a role.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html and …/API_AssumeRoleWithWebIdentity.html.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec
from typing_extensions import override

from tollway.core.errors import UpstreamError
from tollway.providers._form import ask
from tollway.providers._sigv4 import Keys, sign

DURATION_S = 3600
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_ELEMENT = "<{0}>([^<]+)</{0}>"


KeySource = Callable[[], Awaitable[Keys]]
"""Where keys come from."""


class RoleKeys(msgspec.Struct, frozen=True):
    """Keys of a role and how long they live from now, in seconds."""

    keys: Keys
    expires_in_s: float


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role to take: by keys that may do so, or by a token of another identity provider."""

    arn: str
    session_name: str
    external_id: str | None = None
    url: str
    """Of the token service, checked."""
    region: str
    verify: bool | str
    base: KeySource | None = None
    web_identity: str | None = None
    """The token, or the path of a file that holds it: it is read each time, for it is replaced."""

    @override
    def __repr__(self) -> str:
        """Names the role, not who takes it."""
        return f"Role({self.arn!r})"

    async def fetch(self) -> RoleKeys:
        """One POST to the token service. Raises `UpstreamError`."""
        form = {
            "Version": "2011-06-15",
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": str(DURATION_S),
        }
        if self.base is not None:
            form["Action"] = "AssumeRole"
            if self.external_id:
                form["ExternalId"] = self.external_id
        else:
            form["Action"] = "AssumeRoleWithWebIdentity"
            form["WebIdentityToken"] = await asyncio.to_thread(_read_token, self.web_identity or "")
        base = await self.base() if self.base is not None else None
        status, body = await asyncio.to_thread(self._post, urlencode(form).encode(), base)
        return _read_keys(status, body.decode("utf-8", "replace"), self.arn)

    def _post(self, form: bytes, base: Keys | None) -> tuple[int, bytes]:
        headers: dict[str, str] = {"Content-Type": _FORM}
        if base is not None:
            parts = urlsplit(self.url)
            headers |= sign(
                base,
                host=parts.netloc,
                target=parts.path or "/",
                headers=headers,
                body=form,
                region=self.region,
                service="sts",
                now=datetime.now(UTC),
            )
        return ask(
            self.url,
            form,
            service="Amazon's token service (STS)",
            check="aws_sts_endpoint",
            verify=self.verify,
            headers=headers,
        )


def _read_token(token: str) -> str:
    if not token.startswith("/"):
        return token
    try:
        return Path(token).read_text().strip()
    except OSError:
        raise UpstreamError(
            f"The web identity token {token} cannot be read; check aws_web_identity_token or "
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            status=401,
            error_class="AuthenticationError",
        ) from None


def _read_keys(status: int, answer: str, arn: str) -> RoleKeys:
    found = {name: _find(name, answer) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")}
    key, secret, token = found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
    if status == 200 and key and secret and token:
        return RoleKeys(
            Keys(access_key_id=key, secret_access_key=secret, session_token=token), lifetime(found["Expiration"])
        )
    code = re.fullmatch(r"[A-Za-z.]{1,60}", _find("Code", answer) or "")
    is_ours = 400 <= status < 500
    raise UpstreamError(
        f"Amazon's token service gave no keys for {arn} (HTTP {status}: {code[0] if code else 'no usable answer'}); "
        "check aws_role_name, and that the keys or the token given may take it",
        status=401 if is_ours else 503,
        error_class="AuthenticationError" if is_ours else "ServiceUnavailableError",
        is_retryable=not is_ours,
        upstream_status=status,
    )


def _find(name: str, answer: str) -> str | None:
    match = re.search(_ELEMENT.format(name), answer)
    return match[1].strip() if match else None


def lifetime(expiration: str | None) -> float:
    """Seconds from now to a moment in ISO 8601; the usual hour where none is said."""
    try:
        ends = datetime.fromisoformat(expiration or "")
    except ValueError:
        return DURATION_S
    if ends.tzinfo is None:
        ends = ends.replace(tzinfo=UTC)
    return max(0.0, (ends - datetime.now(UTC)).total_seconds())
