"""Wires an import from LiteLLM: where it reads, where it writes, and what opens and seals the secrets between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tollway.app.settings import salt_key
from tollway.config.configuration import Configuration
from tollway.config.load import load
from tollway.config.sealing import Sealer
from tollway.config.stored import lendable

if TYPE_CHECKING:
    from datetime import datetime

    from tollway.litellm_import.job import Progress
    from tollway.litellm_import.report import Report

_REHEARSED = "a rehearsal keeps nothing"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to import, and where to."""

    source: str
    """Address of LiteLLM's database."""
    target: str
    """Address of ours."""
    salt_key: str | None = None
    """What LiteLLM encrypted with; None: what the configuration says of it."""
    with_history: bool = True
    since: datetime | None = None
    is_rehearsal: bool = False


def read_configuration(config: Path | None, environ: Mapping[str, str], report: Report) -> Configuration:
    """LiteLLM's configuration file, which is ours; what becomes of each of its settings is reported.

    Raises `ConfigurationError` for what would stop a gateway from starting.
    """
    from tollway.litellm_import.report import Note

    configuration = load(config, environ=environ)
    if config is None:
        return configuration
    name = config.name
    remarked = {notice.key for notice in configuration.notices}
    for path, setting in configuration.origins.items():
        if name in setting.origin and path not in remarked:
            report.row(name, path, "kept")
    for entry in configuration.models:
        report.row(name, f"model_list.{entry.model_name}", "kept")
    for notice in configuration.notices:
        if name in notice.place:
            text = f"{notice.message}; {notice.remedy}" if notice.remedy else notice.message
            report.row(name, notice.key, "dropped", [Note("", text)])
    return configuration


def named_database(config: Path | None, environ: Mapping[str, str]) -> str | None:
    """The Postgres database that a configuration file of LiteLLM's names. Raises `ConfigurationError`."""
    if config is None:
        return None
    theirs = {name: value for name, value in environ.items() if name != "TOLLWAY_DATABASE_URL"}
    return load(config, environ=theirs).server.database_url


async def import_litellm(wanted: Wanted, configuration: Configuration, report: Report, progress: Progress) -> int:
    """Imports, or rehearses it; what counts in budgets now because of it, in nano-dollars.

    Raises `Misconfigured`, `StoreUnavailable`.
    """
    from tollway.litellm_import.ciphertext import Opener
    from tollway.litellm_import.importer import Plan, run_import
    from tollway.litellm_import.job import Job
    from tollway.litellm_import.models import Vault
    from tollway.litellm_import.source import open_source
    from tollway.litellm_import.spending import Clock
    from tollway.litellm_import.target import open_target

    server, settings = configuration.server, configuration.data_plane
    opener = Opener(wanted.salt_key or server.salt_key or server.master_key)
    environ = lendable(configuration.environ, server, server.master_key or "")
    vault = Vault(opener, Sealer(lambda: _own_salt_key(configuration, wanted)), environ)
    plan = Plan(with_history=wanted.with_history, since=wanted.since)
    await vault.ready()
    async with (
        open_source(wanted.source) as source,
        open_target(wanted.target, is_rehearsal=wanted.is_rehearsal) as target,
    ):
        clock = Clock.of(settings.timezone, settings.budget_reset_time)
        job = Job(source, target, vault, report, clock, progress)
        await run_import(job, plan)
        return job.spending.carried_nanos


def _own_salt_key(configuration: Configuration, wanted: Wanted) -> str:
    server = configuration.server
    if wanted.is_rehearsal and server.salt_key is None and not (server.data_dir / "salt_key").exists():
        return _REHEARSED
    return salt_key(configuration)
