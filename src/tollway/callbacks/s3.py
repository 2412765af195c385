"""One object for each call in a bucket, at Amazon or at any storage that speaks S3.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (2026-11-26). Names of objects are the contract's.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote

import msgspec

from tollway.callbacks._kit import Client, needed
from tollway.core.bucket import Bucket
from tollway.core.record import Record
from tollway.ports.callbacks import Event
from tollway.providers.amazon import SignedBucket

NAMES = ("s3", "s3_v2")
VARIABLES: Mapping[str, str | None] = {
    "s3_bucket_name": None,
    "s3_region_name": None,
    "s3_endpoint_url": None,
    "s3_aws_access_key_id": None,
    "s3_aws_secret_access_key": None,
    "s3_aws_session_token": None,
    "s3_path": None,
}
"""Who signs is found as for models where no keys are given: variables, profiles and roles of the environment."""

NEEDED_OF_USERS = ("s3_aws_access_key_id", "s3_aws_secret_access_key")
"""What keys and teams must bring: the machine does not sign for buckets that they name."""

_TITLE = "The bucket for reports"
_CHECK = "s3_callback_params, and that the keys may call s3:PutObject"
_AT_ONCE = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

_encode = msgspec.json.Encoder(enc_hook=str).encode


class S3:
    """A call has one name, so that telling of it twice writes one object."""

    def __init__(self, bucket: SignedBucket, folder: str) -> None:
        self._bucket = bucket
        self._folder = folder
        self._client = Client(title=_TITLE, check=_CHECK)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Self:
        """Raises `Misconfigured` naming what is missing."""
        bucket = Bucket(
            name=needed(variables, "s3_bucket_name", title=_TITLE),
            region=variables.get("s3_region_name") or None,
            endpoint_url=variables.get("s3_endpoint_url") or None,
            access_key_id=variables.get("s3_aws_access_key_id") or None,
            secret_access_key=variables.get("s3_aws_secret_access_key") or None,
            session_token=variables.get("s3_aws_session_token") or None,
        )
        signed = SignedBucket(bucket, os.environ, settings="s3_callback_params")
        return cls(signed, (variables.get("s3_path") or "").strip("/"))

    async def deliver(self, events: Sequence[Event]) -> None:
        """Writes them all, some at a time. Raises `UpstreamError` and `Misconfigured`, after the last one."""
        results = await asyncio.gather(*(self._put(event) for event in events), return_exceptions=True)
        for failed in results:
            if failed is not None:
                raise failed

    async def close(self) -> None:
        """See `Destination`."""
        await self._client.close()

    async def _put(self, event: Event) -> None:
        body = _encode(event.payload)
        target = f"{self._bucket.path}/{quote(self._name(event.record), safe='/-_.~')}"
        async with self._turns:
            signed = await self._bucket("PUT", target, body)
            headers = {**dict(signed), "Content-Type": "application/json"}
            await self._client.send(self._bucket.origin + target, body, headers, method="PUT")

    def _name(self, record: Record) -> str:
        """`<path>/<date>/<time>_<id>.json`, in UTC."""
        began = datetime.fromtimestamp(record.started_at / 1e6, UTC)
        named = _UNSAFE.sub("-", record.response_id or record.call_id or record.record_id)
        return f"{self._folder}/{began:%Y-%m-%d}/time-{began:%H-%M-%S-%f}_{named}.json".lstrip("/")
