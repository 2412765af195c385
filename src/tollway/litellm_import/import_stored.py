"""Credentials, models and settings that LiteLLM keeps in its database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from sqlalchemy import Table

from tollway.db.models import credentials, models
from tollway.db.settings import settings
from tollway.litellm_import import rules
from tollway.litellm_import.job import Job
from tollway.litellm_import.report import Note, Outcome
from tollway.litellm_import.source import Row

S = TypeVar("S", bound=msgspec.Struct)


async def import_stored(job: Job) -> None:
    """Everything that is encrypted there."""
    await _import(job, rules.CREDENTIALS.table, "credential_name", credentials, job.vault.credential)
    await _import(job, rules.MODELS.table, "model_id", models, job.vault.model)
    async for rows in job.batches(rules.SETTINGS, order=("param_name",)):
        for row in rows:
            await _import_settings(job, row)


async def _import(job: Job, name: str, key: str, table: Table, make: Callable[[Row, list[Note]], S]) -> None:
    async for rows in job.batches(name, order=(key,)):
        notes: list[list[Note]] = [[] for _ in rows]
        found = [make(row, remarks) for row, remarks in zip(rows, notes, strict=True)]
        outcomes = await job.target.put(table, found, is_same=job.vault.is_same)
        for row, outcome, remarks in zip(rows, outcomes, notes, strict=True):
            job.report.row(name, str(row[key]), outcome, remarks)


async def _import_settings(job: Job, row: Row) -> None:
    for path, kept, notes in job.vault.settings(row, job.now):
        outcome: Outcome = "dropped"
        if kept is not None:
            (outcome,) = await job.target.put(settings, [kept], is_same=job.vault.is_same)
        job.report.row(rules.SETTINGS, path, outcome, notes)
