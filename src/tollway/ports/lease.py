"""One of several processes does what need not be done by all."""

from __future__ import annotations

from typing import Protocol


class Lease(Protocol):
    """Held by one process at a time, for as long as it asks for it now and then."""

    async def hold(self) -> bool:
        """Takes it or keeps it; whether this process has it. True where nobody can be asked."""
        ...
