from __future__ import annotations

import asyncio
import gc

import pytest
from tests.support.clock import FakeClock

from tollway.core.changes import Change
from tollway.core.errors import StoreUnavailable, Unauthenticated
from tollway.core.ids import hash_key
from tollway.core.principal import Principal
from tollway.core.record import MASTER_KEY_ID
from tollway.policy.auth import Authenticator, find_credential

KEY = "sk-QqWwEeRrTtYyUuIiOoPp12"
OTHER = "sk-AaSsDdFfGgHhJjKkLlZz34"
MASTER = "sk-master-ZzXxCcVvBbNnMm56"


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({b"authorization": b"Bearer sk-1"}, "sk-1"),
        ({b"authorization": b"bearer sk-1"}, "sk-1"),
        ({b"authorization": b"BEARER   sk-1 "}, "sk-1"),
        ({b"authorization": b"Basic sk-1"}, "sk-1"),
        ({b"x-litellm-api-key": b"sk-1"}, "sk-1"),
        ({b"x-litellm-api-key": b"Bearer sk-1"}, "sk-1"),
        ({b"api-key": b"sk-1"}, "sk-1"),
        ({b"x-api-key": b" sk-1 "}, "sk-1"),
        ({b"x-goog-api-key": b"sk-1"}, "sk-1"),
        ({b"ocp-apim-subscription-key": b"sk-1"}, "sk-1"),
        ({b"x-litellm-api-key": b"sk-1", b"authorization": b"Bearer sk-2", b"x-api-key": b"sk-3"}, "sk-1"),
        ({b"authorization": b"Bearer sk-1", b"x-api-key": b"sk-2"}, "sk-1"),
        ({b"authorization": b"", b"x-api-key": b"sk-2"}, "sk-2"),
        ({b"api-key": b"sk-1", b"x-api-key": b"sk-2"}, "sk-1"),
        ({b"x-api-key": b"sk-1", b"x-goog-api-key": b"sk-2"}, "sk-1"),
        (
            {b"authorization": b"AWS4-HMAC-SHA256 Credential=Bearer sk-1/20260114/us-east-1/bedrock/aws4_request, X=y"},
            "sk-1",
        ),
        ({b"authorization": b"AWS4-HMAC-SHA256 Credential=sk-1/20260114/us-east-1/bedrock/aws4_request"}, "sk-1"),
        ({b"x-api-key": "sk-é".encode()}, "sk-é"),
        ({b"x-api-key": b"sk-\xe9"}, "sk-é"),
    ],
)
def test_a_key_is_found_in_the_first_of_the_usual_headers(headers: dict[bytes, bytes], credential: str) -> None:
    assert find_credential(headers) == credential


def test_a_configured_header_replaces_the_usual_ones() -> None:
    headers = {b"authorization": b"Bearer of-the-proxy-before-us", b"x-tollway": b"Bearer sk-1"}
    assert find_credential(headers, key_header="X-Tollway") == "sk-1"
    with pytest.raises(Unauthenticated, match="No api key passed in"):
        find_credential({b"authorization": b"Bearer sk-1"}, key_header="X-Tollway")


def test_a_key_in_the_query_is_read_where_there_is_none_in_a_header() -> None:
    assert find_credential({}, b"alt=sse&key=sk%2D1") == "sk-1"
    assert find_credential({b"x-goog-api-key": b"sk-2"}, b"key=sk-1") == "sk-2"
    with pytest.raises(Unauthenticated, match="No api key passed in"):
        find_credential({}, b"monkey=sk-1")


@pytest.mark.parametrize(
    "headers", [{}, {b"authorization": b"Bearer"}, {b"authorization": b"Bearer "}, {b"x-api-key": b" "}]
)
def test_no_key_is_said_to_be_missing(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        find_credential(headers)
    error = caught.value
    assert error.message == "Authentication Error, No api key passed in."
    assert (error.status, error.type, error.param) == (401, "auth_error", "None")


@pytest.mark.parametrize("value", [KEY.encode(), b"Token sk-1", b"Bearersk-1"])
def test_a_key_without_bearer_is_malformed_and_not_repeated(value: bytes) -> None:
    with pytest.raises(Unauthenticated) as caught:
        find_credential({b"authorization": value})
    error = caught.value
    assert error.message == "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix."
    assert (error.status, error.type, error.param) == (401, "auth_error", "None")


class Keys:
    """A key store in a dictionary, which can be away, or slow until it is let go."""

    def __init__(self) -> None:
        self.principals: dict[str, Principal] = {}
        self.asked: list[str] = []
        self.is_away = False
        self.gate: asyncio.Event | None = None

    def add(self, key: str, **fields: object) -> Principal:
        principal = Principal(**{"key_hash": hash_key(key), "key_name": f"sk-...{key[-4:]}", **fields})  # type: ignore[arg-type]
        self.principals[hash_key(key)] = principal
        return principal

    async def find(self, key_hash: str) -> Principal | None:
        self.asked.append(key_hash)
        found = self.principals.get(key_hash)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable("The database is away.")
        return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def authenticator(keys: Keys, clock: FakeClock) -> Authenticator:
    return Authenticator(hash_key(MASTER), keys, clock, ttl_s=60.0, size=4, grace_s=600.0)


async def rejection(authenticator: Authenticator, credential: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.authenticate(credential)
    assert caught.value.status == 401
    return caught.value


async def test_a_key_is_loaded_once(authenticator: Authenticator, keys: Keys) -> None:
    principal = keys.add(KEY)
    for _ in range(3):
        assert await authenticator.authenticate(KEY) is principal
    assert keys.asked == [hash_key(KEY)]


async def test_the_master_key_is_the_admin_without_any_store(authenticator: Authenticator, keys: Keys) -> None:
    keys.is_away = True
    admin = await authenticator.authenticate(MASTER)
    assert (admin.key_hash, admin.is_admin, admin.user_id) == (MASTER_KEY_ID, True, "default_user_id")
    assert await authenticator.authenticate(MASTER) is admin
    assert keys.asked == []


async def test_without_a_master_key_nobody_is_admin(keys: Keys, clock: FakeClock) -> None:
    authenticator = Authenticator(None, keys, clock)
    assert (await rejection(authenticator, "")).type == "auth_error"
    assert (await rejection(authenticator, MASTER)).type == "token_not_found_in_db"


async def test_an_unknown_key_is_told_by_its_abbreviation_and_hash(authenticator: Authenticator) -> None:
    error = await rejection(authenticator, KEY)
    assert (error.type, error.param) == ("token_not_found_in_db", "key")
    assert "sk-...Pp12" in error.message
    assert hash_key(KEY) in error.message
    assert KEY not in error.message


async def test_an_unknown_key_is_remembered_for_a_second(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    for _ in range(3):
        await rejection(authenticator, KEY)
    assert len(keys.asked) == 1
    clock.advance(1.0)
    await rejection(authenticator, KEY)
    assert len(keys.asked) == 2


async def test_a_key_made_after_it_was_tried_works_once_the_change_is_known(
    authenticator: Authenticator, keys: Keys
) -> None:
    await rejection(authenticator, KEY)
    keys.add(KEY)
    authenticator.changed(Change("key", hash_key(KEY)))
    await authenticator.authenticate(KEY)


@pytest.mark.parametrize(
    ("credential", "shown"), [("abcd-efgh-ijkl-mnop-wxyz", "abcd****wxyz"), ("short", "****"), ("' OR 1=1; --", "****")]
)
async def test_what_is_no_virtual_key_never_reaches_the_store(
    authenticator: Authenticator, keys: Keys, credential: str, shown: str
) -> None:
    error = await rejection(authenticator, credential)
    assert f"Received={shown}, expected to start with 'sk-'" in error.message
    assert credential not in error.message
    assert (error.type, error.param) == ("auth_error", "None")
    assert keys.asked == []


async def test_a_blocked_key_says_how_to_unblock_it(authenticator: Authenticator, keys: Keys) -> None:
    keys.add(KEY, is_blocked=True, expires_at=0.0)
    error = await rejection(authenticator, KEY)
    assert error.message == "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin."
    assert (error.type, error.param) == ("auth_error", "None")


async def test_a_key_stops_at_its_expiry_although_it_is_cached(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    keys.add(KEY, expires_at=clock() + 10)
    await authenticator.authenticate(KEY)
    clock.advance(10)
    error = await rejection(authenticator, KEY)
    assert error.message == (
        "Authentication Error - Expired Key. Key Expiry time 2026-01-14 10:17:33+00:00 "
        "and current time 2026-01-14 10:17:33+00:00"
    )
    assert (error.type, error.param) == ("expired_key", "sk-...Pp12")


async def test_a_dropped_key_is_loaded_anew(authenticator: Authenticator, keys: Keys) -> None:
    keys.add(KEY)
    await authenticator.authenticate(KEY)
    keys.add(KEY, is_blocked=True)
    await authenticator.authenticate(KEY)
    authenticator.changed(Change("key", hash_key(KEY)))
    await rejection(authenticator, KEY)


async def test_a_deleted_key_stops_when_its_time_is_over(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    keys.add(KEY)
    await authenticator.authenticate(KEY)
    keys.principals.clear()
    clock.advance(59.9)
    await authenticator.authenticate(KEY)
    clock.advance(0.1)
    assert (await rejection(authenticator, KEY)).type == "token_not_found_in_db"
    keys.is_away = True
    clock.advance(1.0)
    with pytest.raises(StoreUnavailable):
        await authenticator.authenticate(KEY)


async def test_concurrent_misses_share_one_query(authenticator: Authenticator, keys: Keys) -> None:
    principal = keys.add(KEY)
    keys.gate = asyncio.Event()
    calls = [asyncio.create_task(authenticator.authenticate(KEY)) for _ in range(100)]
    await asyncio.sleep(0)
    calls[0].cancel()
    keys.gate.set()
    assert await asyncio.gather(*calls[1:]) == [principal] * 99
    assert len(keys.asked) == 1


async def test_a_load_that_began_before_a_change_does_not_bring_the_old_key_back(
    authenticator: Authenticator, keys: Keys
) -> None:
    keys.add(KEY)
    keys.gate = asyncio.Event()
    early = asyncio.create_task(authenticator.authenticate(KEY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(keys.asked) == 1
    keys.add(KEY, is_blocked=True)
    authenticator.changed(Change("key", hash_key(KEY)))
    late = asyncio.create_task(authenticator.authenticate(KEY))
    await asyncio.sleep(0)
    keys.gate.set()
    assert not (await early).is_blocked
    with pytest.raises(Unauthenticated, match="blocked"):
        await late
    await rejection(authenticator, KEY)


async def test_while_the_store_is_away_known_keys_work_and_others_get_503(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    principal = keys.add(KEY)
    keys.add(OTHER)
    await authenticator.authenticate(KEY)
    keys.is_away = True
    clock.advance(659.9)
    assert await authenticator.authenticate(KEY) is principal
    with pytest.raises(StoreUnavailable) as caught:
        await authenticator.authenticate(OTHER)
    assert (caught.value.status, dict(caught.value.headers)[b"retry-after"]) == (503, b"1")
    clock.advance(1.0)
    with pytest.raises(StoreUnavailable):
        await authenticator.authenticate(KEY)


async def test_an_absent_store_is_asked_once_a_second_per_known_key_and_recovery_is_noticed(
    authenticator: Authenticator, keys: Keys, clock: FakeClock
) -> None:
    keys.add(KEY)
    await authenticator.authenticate(KEY)
    keys.is_away = True
    clock.advance(60)
    for _ in range(5):
        await authenticator.authenticate(KEY)
    assert len(keys.asked) == 2
    keys.is_away = False
    keys.add(KEY, is_blocked=True)
    clock.advance(1)
    await rejection(authenticator, KEY)


async def test_the_cache_is_bounded_and_keeps_what_is_used(authenticator: Authenticator, keys: Keys) -> None:
    names = [f"sk-key-number-{number:04d}" for number in range(50)]
    for name in (KEY, *names):
        keys.add(name)
    for name in names:
        await authenticator.authenticate(KEY)
        await authenticator.authenticate(name)
    assert keys.asked.count(hash_key(KEY)) == 1
    before = len(keys.asked)
    for name in names[:40]:
        await authenticator.authenticate(name)
    assert len(keys.asked) - before == 40


async def test_no_plaintext_key_is_kept(authenticator: Authenticator, keys: Keys) -> None:
    keys.add(KEY)
    await authenticator.authenticate("".join(KEY))
    await rejection(authenticator, OTHER)
    await authenticator.authenticate(MASTER)
    seen: set[int] = set()
    pending: list[object] = [authenticator]
    while pending:
        thing = pending.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        assert thing not in (KEY, OTHER, MASTER)
        if isinstance(thing, dict):
            pending += [*thing, *thing.values()]
        elif type(thing).__module__.startswith("tollway") or isinstance(thing, list | tuple):
            pending += gc.get_referents(thing)
    assert len(seen) > 20
