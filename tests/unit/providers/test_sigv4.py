"""Signatures: Amazon's published vectors, and botocore's signer as oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.snapshot import Endpoint, Origin
from tollway.providers._sigv4 import Keys, Signer, sign

# https://docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html
KEYS = Keys(access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)


def signature(target: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> str:
    added = dict(
        sign(
            KEYS,
            host="example.amazonaws.com",
            target=target,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            body=body,
            region="us-east-1",
            service="service",
            now=NOW,
            method=method,
        )
    )
    assert added["X-Amz-Date"] == "20150830T123600Z"
    return added["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ({"method": "POST"}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            {"target": "/?Param2=value2&Param1=value1"},
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            {"method": "POST", "My_Header1": "value1"},
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            {
                "method": "POST",
                "body": b"Param1=value1",
                "Content_Type": "application/x-www-form-urlencoded",
            },
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_published_requests_have_their_published_signatures(given: dict[str, object], expected: str) -> None:
    assert signature(**given) == expected  # type: ignore[arg-type]


@given(
    st.text(
        st.characters(codec="ascii", categories=["L", "N", "P"], exclude_characters="/?#%\\"), min_size=1, max_size=20
    ).filter(lambda model: model not in (".", "..")),
    st.binary(max_size=50),
    st.one_of(st.none(), st.just("token/+=")),
)
@settings(max_examples=50, deadline=None)
def test_the_oracle_signs_the_same(model: str, body: bytes, token: str | None) -> None:
    keys = Keys(access_key_id="AKID", secret_access_key="secret", session_token=token)
    target = f"/model/{quote(model, safe='')}/converse"
    headers = {"Content-Type": "application/json"}
    now = datetime.now(UTC)
    ours = dict(
        sign(
            keys,
            host="h.test:8443",
            target=target,
            headers=headers,
            body=body,
            region="eu-west-1",
            service="bedrock",
            now=now,
        )
    )
    theirs = AWSRequest(method="POST", url=f"https://h.test:8443{target}", data=body, headers=dict(headers))
    theirs.context["timestamp"] = ours["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKID", "secret", token), "bedrock", "eu-west-1")
    theirs.headers["X-Amz-Date"] = ours["X-Amz-Date"]
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    request = signer.canonical_request(theirs)
    scope = signer.string_to_sign(theirs, request)
    assert ours["Authorization"].endswith(f"Signature={signer.signature(scope, theirs)}")
    assert ours.get("X-Amz-Security-Token") == token


async def test_a_call_is_signed_for_its_endpoint_and_body() -> None:
    async def keys() -> Keys:
        return KEYS

    signer = Signer(keys, region="us-east-1", service="bedrock", clock=lambda: NOW)
    endpoint = Endpoint(
        origin=Origin("http", "::1", 8080),
        target="/model/m/converse",
        headers=(("Content-Type", "application/json"), ("X-Amzn-Trace", "t"), ("X-Amz-Own", "o"), ("User-Agent", "u")),
    )
    first = dict(await signer(endpoint, b"a"))
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-own," in first["Authorization"]
    assert first["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request,"
    )
    assert dict(await signer(endpoint, b"b"))["Authorization"] != first["Authorization"]
    assert dict(await signer(endpoint, b"a")) == first


def test_a_secret_is_not_shown() -> None:
    assert "wJalr" not in repr(KEYS)
