"""Calls of custom tools that a provider knows as functions.

A tool that takes free text is given to other vendors as a function with the one text `input`. Their calls are turned
back here: `{"input": "…"}` into the text, piece by piece.
"""

from __future__ import annotations

import re

import msgspec

_START = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_START_SO_FAR = re.compile(r'\s*(\{\s*("(i(n(p(u(t("\s*(:\s*)?)?)?)?)?)?)?)?)?')
_TEXT = re.compile(
    r'(?:[^"\\]+|\\["\\/bfnrt]|\\u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*"
)
"""What of a JSON string can be decoded already: whole escapes, and both halves of a surrogate pair."""
_HALF_AN_ESCAPE = re.compile(r"(\\(u[0-9a-fA-F]{0,4}(\\(u[0-9a-fA-F]{0,4})?)?)?)?")


class _Input(msgspec.Struct, gc=False):
    input: str


class InputReader:
    """Reads one call's arguments. `feed` each piece, then `end`: together they return the text."""

    __slots__ = ("_has_ended", "_has_started", "_rest")

    def __init__(self) -> None:
        self._rest = ""
        self._has_started = False
        self._has_ended = False

    def feed(self, piece: str) -> str:
        """More of the text, as far as it is known."""
        if self._has_ended:
            return ""
        self._rest += piece
        if not self._has_started:
            match = _START.match(self._rest)
            if match is None:
                return ""  # not yet, or not in this shape: `end` decides
            self._has_started = True
            self._rest = self._rest[match.end() :]
        match = _TEXT.match(self._rest)
        end = match.end() if match is not None else 0
        text, self._rest = self._rest[:end], self._rest[end:]
        if self._rest.startswith('"'):
            self._has_ended = True
        return _decoded(text)

    def end(self) -> str:
        """What is left: everything, if the arguments had another shape."""
        if self._has_ended:
            return ""
        if self._has_started:  # cut short: half an escape says nothing
            return "" if _HALF_AN_ESCAPE.fullmatch(self._rest) else self._rest
        try:
            return msgspec.json.decode(self._rest, type=_Input).input
        except msgspec.DecodeError:
            return "" if _START_SO_FAR.fullmatch(self._rest) else self._rest


def _decoded(text: str) -> str:
    if "\\" not in text and text.isprintable():
        return text
    try:
        return msgspec.json.decode(f'"{text}"', type=str)
    except msgspec.DecodeError:
        return text  # control characters that should have been escaped
