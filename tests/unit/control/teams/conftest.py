from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.databases import DATABASES
from tests.support.people import People, open_people


@pytest.fixture(params=DATABASES)
async def people(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[People]:
    async with open_people(tmp_path, request.param) as people:
        yield people
