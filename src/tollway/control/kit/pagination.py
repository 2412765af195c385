"""Pages of a listing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """Page `number`, counted from 1, of `size` entries."""

    number: int = 1
    size: int = 10

    @property
    def offset(self) -> int:
        """Entries before this page."""
        return (self.number - 1) * self.size

    def pages(self, total: int) -> int:
        """How many pages `total` entries fill."""
        return -(-total // self.size)
