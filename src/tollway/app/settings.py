"""Settings of the database at start, when the process is still to be told its port, its log and its limits."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from tollway.app.keyfiles import load_or_create_key
from tollway.config.configuration import Configuration
from tollway.config.load import with_stored
from tollway.config.overlay import open_settings
from tollway.config.sealing import Sealer, sealed_texts
from tollway.core.errors import Misconfigured
from tollway.db import early
from tollway.db.url import sqlite_url
from tollway.ports.models import StoredSetting


def database_url(configuration: Configuration) -> str:
    """Where keys, the ledger and settings are kept."""
    server = configuration.server
    return server.database_url or sqlite_url(server.data_dir / "tollway.sqlite3")


def salt_key(configuration: Configuration) -> str:
    """What secrets are sealed with; made where there is none. Raises `Misconfigured`."""
    server = configuration.server
    return server.salt_key or load_or_create_key(server.data_dir / "salt_key").value


async def with_settings_of_database(configuration: Configuration) -> Configuration:
    """The configuration as it is to be started with. Raises `StoreUnavailable` where the database is away."""
    if not configuration.server.stores_models:
        return configuration
    found = await early.read_settings(database_url(configuration))
    if not found:
        return configuration
    rows = [
        StoredSetting(section=section, name=name, value=msgspec.json.decode(value)) for section, name, value in found
    ]
    sealer = Sealer(lambda: salt_key(configuration))
    if next(sealed_texts([row.value for row in rows]), None) is not None:
        with suppress(Misconfigured):  # what is sealed is left out and named; the rest counts
            await sealer.ready()
    return with_stored(configuration, open_settings(rows, sealer))
