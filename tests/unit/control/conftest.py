from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.databases import DATABASES
from tests.support.management import Management, open_management
from tests.support.people import People, open_people

FILE = {
    "model_list": [
        {
            "model_name": "from-file",
            "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-of-the-file-0123456789"},
            "model_info": {"id": "file-1"},
        }
    ],
    "credential_list": [
        {"credential_name": "file-credential", "credential_values": {"api_key": "sk-of-the-credential-0123"}}
    ],
}
ENVIRON = {
    "OPENAI_API_KEY": "sk-of-the-environment-0123",
    "LITELLM_MASTER_KEY": "sk-master-key-of-the-tests",
    "TOLLWAY_SALT_KEY": "sk-salt-key-of-the-tests",
    "COPY_OF_MASTER": "sk-master-key-of-the-tests",
}


@pytest.fixture(params=DATABASES)
async def management(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Management]:
    async with open_management(tmp_path, request.param) as management:
        yield management


@pytest.fixture(params=DATABASES)
async def people(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[People]:
    """A team of an organization and the people around it, each with a key."""
    async with open_people(tmp_path, request.param) as people:
        yield people


@pytest.fixture(params=DATABASES)
async def plane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Management]:
    """A management plane that serves a file's model and whatever the database adds."""
    async with open_management(tmp_path, request.param, config=FILE, environ=ENVIRON) as opened:
        yield opened
