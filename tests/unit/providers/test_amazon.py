"""Where a bucket is, and who signs: botocore's signer for S3 as oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tollway.core.bucket import Bucket
from tollway.core.errors import Misconfigured
from tollway.core.snapshot import Origin
from tollway.providers.amazon import SignedBucket

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


def bucket(**fields: Any) -> Bucket:
    return Bucket(**{"name": "b", "access_key_id": "AKID", "secret_access_key": "secret", **fields})


@pytest.mark.parametrize(
    ("fields", "origin", "path"),
    [
        ({}, Origin("https", "b.s3.us-east-1.amazonaws.com", 443), ""),
        ({"region": "eu-west-3"}, Origin("https", "b.s3.eu-west-3.amazonaws.com", 443), ""),
        ({"region": "cn-north-1"}, Origin("https", "b.s3.cn-north-1.amazonaws.com.cn", 443), ""),
        ({"name": "a.b"}, Origin("https", "s3.us-east-1.amazonaws.com", 443), "/a.b"),
        ({"is_tls": False}, Origin("http", "b.s3.us-east-1.amazonaws.com", 80), ""),
        ({"endpoint_url": "http://minio:9000"}, Origin("http", "minio", 9000), "/b"),
        ({"endpoint_url": "minio:9000/", "is_tls": False}, Origin("http", "minio", 9000), "/b"),
        (
            {"endpoint_url": "https://x.r2.cloudflarestorage.com", "verify": "/ca.pem"},
            Origin("https", "x.r2.cloudflarestorage.com", 443, "/ca.pem"),
            "/b",
        ),
    ],
)
def test_where_a_bucket_is(fields: dict[str, Any], origin: Origin, path: str) -> None:
    found = SignedBucket(bucket(**fields), {})
    assert (found.endpoint.origin, found.path, found.transport) == (origin, path, "direct")


def test_it_may_lie_behind_a_proxy() -> None:
    assert SignedBucket(bucket(), {"HTTPS_PROXY": "http://proxy:1"}).transport == "proxied"


@pytest.mark.parametrize("url", ["ftp://h", "https://user:pass@h", "not a url"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"cache_params\.s3_endpoint_url"):
        SignedBucket(bucket(endpoint_url=url), {})


def test_somebody_has_to_sign() -> None:
    nobody = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere"}
    with pytest.raises(Misconfigured, match="s3_aws_access_key_id"):
        SignedBucket(Bucket(name="b"), nobody)


@pytest.mark.parametrize("token", [None, "a token"])
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/of%20us/a%3Ab/%C3%A4/key~1.x", b""),
        ("PUT", "/of%20us/key", b"\x00\xff"),
        ("GET", "/?list-type=2&max-keys=1000&prefix=a%2Fb%20c%C3%A4%2F", b""),
        ("POST", "/?delete=", b"<Delete/>"),
    ],
)
async def test_requests_are_signed_as_botocore_does(
    method: str, target: str, body: bytes, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = SignedBucket(bucket(region="eu-west-3", session_token=token), {}, clock=lambda: NOW)
    headers = dict(await signed(method, target, body))
    assert headers["X-Amz-Content-Sha256"] == sha256(body).hexdigest()
    request = AWSRequest(method, f"https://b.s3.eu-west-3.amazonaws.com{target}", data=body)
    request.context = {"payload_signing_enabled": True}
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    S3SigV4Auth(Credentials("AKID", "secret", token), "s3", "eu-west-3").add_auth(request)
    assert headers["Authorization"] == request.headers["Authorization"]


async def test_the_environment_says_who_signs_and_where() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "OTHER", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "ap-south-1"}
    signed = SignedBucket(Bucket(name="b"), environ)
    assert signed.endpoint.origin.host == "b.s3.ap-south-1.amazonaws.com"
    assert "Credential=OTHER/" in dict(await signed("GET", "/k", b""))["Authorization"]
    assert "secret" not in repr(bucket())
