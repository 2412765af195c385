"""What LiteLLM encrypts at rest, opened with its salt key.

Three formats are found beside each other in one database, the newest first:

    v3:gcm:<base64url>   AES-256-GCM, the key made of the salt key by HKDF-SHA256 (info `litellm-at-rest-v3`)
    v2:gcm:<base64url>   AES-256-GCM, the key its SHA-256
    <base64 or base64url> XSalsa20-Poly1305 (NaCl's secretbox), the key its SHA-256

Each is nonce and ciphertext with its tag. Source: what LiteLLM's `encrypt_decrypt_utils` reads.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tollway.core.errors import Misconfigured

_NEWEST, _OLDER = "v3:gcm:", "v2:gcm:"
_HKDF_INFO = b"litellm-at-rest-v3"
_GCM_NONCE_BYTES = 12
_SHORTEST_BOX = 40
_TO_STANDARD = str.maketrans("-_", "+/")


class CannotDecrypt(Exception):
    """A ciphertext that this salt key does not open."""


class Opener:
    """Opens what was encrypted under one salt key."""

    def __init__(self, salt_key: str | None) -> None:
        """`salt_key`: LITELLM_SALT_KEY, or the master key where there was none."""
        self._salt_key = salt_key

    def open(self, text: str) -> str:
        """What was encrypted; a text that is no ciphertext as it is. Raises `CannotDecrypt`, `Misconfigured`."""
        if text.startswith((_NEWEST, _OLDER)):
            return self._opened_gcm(text)
        box = _box(text)
        return text if box is None else self._opened_box(box)

    def _opened_gcm(self, text: str) -> str:
        prefix = text[: len(_NEWEST)]
        key = self._derived() if prefix == _NEWEST else self._hashed()
        try:
            raw = base64.urlsafe_b64decode(text.removeprefix(prefix))
            return AESGCM(key).decrypt(raw[:_GCM_NONCE_BYTES], raw[_GCM_NONCE_BYTES:], None).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise CannotDecrypt from None

    def _opened_box(self, box: bytes) -> str:
        try:
            from nacl.exceptions import CryptoError  # noqa: PLC0415  (an extra that few databases need)
            from nacl.secret import SecretBox  # noqa: PLC0415
        except ImportError:
            raise Misconfigured(
                "This database has values in the encryption of older versions of LiteLLM. Opening them takes PyNaCl: "
                "pip install 'tollway[litellm-import]'."
            ) from None
        try:
            return SecretBox(self._hashed()).decrypt(box).decode()
        except CryptoError:
            raise CannotDecrypt from None

    def _hashed(self) -> bytes:
        return hashlib.sha256(self._key().encode()).digest()

    def _derived(self) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=_HKDF_INFO).derive(self._key().encode())

    def _key(self) -> str:
        if not self._salt_key:
            raise CannotDecrypt
        return self._salt_key


def _box(text: str) -> bytes | None:
    """The bytes of a text that can be a secretbox in base64; None for any other."""
    try:
        raw = base64.b64decode(text.translate(_TO_STANDARD), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) >= _SHORTEST_BOX else None
