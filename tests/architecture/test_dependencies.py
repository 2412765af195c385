"""What an installation brings along: counted, licensed, and small."""

from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

PERMISSIVE = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT-0", "PSF-2.0", "CNRI-Python"}
STATED = {
    "aiosignal": "Apache-2.0",
    "aiosqlite": "MIT",
    "certifi": "MPL-2.0",
    "charset-normalizer": "MIT",
    "tiktoken": "MIT",
    "uvloop": "MIT",
}
"""Licences of packages whose metadata does not state them as an SPDX identifier, read by hand."""
EXCEPTIONS = {"certifi": "a list of certificates, unmodified; comes with tiktoken's `requests` and is never imported"}
"""Packages without a permissive licence, and why they are there."""
DIRECT = {
    "aiohttp", "aiosqlite", "alembic", "asyncpg", "click", "cryptography", "fastapi", "httptools", "msgspec",
    "prometheus-client",
    "pydantic", "pyyaml", "sqlalchemy", "tiktoken", "typing-extensions", "uvicorn", "uvloop",
    "websockets",
}  # fmt: skip
"""A new one needs a sentence in the change that adds it: why, how big, who maintains it, and that the hot path does
not import it."""


def requirements(installed: Distribution, extras: frozenset[str]) -> list[Requirement]:
    parsed = [Requirement(text) for text in installed.requires or ()]
    return [
        requirement
        for requirement in parsed
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""})
    ]


def installed_with(name: str) -> dict[str, Distribution]:
    """A distribution and all that it needs."""
    found: dict[str, Distribution] = {}
    pending = [(name, frozenset[str]())]
    seen = set(pending)
    while pending:
        current, extras = pending.pop()
        found[current] = distribution(current)
        for requirement in requirements(found[current], extras):
            following = (requirement.name.lower().replace("_", "-"), frozenset(requirement.extras))
            if following not in seen:
                seen.add(following)
                pending.append(following)
    return found


def licences(name: str, installed: Distribution) -> set[str]:
    stated = STATED.get(name) or installed.metadata["License-Expression"] or installed.metadata["License"] or "unknown"
    return set(stated.replace(" OR ", " AND ").split(" AND "))


def test_the_direct_dependencies_are_these() -> None:
    direct = requirements(distribution("tollway"), frozenset())
    assert {requirement.name.lower() for requirement in direct} == DIRECT


def test_every_required_package_has_a_permissive_licence_or_a_stated_reason() -> None:
    packages = installed_with("tollway")
    foreign = {name for name, installed in packages.items() if not licences(name, installed) <= PERMISSIVE}
    assert foreign == EXCEPTIONS.keys()


def test_an_installation_stays_small() -> None:
    files = [Path(str(file.locate())) for each in installed_with("tollway").values() for file in each.files or ()]
    megabytes = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    assert 20 < megabytes <= 120
