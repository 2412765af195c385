"""SQLAlchemy's engine for asyncio without its ORM, which nothing here uses: 7.5 MiB of a gateway's memory at rest.

The package `sqlalchemy.ext.asyncio` imports its sessions, and with them the whole ORM. So it is loaded here with its
engine alone. Whoever asks it for anything else gets all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from typing_extensions import override

_PACKAGE = "sqlalchemy.ext.asyncio"
_ENGINE = ("AsyncConnection", "AsyncEngine", "AsyncTransaction", "create_async_engine")


class _EngineAlone(Loader):
    """Fills the package with what its module `engine` has."""

    def __init__(self, whole: Loader) -> None:
        self._whole = whole

    @override
    def exec_module(self, module: ModuleType) -> None:
        engine = import_module(f"{_PACKAGE}.engine")
        for name in _ENGINE:
            setattr(module, name, getattr(engine, name))

        def load_whole(name: str) -> Any:
            if name.startswith("__"):  # the import system looks for these
                raise AttributeError(name)
            vars(module).pop("__getattr__", None)
            self._whole.exec_module(module)
            return getattr(module, name)

        vars(module)["__getattr__"] = load_whole


class _Finder(MetaPathFinder):
    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _EngineAlone(spec.loader)
        return spec


def import_core_only() -> None:
    """From now on. Does nothing where the package was imported before."""
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
