"""Results of probes, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases import DATABASES, open_database

from tollway.core.health import Checked
from tollway.ports.health import CheckFilter
from tollway.stores.sql.health import SqlHealthStore

EVERYTHING = CheckFilter()


@pytest.fixture(params=DATABASES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlHealthStore]:
    async with open_database(request.param, tmp_path) as engine:
        yield SqlHealthStore(engine)


def checked(number: int, model_id: str, **more: Any) -> Checked:
    common = {"model_name": "m", "is_healthy": True, "checked_by": "me", "checked_at": number, "response_ms": 1.5}
    return Checked(model_id=model_id, **{"health_check_id": f"c{number}", **common, **more})


FAILED = {"is_healthy": False, "status_code": 429, "error_class": "RateLimitError", "error_message": "busy"}
RESULTS = [
    checked(1, "a"),
    checked(2, "b", **FAILED),
    checked(3, "a", **FAILED),
    checked(4, "c", model_name="other"),
]


async def test_results_are_kept_as_they_are_and_found(store: SqlHealthStore) -> None:
    assert await store.latest() == []
    await store.add([])
    await store.add(RESULTS)
    one, two, three, four = RESULTS
    assert await store.latest() == [three, two, four]
    assert await store.page(EVERYTHING, limit=10, offset=0) == ([four, three, two, one], 4)
    assert await store.page(EVERYTHING, limit=2, offset=1) == ([three, two], 4)
    assert await store.page(CheckFilter(model_name="m", is_healthy=False), limit=9, offset=0) == ([three, two], 2)
    assert await store.page(CheckFilter(is_healthy=True), limit=1, offset=1) == ([one], 2)


async def test_old_results_are_dropped(store: SqlHealthStore) -> None:
    await store.add(RESULTS)
    await store.forget(before_us=3)
    assert [one.health_check_id for one in (await store.page(EVERYTHING, limit=10, offset=0))[0]] == ["c4", "c3"]


async def test_of_two_results_of_one_moment_one_is_the_latest(store: SqlHealthStore) -> None:
    await store.add([checked(7, "a"), checked(7, "a", health_check_id="c8")])
    assert [one.health_check_id for one in await store.latest()] == ["c8"]
