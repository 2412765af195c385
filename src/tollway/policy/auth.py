"""Who is calling: from the headers of a request to a principal, with one hash and usually one dictionary look-up.

Plaintext keys live for the length of a call. Everything kept, compared or shown is the SHA-256 of the key or its
abbreviation.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from tollway.core.changes import Change
from tollway.core.errors import StoreUnavailable, Unauthenticated
from tollway.core.ids import abbreviate_key, hash_key
from tollway.core.principal import Principal, Role
from tollway.core.record import MASTER_KEY_ID
from tollway.policy.recently_used import RecentlyUsed
from tollway.policy.single_flight import SingleFlight
from tollway.ports.copies import PrincipalCopies, PrincipalCopy
from tollway.ports.keys import KeyStore

ADMIN_USER_ID = "default_user_id"
"""User of the master key (wire contract)."""

_NO_PARAM = "None"
"""What the contract sends as `param` of authentication errors that are about no field."""

_UNKNOWN_KEY_TTL_S = 1.0
_UNKNOWN_KEYS = 10_000
_RETRY_STORE_S = 1.0
_KNOWN_WAIT_S = 0.25
"""How long a caller who is known anyway waits for the store."""
_ASK_STORE_S = 3.0
"""Longer than the store has to answer."""

_RAW_KEY_HEADERS = (b"api-key", b"x-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key")
_SCHEME = re.compile(rb"\A(?:bearer|basic)(?:\s+|$)", re.IGNORECASE)
_SIGV4_CREDENTIAL = re.compile(rb"AWS4-\S+\s.*?Credential=(?:Bearer )?([^/,\s]+)", re.IGNORECASE)


def find_credential(headers: Mapping[bytes, bytes], query: bytes = b"", key_header: str | None = None) -> str:
    """The key that a request carries. Names in `headers` are in lower case.

    `query` is looked at only for routes whose clients put the key there (`?key=`, Google): pass nothing for others, or
    `/key/info?key=…` would authenticate by the key it asks about. `key_header` replaces all the usual headers.
    Raises `Unauthenticated` if there is no key, or one without its `Bearer `.
    """
    if key_header is not None:
        found = _without_scheme(headers.get(key_header.lower().encode(), b""))
    else:
        found = _in_usual_headers(headers) or _in_query(query)
    if not found:
        raise _because("missing", Unauthenticated("Authentication Error, No api key passed in.", param=_NO_PARAM))
    try:
        return found.decode()
    except UnicodeDecodeError:
        return found.decode("latin-1")


def _in_usual_headers(headers: Mapping[bytes, bytes]) -> bytes:
    if ours := headers.get(b"x-litellm-api-key"):
        return _without_scheme(ours)
    if authorization := headers.get(b"authorization"):
        return _in_authorization(authorization)
    for name in _RAW_KEY_HEADERS:
        if raw := headers.get(name):
            return raw.strip()
    return b""


def _in_authorization(value: bytes) -> bytes:
    if value.startswith(b"Bearer "):  # nearly everybody
        return value[7:].strip()
    if _SCHEME.match(value) is not None:
        return _without_scheme(value)
    signed = _SIGV4_CREDENTIAL.match(value)
    if signed is None:
        raise Unauthenticated(
            "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.", param=_NO_PARAM
        )
    return signed[1]


def _without_scheme(value: bytes) -> bytes:
    return _SCHEME.sub(b"", value, count=1).strip()


def _in_query(query: bytes) -> bytes:
    for pair in query.split(b"&") if query else ():
        if pair.startswith(b"key="):
            return unquote_to_bytes(pair[4:])
    return b""


class _Cached:
    __slots__ = ("fresh_until", "loaded_at", "principal")

    def __init__(self, principal: Principal, loaded_at: float, fresh_until: float) -> None:
        self.principal = principal
        self.loaded_at = loaded_at
        self.fresh_until = fresh_until


class Authenticator:
    """Turns keys into principals.

    A principal is loaded once and used for `ttl_s`; changes in between arrive through `changed`. While the store is
    away a principal that was loaded before, here or by another process, keeps working for another `grace_s`; other keys
    get 503 at once, because nobody knows whether they are good. Unknown keys are remembered for a second.
    """

    def __init__(
        self,
        master_key_hash: str | None,
        store: KeyStore,
        clock: Callable[[], float],
        *,
        ttl_s: float = 60.0,
        size: int = 100_000,
        grace_s: float = 3600.0,
        copies: PrincipalCopies | None = None,
    ) -> None:
        """`clock` gives epoch seconds; `size` bounds the principals kept. `copies`: those that processes share."""
        self._master_key_hash = master_key_hash or ""
        self._admin = Principal(key_hash=MASTER_KEY_ID, is_admin=True, role=Role.PROXY_ADMIN, user_id=ADMIN_USER_ID)
        self._store = store
        self._clock = clock
        self._ttl_s = ttl_s
        self._grace_s = grace_s
        self._principals: RecentlyUsed[str, _Cached] = RecentlyUsed(
            size, dependencies=lambda cached: cached.principal.depends_on
        )
        self._unknown: RecentlyUsed[str, float] = RecentlyUsed(_UNKNOWN_KEYS)
        self._flights: SingleFlight[tuple[str, int], Principal | None] = SingleFlight()
        self._copies = copies
        self._copied: SingleFlight[tuple[str, int], _Cached | None] = SingleFlight()
        self._version = 0
        self._away_until = 0.0
        """Until then the store is not asked, because it could not answer; 0 while it answers."""

    async def authenticate(self, credential: str) -> Principal:
        """The principal behind a key. Raises `Unauthenticated`, or `StoreUnavailable` if that cannot be known."""
        key_hash = hash_key(credential)
        if compare_digest(key_hash, self._master_key_hash):
            return self._admin
        now = self._clock()
        cached = self._principals.get(key_hash)
        if cached is not None and now < cached.fresh_until:
            principal = cached.principal
        else:
            principal = await self._look_up(credential, key_hash, cached, now)
        if (
            principal.is_blocked
            or principal.blocked_by is not None
            or (principal.expires_at is not None and principal.expires_at <= now)
        ):
            is_expired = not principal.is_blocked and principal.blocked_by is None
            raise _because("expired" if is_expired else "blocked", _unusable(principal, now))
        return principal

    def changed(self, change: Change) -> None:
        """Something was created, changed or deleted: forget what was made from it, loads under way included."""
        self._version += 1
        if change.kind == "key":
            self._principals.drop(change.id)
            self._unknown.drop(change.id)
        else:
            self._principals.drop_dependents((change.kind, change.id))

    def forget_all(self) -> None:
        """Anything may have changed: every principal is loaded anew."""
        self._version += 1
        self._principals.clear()
        self._unknown.clear()

    async def _look_up(self, credential: str, key_hash: str, cached: _Cached | None, now: float) -> Principal:
        if not credential.startswith("sk-"):
            raise _not_a_virtual_key(credential)
        if now < (self._unknown.get(key_hash) or 0.0):
            raise _because("unknown", _unknown_key(credential, key_hash))
        if now < self._away_until:
            return await self._without_store(key_hash, cached, now)
        if self._away_until:  # one asks whether it is back; nobody else waits for the answer
            self._away_until = now + _ASK_STORE_S
        version = self._version
        flight = self._flights.begin((key_hash, version), partial(self._load, key_hash, version))
        if cached is not None and self._is_in_grace(cached, now):
            await asyncio.wait({flight}, timeout=_KNOWN_WAIT_S)
            if not flight.done():
                self._away_until = now + _ASK_STORE_S
                return await self._without_store(key_hash, cached, now)
        try:
            principal = await asyncio.shield(flight)
        except StoreUnavailable:
            return await self._without_store(key_hash, cached, now)
        if principal is None:
            raise _because("unknown", _unknown_key(credential, key_hash))
        return principal

    async def _without_store(self, key_hash: str, cached: _Cached | None, now: float) -> Principal:
        """What was known of a key before the store went away. Raises `StoreUnavailable` where nothing was."""
        if cached is None and self._copies is not None:
            cached = await self._copied.fetch((key_hash, self._version), partial(self._find_copy, key_hash))
        if cached is None or not self._is_in_grace(cached, now):
            raise StoreUnavailable(
                "The database cannot be reached, so this key cannot be checked. Retry shortly.",
                headers=((b"retry-after", b"%d" % _RETRY_STORE_S),),
            )
        cached.fresh_until = now + _RETRY_STORE_S
        return cached.principal

    def _is_in_grace(self, cached: _Cached, now: float) -> bool:
        return now < cached.loaded_at + self._ttl_s + self._grace_s

    async def _find_copy(self, key_hash: str) -> _Cached | None:
        """A principal that another process has loaded."""
        assert self._copies is not None
        version = self._version
        copy = await self._copies.find(key_hash)
        if copy is None or version != self._version:
            return None
        cached = _Cached(copy.principal, copy.loaded_at, 0.0)
        self._principals.put(key_hash, cached)
        return cached

    async def _load(self, key_hash: str, version: int) -> Principal | None:
        """Asks the store and keeps the answer, unless a key changed meanwhile: it may be the old one."""
        as_of = self._copies.as_of() if self._copies is not None else 0
        try:
            principal = await self._store.find(key_hash)
        except StoreUnavailable:
            self._away_until = self._clock() + _RETRY_STORE_S
            raise
        self._away_until = 0.0
        if version != self._version:
            return principal
        now = self._clock()
        if principal is None:
            self._principals.drop(key_hash)
            self._unknown.put(key_hash, now + _UNKNOWN_KEY_TTL_S)
        else:
            fresh_until = now + self._ttl_s
            if principal.valid_until is not None:
                fresh_until = min(fresh_until, principal.valid_until)
            self._principals.put(key_hash, _Cached(principal, now, fresh_until))
            if self._copies is not None:
                self._copies.keep(key_hash, PrincipalCopy(principal, now, as_of))
        return principal


def _because(reason: str, error: Unauthenticated) -> Unauthenticated:
    error.reason = reason
    return error


def _unusable(principal: Principal, now: float) -> Unauthenticated:
    if principal.is_blocked:
        return Unauthenticated(
            "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.", param=_NO_PARAM
        )
    if principal.blocked_by is not None:
        kind, name = principal.blocked_by
        return Unauthenticated(
            f"Authentication Error, {kind}={name} is blocked. Update via `/{kind.lower()}/unblock` if you're an admin.",
            param=_NO_PARAM,
        )
    return Unauthenticated(
        f"Authentication Error - Expired Key. Key Expiry time {_utc(principal.expires_at or 0)} "
        f"and current time {_utc(now)}",
        type="expired_key",
        param=principal.key_name or "key",
    )


def _unknown_key(credential: str, key_hash: str) -> Unauthenticated:
    return Unauthenticated(
        f"Authentication Error, there is no virtual key {abbreviate_key(credential)} (hash {key_hash}). "
        "It may be mistyped, deleted or regenerated.",
        type="token_not_found_in_db",
        param="key",
    )


def _not_a_virtual_key(credential: str) -> Unauthenticated:
    shown = f"{credential[:4]}****{credential[-4:]}" if len(credential) >= 16 else "****"
    return Unauthenticated(
        f"Authentication Error, a virtual key is needed. Received={shown}, expected to start with 'sk-'.",
        param=_NO_PARAM,
    )


def _utc(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(sep=" ", timespec="seconds")
