"""A bounded dictionary that forgets what was not used lately, and can drop by what an entry depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Generation(Generic[K, T]):
    """Entries, and for everything they depend on which of them do."""

    __slots__ = ("dependents", "entries")

    def __init__(self) -> None:
        self.entries: dict[K, T] = {}
        self.dependents: dict[Hashable, set[K]] = {}


class RecentlyUsed(Generic[K, T]):
    """Two generations: when the young one is full it becomes the old one, and the old one is dropped.

    Using an entry moves it to the young one. So a hit is one look-up, and nothing is sorted or linked. Each generation
    keeps its own index of what its entries depend on: it names what is in there, nothing else, so it is bounded too.
    """

    def __init__(self, size: int, *, dependencies: Callable[[T], Iterable[Hashable]] = lambda _: ()) -> None:
        """`dependencies`: what makes a value out of date when it changes; see `drop_dependents`."""
        self._half = max(1, size // 2)
        self._dependencies = dependencies
        self._young: _Generation[K, T] = _Generation()
        self._old: _Generation[K, T] = _Generation()

    def __len__(self) -> int:
        """How many entries are kept."""
        return len(self._young.entries) + len(self._old.entries)

    def get(self, key: K) -> T | None:
        """The value, if it is still known."""
        value = self._young.entries.get(key)
        if value is None and (value := self._remove(self._old, key)) is not None:
            self._add(key, value)
        return value

    def put(self, key: K, value: T) -> None:
        """Keeps a value; it may push out what was not used lately."""
        self.drop(key)
        self._add(key, value)

    def drop(self, key: K) -> None:
        """Forgets one entry."""
        self._remove(self._young, key)
        self._remove(self._old, key)

    def clear(self) -> None:
        """Forgets everything."""
        self._young, self._old = _Generation(), _Generation()

    def drop_dependents(self, dependency: Hashable) -> None:
        """Forgets every entry that depends on this."""
        for generation in (self._young, self._old):
            for key in tuple(generation.dependents.get(dependency, ())):
                self._remove(generation, key)

    def _add(self, key: K, value: T) -> None:
        if len(self._young.entries) >= self._half:
            self._young, self._old = _Generation(), self._young
        self._young.entries[key] = value
        for dependency in self._dependencies(value):
            self._young.dependents.setdefault(dependency, set()).add(key)

    def _remove(self, generation: _Generation[K, T], key: K) -> T | None:
        value = generation.entries.pop(key, None)
        if value is None:
            return None
        for dependency in self._dependencies(value):
            dependents = generation.dependents[dependency]
            dependents.discard(key)
            if not dependents:
                del generation.dependents[dependency]
        return value
