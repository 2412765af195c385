"""Objects in a real storage: moto."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from tests.support.moto import ask, new_bucket, shared_url
from tests.support.told_calls import good_call

from tollway.callbacks.s3 import S3
from tollway.callbacks.table import open_destination
from tollway.core.errors import Misconfigured

KEYS = {"s3_aws_access_key_id": "AKIA", "s3_aws_secret_access_key": "secret"}


def opened(bucket: str, **more: str) -> S3:
    return S3.open({"s3_bucket_name": bucket, "s3_endpoint_url": shared_url(), **KEYS, **more})


@pytest.fixture
async def storage() -> AsyncIterator[tuple[str, S3]]:
    bucket = new_bucket()
    destination = opened(bucket, s3_path="/calls/")
    yield bucket, destination
    await destination.close()


async def test_a_call_is_an_object(storage: tuple[str, S3]) -> None:
    bucket, destination = storage
    event = good_call()
    await destination.deliver([event, good_call(response_id="../a b")])
    await destination.deliver([event])
    stored = ask("GET", f"/{bucket}/calls/2026-01-01/time-12-00-00-000000_chatcmpl-1.json")
    assert json.loads(stored) == event.payload
    listing = ask("GET", f"/{bucket}?list-type=2").decode()
    assert listing.count("<Key>") == 2
    assert "<Key>calls/2026-01-01/time-12-00-00-000000_..-a-b.json</Key>" in listing


async def test_a_bucket_that_is_not_there() -> None:
    destination = opened("nowhere-at-all")
    with pytest.raises(Misconfigured, match="HTTP 404; check s3_callback_params"):
        await destination.deliver([good_call()])
    await destination.close()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Misconfigured, match="set s3_bucket_name"):
        S3.open(KEYS)


def test_the_machine_signs_for_no_bucket_of_a_user() -> None:
    with pytest.raises(Misconfigured, match="keys and teams that name it give s3_aws_access_key_id"):
        open_destination("s3", {"s3_bucket_name": "b"}, {}, is_of_user=True, may_be_private=False)


def test_an_address_that_is_none() -> None:
    with pytest.raises(Misconfigured, match=r"s3_callback_params\.s3_endpoint_url"):
        S3.open({"s3_bucket_name": "b", "s3_endpoint_url": "ftp://x", **KEYS})
