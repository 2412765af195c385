"""What the authenticator does while the store is away, and with what other processes have loaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from tests.support.clock import FakeClock
from tests.unit.policy.test_auth import KEY, OTHER, Keys

from tollway.core.changes import Change, NumberedChange
from tollway.core.errors import StoreUnavailable, Unauthenticated
from tollway.core.ids import hash_key
from tollway.policy.auth import Authenticator
from tollway.ports.copies import PrincipalCopies, PrincipalCopy

OTHERS = [f"sk-not-used-before-{number:04d}" for number in range(20)]


class Copies(PrincipalCopies):
    """Copies in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, PrincipalCopy] = {}
        self.asked: list[str] = []
        self.newest = 7
        self.gate: asyncio.Event | None = None

    def as_of(self) -> int:
        return self.newest

    def keep(self, key_hash: str, copy: PrincipalCopy) -> None:
        self.kept[key_hash] = copy

    def forget(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        raise NotImplementedError

    async def find(self, key_hash: str) -> PrincipalCopy | None:
        self.asked.append(key_hash)
        if self.gate is not None:
            await self.gate.wait()
        return self.kept.get(key_hash)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def copies() -> Copies:
    return Copies()


@pytest.fixture
def authenticator(keys: Keys, copies: Copies, clock: FakeClock) -> Authenticator:
    return Authenticator(None, keys, clock, ttl_s=60.0, grace_s=600.0, copies=copies)


async def refused(authenticator: Authenticator, key: str) -> bool:
    try:
        await authenticator.authenticate(key)
    except StoreUnavailable:
        return True
    return False


async def test_what_is_loaded_is_copied_once_with_what_was_known_before(
    authenticator: Authenticator, keys: Keys, copies: Copies, clock: FakeClock
) -> None:
    principal = keys.add(KEY)
    keys.gate = asyncio.Event()
    loading = asyncio.create_task(authenticator.authenticate(KEY))
    await asyncio.sleep(0.01)
    copies.newest = 8  # somebody else's change, made while this one was being loaded
    keys.gate.set()
    await loading
    assert copies.kept == {hash_key(KEY): PrincipalCopy(principal, clock(), 7)}
    copies.kept.clear()
    await authenticator.authenticate(KEY)
    assert copies.kept == {}
    assert copies.asked == []


async def test_a_copy_serves_a_key_that_is_new_here_while_the_store_is_away(
    authenticator: Authenticator, keys: Keys, copies: Copies, clock: FakeClock
) -> None:
    copies.kept[hash_key(KEY)] = PrincipalCopy(keys.add(KEY), clock(), 7)
    keys.is_away = True
    assert (await authenticator.authenticate(KEY)).key_hash == hash_key(KEY)
    await authenticator.authenticate(KEY)
    assert copies.asked == [hash_key(KEY)], "it is kept here now"
    assert await refused(authenticator, OTHER)


async def test_a_copy_of_a_blocked_key_is_blocked(
    authenticator: Authenticator, keys: Keys, copies: Copies, clock: FakeClock
) -> None:
    copies.kept[hash_key(KEY)] = PrincipalCopy(keys.add(KEY, is_blocked=True), clock(), 7)
    keys.is_away = True
    with pytest.raises(Unauthenticated, match="blocked"):
        await authenticator.authenticate(KEY)


async def test_the_grace_of_a_copy_runs_from_when_it_was_loaded_wherever_that_was(
    authenticator: Authenticator, keys: Keys, copies: Copies, clock: FakeClock
) -> None:
    copies.kept[hash_key(KEY)] = PrincipalCopy(keys.add(KEY), clock() - 600, 7)
    keys.is_away = True
    clock.advance(59)
    await authenticator.authenticate(KEY)
    clock.advance(2)
    assert await refused(authenticator, KEY)


async def test_a_change_while_a_copy_is_being_looked_for_keeps_it_out(
    authenticator: Authenticator, keys: Keys, copies: Copies, clock: FakeClock
) -> None:
    copies.kept[hash_key(KEY)] = PrincipalCopy(keys.add(KEY), clock(), 7)
    copies.gate = asyncio.Event()
    keys.is_away = True
    looking = asyncio.create_task(refused(authenticator, KEY))
    await asyncio.sleep(0.01)
    authenticator.changed(Change("key", hash_key(KEY)))
    copies.gate.set()
    assert await looking


async def test_a_store_that_is_away_is_asked_by_one_caller_a_second_and_the_rest_are_told_at_once(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    keys.is_away = True
    for _ in range(3):
        before = len(keys.asked)
        assert all([await refused(authenticator, key) for key in OTHERS])
        assert len(keys.asked) == before + 1
        clock.advance(1)
    keys.is_away = False
    keys.add(KEY)
    assert not await refused(authenticator, KEY), "whoever asks first learns that it is back"


async def test_nobody_waits_for_the_one_who_asks_a_store_that_hangs(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    keys.is_away = True
    assert await refused(authenticator, OTHER)
    clock.advance(1)
    keys.gate = asyncio.Event()
    asking = asyncio.create_task(refused(authenticator, OTHER))
    await asyncio.sleep(0.01)
    started = time.monotonic()
    assert all([await refused(authenticator, key) for key in OTHERS])
    assert time.monotonic() - started < 0.2
    keys.gate.set()
    assert await asking


async def test_a_known_key_waits_for_a_store_that_hangs_no_longer_than_a_moment(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    principal = keys.add(KEY)
    await authenticator.authenticate(KEY)
    keys.gate = asyncio.Event()
    clock.advance(61)
    started = time.monotonic()
    assert await authenticator.authenticate(KEY) is principal
    assert 0.2 < time.monotonic() - started < 1
    started = time.monotonic()
    for _ in range(10):
        assert await authenticator.authenticate(KEY) is principal
    assert time.monotonic() - started < 0.2
    keys.gate.set()
    await asyncio.sleep(0.01)
    keys.add(KEY, key_alias="new")
    clock.advance(61)
    assert (await authenticator.authenticate(KEY)).key_alias == "new"


async def test_after_a_gap_in_what_was_heard_every_key_is_loaded_anew(authenticator: Authenticator, keys: Keys) -> None:
    keys.add(KEY)
    await authenticator.authenticate(KEY)
    keys.add(KEY, key_alias="new")
    authenticator.forget_all()
    assert (await authenticator.authenticate(KEY)).key_alias == "new"
