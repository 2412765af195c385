from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tollway.app.late import Database
from tollway.core.errors import StoreUnavailable
from tollway.db.pool import PoolSettings
from tollway.db.url import sqlite_url


async def test_a_schema_that_cannot_be_upgraded_is_an_outage_to_callers_and_explained_to_the_operator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tollway.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE virtual_keys (id INTEGER)")
    database = Database(sqlite_url(path), PoolSettings())
    with pytest.raises(StoreUnavailable) as raised:
        await database.opened()
    assert "virtual_keys" not in raised.value.message
    assert "table virtual_keys already exists" in caplog.text
    started = time.monotonic()
    assert await database.state() == "disconnected"
    assert time.monotonic() - started < 0.2, "not every caller tries to upgrade again"
    await database.close()
