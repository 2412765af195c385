"""Spend logs, and daily sums of the days that have none any more: LiteLLM deletes logs, or writes none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from tollway.core.record import Record
from tollway.db.keys import virtual_keys
from tollway.litellm_import import rules
from tollway.litellm_import.job import Job
from tollway.litellm_import.report import Note, Outcome
from tollway.litellm_import.source import Row
from tollway.litellm_import.spending import Owner, hash_of, record_of_day, record_of_log

_CONTENT = ("messages", "response", "proxy_server_request")
"""Columns with what was said, which the ledger does not keep."""

_MakeRecord = Callable[[Row, list[Note]], Record | None]


async def import_history(job: Job, since: datetime | None) -> None:
    """What was spent before. `since`: what is older is left out."""
    first = await _import_logs(job, since)
    async for rows in job.batches(rules.DAYS, order=("date",)):
        await _import_days(job, [row for row in rows if _is_wanted(str(row.get("date")), since, first)])


async def _import_logs(job: Job, since: datetime | None) -> datetime | None:
    """When the first of them started."""
    first: datetime | None = None
    async for rows in job.batches(rules.SPEND_LOGS, order=("startTime",), without=_CONTENT, since=since):
        first = first or rows[0].get("startTime")
        await _add(job, rules.SPEND_LOGS, "request_id", rows, record_of_log)
    return first


def _is_wanted(day: str, since: datetime | None, first_log: datetime | None) -> bool:
    is_logged = first_log is not None and day >= f"{first_log:%Y-%m-%d}"
    return not is_logged and (since is None or day >= f"{since:%Y-%m-%d}")


async def _import_days(job: Job, rows: Sequence[Row]) -> None:
    hashes = {hash_of(row["api_key"]) for row in rows}
    columns = virtual_keys.c
    team_of = await job.target.look_up(columns.key_hash, columns.team_id, hashes)
    organization_of = await job.target.look_up(columns.key_hash, columns.organization_id, hashes)

    def record(row: Row, notes: list[Note]) -> Record | None:
        key_hash = hash_of(row["api_key"])
        return record_of_day(row, Owner(team_of.get(key_hash) or "", organization_of.get(key_hash) or ""), notes)

    await _add(job, rules.DAYS, "id", rows, record)


async def _add(job: Job, table: str, key: str, rows: Sequence[Row], make: _MakeRecord) -> None:
    notes: list[list[Note]] = [[] for _ in rows]
    made = [make(row, remarks) for row, remarks in zip(rows, notes, strict=True)]
    is_new = iter(await job.spending.add_history([record for record in made if record is not None]))
    for row, record, remarks in zip(rows, made, notes, strict=True):
        outcome: Outcome = "dropped" if record is None else "kept" if next(is_new) else "present"
        job.report.row(table, str(row[key]), outcome, remarks)
