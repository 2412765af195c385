"""What every part of an import works with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from tollway.litellm_import.models import Vault
from tollway.litellm_import.report import Note, Report
from tollway.litellm_import.source import Row, Source
from tollway.litellm_import.spending import Clock, Spending
from tollway.litellm_import.target import Target

Progress = Callable[[str, int, int], None]
"""Told after each batch: the table, how many of its rows were read, and how many there are."""


class Job:
    """One source, one target, and what is said about the way between them."""

    def __init__(
        self, source: Source, target: Target, vault: Vault, report: Report, clock: Clock, progress: Progress
    ) -> None:
        """`vault` is ready."""
        self.source = source
        self.target = target
        self.vault = vault
        self.report = report
        self.clock = clock
        self.spending = Spending(target, clock)
        self.resets: dict[str, datetime] = {}
        """When LiteLLM would have reset what counts in a budget that others link to, by its id."""
        self._progress = progress

    @property
    def now(self) -> datetime:
        """The moment of this import."""
        return datetime.fromtimestamp(self.clock.now, UTC)

    async def batches(self, table: str, *, shows: bool = True, **options: Any) -> AsyncIterator[list[Row]]:
        """All rows of a table; see `Source.batches`. `shows`: progress is told."""
        total, read = await self.source.count(table) if shows else 0, 0
        async for rows in self.source.batches(table, **options):
            yield rows
            read += len(rows)
            if shows:
                self._progress(table, read, total)

    async def leave(self, table: str, reason: str) -> None:
        """Remarks on a table that is left behind, if it has rows."""
        if count := await self.source.count(table):
            self.report.table(table, count, reason)

    def drop(self, table: str, name: str, notes: list[Note], reason: str) -> None:
        """Remarks on a row that is left behind."""
        self.report.row(table, name, "dropped", [*notes, Note("", reason)])
