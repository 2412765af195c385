from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.support.databases import DATABASES, empty_database, migrated_database
from tests.support.people import NOW

from tollway.app.settings import with_settings_of_database
from tollway.config.configuration import Configuration
from tollway.config.load import load
from tollway.config.overlay import protect_setting, seal_setting
from tollway.config.sealing import Sealer
from tollway.core.errors import StoreUnavailable
from tollway.db.engine import open_engine, writing
from tollway.db.settings import settings

SALT = "sk-salt-of-the-tests-0123456789"


def configured(folder: Path, url: str, **environ: str) -> Configuration:
    keys = {"LITELLM_MASTER_KEY": "sk-master-0123456789", "LITELLM_SALT_KEY": SALT}
    return load(environ={"HOME": str(folder), "DATABASE_URL": url, **keys, **environ})


@pytest.mark.parametrize("kind", DATABASES)
async def test_a_start_reads_what_is_stored(kind: str, tmp_path: Path) -> None:
    sealer = Sealer(lambda: SALT)
    await sealer.ready()
    sealed = seal_setting("environment_variables", "A", protect_setting("environment_variables", "A", "x"), sealer)
    async with migrated_database(kind, tmp_path) as url:
        rows = [("general_settings", "keepalive_timeout", 9), ("environment_variables", "A", sealed)]
        values = [
            {"section": section, "name": name, "value": value, "created_at": NOW, "updated_at": NOW}
            for section, name, value in rows
        ]
        engine = open_engine(url)
        async with writing(engine) as connection:
            await connection.execute(insert(settings), values)
        await engine.dispose()
        found = await with_settings_of_database(configured(tmp_path, url))
        without = await with_settings_of_database(configured(tmp_path, url, STORE_MODEL_IN_DB="False"))
    assert (found.server.keepalive_s, found.environ["A"]) == (9, "x")
    assert found.origins["general_settings.keepalive_timeout"].origin == "database"
    assert without.stored.paths == []


@pytest.mark.parametrize("kind", DATABASES)
async def test_a_database_that_is_still_to_be_made_says_nothing(kind: str, tmp_path: Path) -> None:
    configuration = configured(tmp_path, empty_database(kind, tmp_path))
    assert await with_settings_of_database(configuration) is configuration


async def test_a_database_that_is_away_is_told_from_one_without_settings(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await with_settings_of_database(configured(tmp_path, "postgresql://u:p@127.0.0.1:9/none"))
    (tmp_path / "broken.db").write_text("this is no database, and long enough to be sure of it")
    with pytest.raises(StoreUnavailable):
        await with_settings_of_database(configured(tmp_path, f"sqlite:///{tmp_path}/broken.db"))
