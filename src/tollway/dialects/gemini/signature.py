"""Thought signatures: the slot for seals that Gemini's parts have.

Clients read it as base64. A seal of another vendor is written as the base64 of its text form, so that it passes through
them and comes back on the next turn.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error

from tollway.dialects.generation.request import Seal
from tollway.dialects.generation.seals import read_seal, write_seal

OWN = "gemini"
UNSIGNED = "skip_thought_signature_validator"
"""What Google documents for calls that no Gemini model made: https://ai.google.dev/gemini-api/docs/thought-signatures,
checked 2026-11-26."""

_FOREIGN = b64encode(b"tollway.")[:10].decode()
"""How the base64 of another vendor's seal begins: the characters that do not depend on what follows."""
_STANDARD = str.maketrans("-_", "+/")


def write_signature(seal: Seal) -> str:
    """A seal as `thoughtSignature`."""
    return seal.data if seal.origin == OWN else b64encode(write_seal(seal, OWN).encode()).decode()


def read_signature(text: str) -> Seal:
    """The seal that a `thoughtSignature` is. Clients may write base64 in either alphabet, with or without padding."""
    if text.startswith(_FOREIGN):
        try:
            inner = b64decode(text.translate(_STANDARD) + "=" * (-len(text) % 4)).decode()
        except (Error, UnicodeDecodeError):
            return Seal(OWN, text)
        return read_seal(inner, OWN)
    return Seal(OWN, text)
