"""Where results of probes are kept, for all processes and for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tollway.core.health import Checked


class CheckFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which results; None: all."""

    model_name: str | None = None
    is_healthy: bool | None = None


class HealthStore(Protocol):
    """Results of probes. Methods raise `StoreUnavailable`."""

    async def add(self, results: Sequence[Checked]) -> None:
        """Keeps results."""
        ...

    async def latest(self) -> list[Checked]:
        """The newest result of each deployment."""
        ...

    async def page(self, matching: CheckFilter, *, limit: int, offset: int) -> tuple[list[Checked], int]:
        """Results, newest first, and how many there are."""
        ...

    async def forget(self, *, before_us: int) -> None:
        """Drops results of before that moment (epoch microseconds)."""
        ...
