"""What serves calls imports nothing heavy, so that starting is fast and the process small."""

import pkgutil
import subprocess
import sys

import pytest

import tollway

HOT_PACKAGES = {
    "accounting",
    "core",
    "dataplane",
    "dialects",
    "gateway",
    "observability",
    "policy",
    "ports",
    "providers",
    "routing",
    "stores.memory",
    "upstream",
}
LATE = {
    "tollway.observability.exposition": "imported by the first scrape",
    "tollway.upstream.aiohttp_client": "imported for the first deployment that needs it",
}
"""Modules of those packages that are imported when first needed, and why they may be heavy."""
HEAVY = {"aiohttp", "alembic", "cryptography", "fastapi", "prometheus_client", "pydantic", "requests", "sqlalchemy"}
HEAVY |= {"redis", "starlette", "tiktoken", "uvicorn", "yaml"}


def hot_modules() -> list[str]:
    modules = [module.name for module in pkgutil.walk_packages(tollway.__path__, "tollway.")]
    return [name for name in modules if name not in LATE and any(is_in(name, package) for package in HOT_PACKAGES)]


def is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"tollway.{package}.")


def imported_by(*modules: str) -> set[str]:
    """Top-level packages in `sys.modules` of a fresh interpreter that imported these."""
    program = f"import sys; import {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(ran.stdout.split())


def test_the_modules_that_serve_calls_import_nothing_heavy() -> None:
    modules = hot_modules()
    assert {module.split(".")[1] for module in modules} >= {package.split(".")[0] for package in HOT_PACKAGES}
    imported = imported_by(*modules)
    assert "msgspec" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize("module", LATE)
def test_modules_listed_as_late_exist_and_are_heavy(module: str) -> None:
    assert imported_by(module) & HEAVY
