"""Secrets at rest: AES-256-GCM under the salt key, each bound to the place it is stored in.

    sealed:1:<key id>:<nonce, ciphertext and tag in base64>

The place (table, row, field) is authenticated with the ciphertext, so that a sealed text opens nowhere but where it was
put. The key id tells a wrong salt key from damage. The library is imported for the first value that is
sealed or opened.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from tollway.config.secret import MASK, Secret, with_leaves

PREFIX = "sealed:"
_VERSION = "1"
_NONCE_BYTES = 12
_KEY_ID_BYTES = 4


class CannotOpen(Exception):
    """A sealed text that does not open here."""


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class _Keyed(msgspec.Struct, frozen=True):
    cipher: _Cipher
    key_id: str


class Sealer:
    """Seals and opens. `await ready()` first: it imports what it takes, aside from the calls in flight."""

    def __init__(self, salt_key: Callable[[], str]) -> None:
        """`salt_key` is asked once, when the first value is sealed or opened; it may make a key."""
        self._salt_key = salt_key
        self._keyed: _Keyed | None = None

    async def ready(self) -> None:
        """Prepares the key. Raises `Misconfigured` if there is none and none can be made."""
        if self._keyed is None:
            self._keyed = await asyncio.to_thread(_keyed, self._salt_key)

    def seal(self, value: Any, *place: str) -> Any:
        """A copy in which every `Secret` is sealed to its place: `place`, and the path in `value`."""
        match value:
            case Mapping():
                return {key: self.seal(item, *place, key) for key, item in value.items()}
            case list() | tuple():
                return [self.seal(item, *place, str(index)) for index, item in enumerate(value)]
            case Secret():
                return self._seal(value, place)
            case _:
                return value

    def open(self, value: Any, *place: str) -> Any:
        """What was given to `seal`, with every sealed text a `Secret` again. Raises `CannotOpen`."""
        match value:
            case Mapping():
                return {key: self.open(item, *place, key) for key, item in value.items()}
            case list():
                return [self.open(item, *place, str(index)) for index, item in enumerate(value)]
            case str() if is_sealed(value):
                return self._open(value, place)
            case _:
                return value

    def seal_bytes(self, data: bytes, *place: str) -> bytes:
        """`data` encrypted and bound to its place; for what is kept for a while, so that its form may change."""
        nonce, keyed = os.urandom(_NONCE_BYTES), self._ready_key()
        return nonce + keyed.cipher.encrypt(nonce, data, _bound_to(place))

    def open_bytes(self, data: bytes, *place: str) -> bytes | None:
        """What was given to `seal_bytes` for that place; None if this does not open here."""
        try:
            return self._ready_key().cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound_to(place))
        except (_refusals(), ValueError):
            return None

    def _ready_key(self) -> _Keyed:
        if self._keyed is None:
            raise RuntimeError("a Sealer seals after `ready`")
        return self._keyed

    def _seal(self, secret: str, place: tuple[str, ...]) -> str:
        nonce, keyed = os.urandom(_NONCE_BYTES), self._ready_key()
        sealed = keyed.cipher.encrypt(nonce, secret.encode(), _bound_to(place))
        return f"{PREFIX}{_VERSION}:{keyed.key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def _open(self, text: str, place: tuple[str, ...]) -> Secret:
        keyed = self._keyed
        if keyed is None:
            raise CannotOpen("there is no salt key to open it with")
        _, version, key_id, body = (*text.split(":", 3), "", "", "")[:4]
        if version != _VERSION:
            raise CannotOpen("it was sealed by another version of Tollway")
        if key_id != keyed.key_id:
            raise CannotOpen("it was sealed with another salt key")
        try:
            raw = base64.urlsafe_b64decode(body)
            return Secret(keyed.cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(place)).decode())
        except (_refusals(), binascii.Error, ValueError):
            raise CannotOpen("it is damaged, or was sealed for another place") from None


def is_sealed(value: object) -> bool:
    """Whether this is a sealed text, or looks like one."""
    return isinstance(value, str) and value.startswith(PREFIX)


def hidden(value: Any) -> Any:
    """A copy of something stored, fit for showing: every sealed text masked, without opening any."""
    return with_leaves(value, lambda leaf: MASK if is_sealed(leaf) else leaf)


def sealed_texts(value: Any) -> Iterator[str]:
    """Every sealed text in a document."""
    match value:
        case Mapping():
            for item in value.values():
                yield from sealed_texts(item)
        case list() | tuple():
            for item in value:
                yield from sealed_texts(item)
        case str() if is_sealed(value):
            yield value
        case _:
            return


def _bound_to(place: tuple[str, ...]) -> bytes:
    return msgspec.json.encode(place)  # no two places are written alike, whatever their parts contain


def _refusals() -> type[Exception]:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (nothing sealed, nothing imported)

    return InvalidTag


def _keyed(salt_key: Callable[[], str]) -> _Keyed:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  (nothing sealed, nothing imported)
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    salt = salt_key().encode()

    def derive(length: int, purpose: bytes) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=purpose).derive(salt)

    return _Keyed(AESGCM(derive(32, b"tollway sealed values 1")), derive(_KEY_ID_BYTES, b"tollway key id 1").hex())
