"""A gateway beside a newer one that has already upgraded the schema they share."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from tests.support.databases import DATABASES, migrated_database
from tests.support.embedded import embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream

from tollway.db.engine import open_engine, writing
from tollway.db.partitions import is_described
from tollway.db.upgrade import current_revision


async def as_the_next_version_leaves_it(url: str) -> None:
    """Every table has a further column, one that may not be null among them; there is a further table."""
    engine = open_engine(url)
    async with writing(engine) as connection:
        names = await connection.run_sync(lambda of: inspect(of).get_table_names())
        for name in names:
            if name != "alembic_version" and is_described(name, "table", None):  # partitions have what the ledger has
                for column in ("of_tomorrow TEXT", "needed_tomorrow TEXT NOT NULL DEFAULT ''"):
                    await connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {column}"))
        await connection.execute(text("CREATE TABLE tomorrow (id INTEGER PRIMARY KEY)"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()


@pytest.mark.parametrize("database", DATABASES)
async def test_a_gateway_serves_on_a_schema_that_is_ahead_of_it(
    database: str, tmp_path: Path, upstream: FaultyUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with migrated_database(database, tmp_path) as url:
        await as_the_next_version_leaves_it(url)
        environ = {"DATABASE_URL": url, "LITELLM_SALT_KEY": "salt-of-the-tests"}
        async with embedded_gateway(tmp_path, model_list(upstream), environ) as gateway:
            await gateway.post("/team/new", {"team_id": "t", "max_budget": 10})
            await gateway.post("/user/new", {"user_id": "u"})
            key = await gateway.create_key(team_id="t", user_id="u", max_budget=5)
            for _ in range(2):
                assert (await gateway.chat(key=key, user="customer", metadata={"tags": ["a"]})).status == 200
            assert (await gateway.post("/key/update", {"key": key, "max_budget": 7})).status == 200
            info = (await (await gateway.get(f"/key/info?key={key}")).json())["info"]
            rows = await gateway.records(api_key=key)
            assert len(rows) == 2
            assert info["spend"] == pytest.approx(sum(row["spend"] for row in rows))
            assert info["spend"] > 0
            team = await (await gateway.get("/team/info?team_id=t")).json()
            assert team["team_info"]["spend"] == pytest.approx(info["spend"])
            assert (await (await gateway.get("/health/readiness")).json())["db"] == "connected"
        assert await current_revision(url) == "9999"
        assert "newer" in caplog.text
