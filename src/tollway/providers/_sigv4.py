"""Amazon's Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.

The signature covers method, path, query, some headers and the body, so that each request has its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import msgspec
from typing_extensions import override

from tollway.core.snapshot import Endpoint
from tollway.providers._address import authority

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a pair of keys, and a token if they last for a while only."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @override
    def __repr__(self) -> str:
        """Names the key, not the secret."""
        return f"Keys({self.access_key_id!r})"


def sign(
    keys: Keys,
    *,
    host: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    service: str,
    now: datetime,
    method: str = "POST",
) -> tuple[tuple[str, str], ...]:
    """The headers to add to a request. `target` is path and query as they go on the wire; `headers` are signed too."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": stamp}
    if keys.session_token:
        added["X-Amz-Security-Token"] = keys.session_token
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **added, "host": host}.items()}
    names = sorted(signed)
    path, _, query = target.partition("?")
    request = "\n".join(
        (
            method,
            # Escaped once more than on the wire, with every service but this one.
            path if service == "s3" else quote(path, safe=f"/{_UNRESERVED}"),
            _canonical_query(query),
            *(f"{name}:{signed[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = _hmac(_signing_key(keys.secret_access_key, scope), text).hex()
    credential = f"Credential={keys.access_key_id}/{scope}"
    added["Authorization"] = f"{_ALGORITHM} {credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return tuple(added.items())


class Signer:
    """Signs each call to an endpoint."""

    def __init__(
        self,
        keys: Callable[[], Awaitable[Keys]],
        *,
        region: str,
        service: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._region = region
        self._service = service
        self._clock = clock

    async def __call__(self, endpoint: Endpoint, body: bytes) -> tuple[tuple[str, str], ...]:
        """The headers to add. Raises `UpstreamError` where no keys can be had."""
        keys = await self._keys()
        return sign(
            keys,
            host=authority(endpoint.origin),
            target=endpoint.target,
            headers={name: value for name, value in endpoint.headers if _is_signed(name.lower())},
            body=body,
            region=self._region,
            service=self._service,
            now=self._clock(),
        )


def _is_signed(name: str) -> bool:
    """Headers on the way may be changed by proxies; these may not."""
    return name == "content-type" or name.startswith("x-amz-")


def _canonical_query(query: str) -> str:
    pairs = (piece.partition("=") for piece in query.split("&") if piece)
    escaped = (
        (quote(unquote(name), safe=_UNRESERVED), quote(unquote(value), safe=_UNRESERVED)) for name, _, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in sorted(escaped))


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
