"""What one caller spent under tags. Sums are kept for each tag, whoever named it: this reads the calls themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from tollway.control.spend.dates import first_micros
from tollway.ports.spend import (
    Days,
    Dimension,
    Owner,
    RecordFilter,
    SpendReader,
    SpendSum,
    Sum,
    TotalColumn,
    UsageColumn,
)


class OwnTags:
    """Stands in for `SpendReader` where only the calls of some keys, or of one user, are anybody's business."""

    def __init__(self, spend: SpendReader, callers: RecordFilter) -> None:
        self._spend = spend
        self._callers = callers

    async def sum_usage(
        self,
        days: Days | None,
        dimension: Dimension = "any_tag",
        entities: Sequence[str] = ("",),
        *,
        by: Sequence[UsageColumn] = (),
        owners: Mapping[Owner, Sequence[str]] | None = None,
        models: str | None = None,
        only: Sequence[Sum] | None = None,
    ) -> list[SpendSum]:
        """The same of tags, by day and model."""
        return await self._sum(days, dimension, entities, by=by, models=models)

    async def sum_totals(
        self,
        days: Days,
        dimension: Dimension,
        *,
        by: Sequence[TotalColumn] = ("entity",),
        entities: Sequence[str] | None = None,
        owners: Mapping[Owner, Sequence[str]] | None = None,
        only: Sequence[Sum] | None = None,
        limit: int | None = None,
    ) -> list[SpendSum]:
        """The same of tags, all models together."""
        return (await self._sum(days, dimension, entities, by=by, models=None))[:limit]

    async def is_complete(self, days: Days) -> bool:
        """Whether there are no more calls than are looked at."""
        return (await self._spend.sum_tagged(self._within(days), "any_tag"))[1]

    async def _sum(
        self,
        days: Days | None,
        dimension: Dimension,
        entities: Sequence[str] | None,
        *,
        by: Sequence[UsageColumn],
        models: str | None,
    ) -> list[SpendSum]:
        if dimension not in ("tag", "any_tag"):
            raise ValueError(f"{dimension} says nothing about tags")
        found, _ = await self._spend.sum_tagged(self._within(days), dimension, entities, by=by, models=models)
        return found

    def _within(self, days: Days | None) -> RecordFilter:
        if days is None:
            return self._callers
        return msgspec.structs.replace(
            self._callers,
            started_from=first_micros(days.first),
            started_before=first_micros(days.last + timedelta(days=1)),
        )
