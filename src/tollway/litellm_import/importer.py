"""One import, from beginning to end."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tollway.litellm_import import rules
from tollway.litellm_import.import_entities import import_entities
from tollway.litellm_import.import_history import import_history
from tollway.litellm_import.import_members import import_members, import_old_keys, import_windows
from tollway.litellm_import.import_stored import import_stored
from tollway.litellm_import.job import Job


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted."""

    with_history: bool = True
    since: datetime | None = None
    """History before is left out."""


async def run_import(job: Job, plan: Plan) -> None:
    """Imports everything, and remarks on what it leaves. Raises `StoreUnavailable`, `Misconfigured`."""
    await import_entities(job)
    await import_members(job)
    await import_windows(job)
    await import_old_keys(job)
    await import_stored(job)
    if plan.with_history:
        await import_history(job, plan.since)
    else:
        for table in (rules.SPEND_LOGS, rules.DAYS):
            await job.leave(table, "was not asked for (--no-spend)")
    for table in job.source.tables:
        if table not in rules.READ:
            await job.leave(table, rules.LEFT.get(table, rules.OTHER))
