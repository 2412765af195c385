"""Pages of a listing."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_OFFSET = 2**63 - 1
"""Databases count no further."""


@dataclass(frozen=True, slots=True)
class Page:
    """Page `number`, counted from 1, of `size` entries."""

    number: int = 1
    size: int = 10

    @property
    def offset(self) -> int:
        """Entries before this page."""
        return min((self.number - 1) * self.size, _MAX_OFFSET)

    def pages(self, total: int) -> int:
        """How many pages `total` entries fill."""
        return -(-total // self.size)
