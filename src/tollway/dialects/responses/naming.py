"""Ids of responses that pass through, as the caller is to see them. Nothing else of a document changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from tollway.dialects.responses.wire import HeadWire

Write = Callable[[str], str]
"""The caller's name for a provider's id."""

_ID = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.)*")')
_PREVIOUS = re.compile(rb'"previous_response_id"\s*:\s*("(?:[^"\\]|\\.)*")')


class ResponseNames:
    """Renames the responses of one call."""

    def __init__(self, write: Write, known: Mapping[str, str]) -> None:
        """`known`: ids that have a name already; the others get one from `write`."""
        self._write = write
        self._names = dict(known)

    def rename(self, document: bytes, head: HeadWire) -> bytes:
        """A document with names where it has the ids of this response and of the one before it."""
        document = self._replace(document, _ID, head.id)
        return self._replace(document, _PREVIOUS, head.previous_response_id)

    def _replace(self, document: bytes, pattern: re.Pattern[bytes], id: str | None) -> bytes:
        if not id:
            return document
        name = self._names.get(id)
        if name is None:
            name = self._names[id] = self._write(id)
        # Within a text the quotes of such a field are escaped, so this is one, however its blanks are set.
        found = {match[0]: match[1] for match in pattern.finditer(document) if msgspec.json.decode(match[1]) == id}
        for field, value in found.items():
            document = document.replace(field, field.removesuffix(value) + msgspec.json.encode(name))
        return document
