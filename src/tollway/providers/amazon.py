"""Signed calls to a bucket: at Amazon, or at any storage that speaks S3.

Who signs is found as for models (`_aws`). How a request is addressed and signed:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html (2026-11-26).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

from tollway.core.bucket import Bucket
from tollway.core.errors import Misconfigured
from tollway.core.snapshot import Endpoint, TransportName
from tollway.providers._address import Location, authority, is_proxied, locate
from tollway.providers._aws import domain, key_source, option, region_of_profile
from tollway.providers._kit import ConnectionParams
from tollway.providers._sigv4 import sign

_DEFAULT_REGION = "us-east-1"


class SignedBucket:
    """Where a bucket is, and the headers of requests to it."""

    def __init__(
        self,
        bucket: Bucket,
        environ: Mapping[str, str],
        *,
        settings: str = "cache_params",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`settings`: which of them the bucket is given in, for messages.

        Raises `Misconfigured` for an address that is none, and where nobody says who signs.
        """
        named = {
            "aws_access_key_id": bucket.access_key_id,
            "aws_secret_access_key": bucket.secret_access_key,
            "aws_session_token": bucket.session_token,
        }
        params = ConnectionParams(model=bucket.name, extra=named, verify=bucket.verify, environ=environ)
        self._region = (
            bucket.region or option(params, "aws_region_name") or region_of_profile(params) or _DEFAULT_REGION
        )
        keys = key_source(params, self._region)
        if keys is None:
            raise Misconfigured(
                f"{settings}: nobody says who may use the bucket; set s3_aws_access_key_id and "
                "s3_aws_secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                param="s3_aws_access_key_id",
            )
        self._keys = keys
        self._clock = clock
        location = _location(bucket, self._region, f"{settings}.s3_endpoint_url")
        self.endpoint: Endpoint = location.endpoint(())
        self.path = location.target.rstrip("/")
        """What the paths of its objects begin with, without a slash at the end."""
        self.origin = f"{location.origin.scheme}://{authority(location.origin)}"
        """Scheme and host of its address."""
        self.transport: TransportName = "proxied" if is_proxied(location.origin, environ) else "direct"

    async def __call__(self, method: str, target: str, body: bytes) -> tuple[tuple[str, str], ...]:
        """The headers of a request. Raises `UpstreamError` where no keys can be had."""
        digest = {"X-Amz-Content-Sha256": sha256(body).hexdigest()}
        added = sign(
            await self._keys(),
            host=authority(self.endpoint.origin),
            target=target,
            headers=digest,
            body=body,
            region=self._region,
            service="s3",
            now=self._clock(),
            method=method,
        )
        return (*digest.items(), *added)


def _location(bucket: Bucket, region: str, field: str) -> Location:
    """A bucket is a host of its own at Amazon, unless its name has dots, which no certificate covers; elsewhere it is a
    folder, which every server understands."""
    scheme = "https" if bucket.is_tls else "http"
    folder = f"/{quote(bucket.name, safe='')}"
    if bucket.endpoint_url is not None:
        base = bucket.endpoint_url if "://" in bucket.endpoint_url else f"{scheme}://{bucket.endpoint_url}"
    elif "." in bucket.name:
        base = f"{scheme}://s3.{region}.{domain(region)}"
    else:
        base, folder = f"{scheme}://{bucket.name}.s3.{region}.{domain(region)}", "/"
    return locate(base, folder, field=field, verify=bucket.verify)
