"""Answers that are given again, in a bucket."""

from __future__ import annotations

import logging
import socket

import msgspec
import pytest
from tests.support import moto
from tests.support.clock import FakeClock
from tests.support.response_stores import answer, in_bucket, new_bucket, written

from tollway.core.errors import StoreUnavailable


async def test_an_answer_in_a_bucket_is_found_by_others_until_its_time_is_over() -> None:
    bucket, clock = new_bucket(), FakeClock()
    async with in_bucket(bucket, clock=clock) as store:
        store.put("k", answer(), 60)
        store.put("k\0\N{SNOWMAN}/../k", answer("Odd"), 600)
    async with in_bucket(bucket, clock=clock) as other:
        assert [await other.get(key) for key in ["k", "x", "k\0\N{SNOWMAN}/../k"]] == [answer(), None, answer("Odd")]
        clock.advance(61)
        assert await other.get("k") is None
        other.put("k", answer("New"), 60)
        assert await written(other, "k") == answer("New")


async def test_clearing_leaves_everything_else_that_a_bucket_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.stores.s3.responses._LISTED_AT_ONCE", 3)
    bucket = new_bucket()
    beside = f"/{bucket.name}/of%20the%20tests/%C3%A4/mine"
    moto.ask("PUT", beside, b"mine")
    async with in_bucket(bucket) as store:
        for number in range(8):
            store.put(str(number), answer(), 60)
        await store.clear()
        for number in range(8):
            store.put(str(number), answer(), 60)
        await written(store, "7")
        await store.clear()
        assert [await store.get(str(number)) for number in range(8)] == [None] * 8
    assert moto.ask("GET", beside) == b"mine"
    assert moto.ask("GET", f"/{bucket.name}?list-type=2").count(b"<Key>") == 1


async def test_a_bucket_that_is_not_there_fails_no_call_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with in_bucket(msgspec.structs.replace(new_bucket(), name="nowhere")) as store:
        store.put("k", answer(), 60)
        assert await store.get("k") is None
        for call in (store.ping(), store.clear(), store.delete(["k"])):
            with pytest.raises(StoreUnavailable, match="HTTP 404: NoSuchBucket"):
                await call
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_storage_that_hangs_is_waited_for_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        bucket = msgspec.structs.replace(new_bucket(), endpoint_url=f"http://127.0.0.1:{hangs.getsockname()[1]}")
        async with in_bucket(bucket, timeout_s=0.05) as store:
            with caplog.at_level(logging.WARNING):
                assert [await store.get("k") for _ in range(200)] == [None] * 200
            assert store.patience.waited == 1
            assert len(caplog.records) == 1, "one line, however many calls"


async def test_a_storage_that_is_away_fails_no_call() -> None:
    async with in_bucket(msgspec.structs.replace(new_bucket(), endpoint_url="http://127.0.0.1:1")) as store:
        store.put("k", answer(), 60)
        assert await store.get("k") is None
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
            await store.ping()
