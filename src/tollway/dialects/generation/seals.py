"""Seals on their way through a dialect that has another vendor's slot for them.

A seal of one's own vendor is written as it is. Another vendor's is written as `tollway.<origin>.<data>`, so that it
comes back with its origin on the next turn, through any client that keeps what it does not understand.
"""

from __future__ import annotations

from tollway.dialects.generation.request import Seal

_MARK = "tollway."


def write_seal(seal: Seal, own: str) -> str:
    """A seal as text in the slot of the vendor `own`."""
    return seal.data if seal.origin == own else f"{_MARK}{seal.origin}.{seal.data}"


def read_seal(text: str, own: str) -> Seal:
    """The seal in a slot of the vendor `own`."""
    if text.startswith(_MARK):
        origin, dot, data = text[len(_MARK) :].partition(".")
        if dot and origin:
            return Seal(origin, data)
    return Seal(own, text)
