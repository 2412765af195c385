from __future__ import annotations

import subprocess
import sys

import pytest


def run(script: str) -> str:
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize("module", ["tollway.db.engine", "tollway.stores.sql.ledger", "tollway.control.api"])
def test_nothing_of_the_gateway_imports_the_orm(module: str) -> None:
    assert run(f"import tollway.db, sys, {module}; print('sqlalchemy.orm' in sys.modules)") == "False"


def test_whoever_asks_for_more_gets_all_of_it() -> None:
    script = (
        "import tollway.db.engine, sys\n"
        "import sqlalchemy.ext.asyncio as package\n"
        "engine = package.AsyncEngine\n"
        "from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker\n"
        "assert package.AsyncEngine is engine\n"
        "import sqlalchemy.orm\n"
        "print(AsyncSession.__name__, hasattr(package, 'nothing'))"
    )
    assert run(script) == "AsyncSession False"


def test_where_it_was_imported_before_all_is_as_it_was() -> None:
    script = "from sqlalchemy.ext.asyncio import AsyncSession\nimport tollway.db.engine\nprint(AsyncSession.__name__)"
    assert run(script) == "AsyncSession"
