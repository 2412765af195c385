from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from tollway.core.errors import LimitExceeded, Unauthenticated
from tollway.policy.strangers import MOST_WAITING, PATIENCE, WINDOW_S, Strangers, network_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def bad_key(reason: str = "unknown") -> Unauthenticated:
    error = Unauthenticated("no such key")
    error.reason = reason
    return error


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


def strangers(counts: Counter[str], clock: Clock, delay_s: float = 0.0) -> Strangers:
    return Strangers(lambda reason: counts.update([reason]), clock, delay_s=delay_s)


async def test_the_first_are_logged_one_by_one_and_then_once(
    counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    met = strangers(counts, Clock())
    with caplog.at_level(logging.WARNING):
        for _ in range(PATIENCE + 20):
            await met.meet("192.0.2.1", bad_key())
    assert len(caplog.records) == PATIENCE + 1
    assert "192.0.2.1" in caplog.records[0].getMessage()
    assert "answered slowly" in caplog.records[-1].getMessage()
    assert counts == {"unknown": PATIENCE + 20}


async def test_beyond_that_they_wait_and_too_many_at_once_are_turned_away(counts: Counter[str]) -> None:
    met = strangers(counts, Clock(), delay_s=3600)
    for _ in range(PATIENCE):
        await met.meet("192.0.2.1", bad_key())
    waiting = [asyncio.create_task(met.meet("192.0.2.1", bad_key())) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    answer = await met.meet("192.0.2.1", bad_key())
    assert isinstance(answer, LimitExceeded)
    assert dict(answer.headers)[b"retry-after"] == b"60"
    error = bad_key()
    assert await met.meet("192.0.2.2", error) is error, "others are not kept waiting"
    for task in waiting:
        task.cancel()


async def test_a_window_ends(counts: Counter[str]) -> None:
    clock = Clock()
    met = strangers(counts, clock, delay_s=3600)
    for _ in range(PATIENCE):
        await met.meet("192.0.2.1", bad_key())
    clock.now = WINDOW_S + 1
    async with asyncio.timeout(5):
        await met.meet("192.0.2.1", bad_key())


async def test_no_key_and_expired_ones_are_counted_and_no_guesses(counts: Counter[str]) -> None:
    met = strangers(counts, Clock(), delay_s=3600)
    async with asyncio.timeout(5):
        for _ in range(PATIENCE + 5):
            await met.meet("192.0.2.1", bad_key("missing"))
            await met.meet("192.0.2.1", bad_key("expired"))
    assert counts == {"missing": PATIENCE + 5, "expired": PATIENCE + 5}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::2%eth0", "2001:db8::/64"),
        ("", ""),
    ],
)
def test_whole_sites_count_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
