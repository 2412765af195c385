"""Who can be called: vendors as data. `find` knows them by the name that stands before the slash in `model`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tollway.providers import table
from tollway.providers._kit import ConnectionParams, Provider

__all__ = ["ConnectionParams", "Provider", "find", "for_environment", "names", "planned"]

_ROWS = {row.name: row for row in table.ROWS}


def find(name: str) -> Provider | None:
    """The provider of that name or alias; None if there is none."""
    name = table.ALIASES.get(name, name)
    return _ROWS.get(name) or _coded(name)


def names() -> tuple[str, ...]:
    """Every provider's name, without aliases."""
    return tuple(sorted((*_ROWS, *table.CODED)))


def planned(name: str) -> str | None:
    """Why a known vendor cannot be called yet; None if it can be, or nobody knows it."""
    return table.LATER.get(name)


def for_environment(environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Providers that can be called with what the environment holds."""
    found = (find(name) for name in names())
    return tuple(provider for provider in found if provider and provider.is_in(environ))


def _coded(name: str) -> Provider | None:
    if name not in table.CODED:
        return None
    module = import_module(f"{__name__}.{table.CODED[name]}")  # only vendors in use are loaded
    providers: tuple[Provider, ...] = module.PROVIDERS
    return next(provider for provider in providers if provider.name == name)
