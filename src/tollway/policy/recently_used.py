"""A bounded dictionary that forgets what was not used lately, and can drop by what an entry depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentlyUsed(Generic[T]):
    """Two generations: when the young one is full it becomes the old one, and the old one is dropped.

    Using an entry moves it to the young one. So a hit is one look-up, and nothing is sorted or linked. Each generation
    keeps its own index of what its entries depend on, which is forgotten with it.
    """

    def __init__(self, size: int, *, dependencies: Callable[[T], Iterable[Hashable]] = lambda _: ()) -> None:
        """`dependencies`: what makes a value out of date when it changes; see `drop_dependents`."""
        self._half = max(1, size // 2)
        self._dependencies = dependencies
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}
        self._young_index: dict[Hashable, set[str]] = {}
        self._old_index: dict[Hashable, set[str]] = {}

    def get(self, key: str) -> T | None:
        """The value, if it is still known."""
        value = self._young.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self.put(key, value)
        return value

    def put(self, key: str, value: T) -> None:
        """Keeps a value; it may push out what was not used lately."""
        if len(self._young) >= self._half and key not in self._young:
            self._young, self._old = {}, self._young
            self._young_index, self._old_index = {}, self._young_index
        self._young[key] = value
        for dependency in self._dependencies(value):
            self._young_index.setdefault(dependency, set()).add(key)

    def drop(self, key: str) -> None:
        """Forgets one entry. The index may go on naming it: dropping what is not there is harmless."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def drop_dependents(self, dependency: Hashable) -> None:
        """Forgets every entry that depends on this."""
        for index in (self._young_index, self._old_index):
            for key in index.pop(dependency, ()):
                self.drop(key)
