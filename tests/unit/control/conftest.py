from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.management import Management, open_management


@pytest.fixture
async def management(tmp_path: Path) -> AsyncIterator[Management]:
    async with open_management(tmp_path) as management:
        yield management
