"""Answers in this process's memory that are found by meaning too. Needs numpy, which is imported with this module."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tollway.ports.responses import KeptAnswer
from tollway.ports.similar import Meaning, Similar
from tollway.stores.memory.responses import MemoryResponseStore

_FIRST_ROWS = 8
_BYTES_A_NUMBER = 4
_FURTHER_BYTES = 200
"""Of an entry that has a meaning."""


class MemorySimilarAnswers(MemoryResponseStore):
    """`ports.similar.SimilarAnswers` for one process. All vectors of a bucket are compared: there are never many."""

    kind = "local-semantic"

    def __init__(self, clock: Callable[[], float], *, max_bytes: int) -> None:
        """`clock` gives epoch seconds."""
        super().__init__(clock, max_bytes=max_bytes)
        self._shelves: dict[str, _Shelf] = {}
        """By bucket."""
        self._buckets: dict[str, str] = {}
        """By key."""

    async def find(self, meaning: Meaning, threshold: float, *, since: float) -> Similar | None:
        """The nearest answer in the bucket, if it is near enough, and was made since then."""
        shelf = self._shelves.get(meaning.bucket)
        if shelf is None:
            return None
        for key, similarity in shelf.nearest(_unit(meaning.vector), threshold):
            answer = await self.get(key)
            if answer is not None and answer.created_at >= since:
                return Similar(key, answer, similarity)
        return None

    def put_similar(self, key: str, answer: KeptAnswer, ttl_s: float, meaning: Meaning) -> None:
        """Keeps an answer, to be found by its meaning too."""
        size = len(meaning.vector) * _BYTES_A_NUMBER + len(meaning.bucket) + _FURTHER_BYTES
        if self._keep(key, answer, ttl_s, more_bytes=size):
            self._buckets[key] = meaning.bucket
            self._shelves.setdefault(meaning.bucket, _Shelf(len(meaning.vector))).add(key, _unit(meaning.vector))

    @override
    async def clear(self) -> None:
        """Forgets every answer."""
        await super().clear()
        self._shelves.clear()
        self._buckets.clear()

    @override
    def _drop(self, key: str) -> bool:
        bucket = self._buckets.pop(key, None)
        if bucket is not None:
            shelf = self._shelves[bucket]
            shelf.remove(key)
            if not shelf.keys:
                del self._shelves[bucket]
        return super()._drop(key)


class _Shelf:
    """The vectors of one bucket, each of length 1, as the rows of one matrix."""

    __slots__ = ("_matrix", "_rows", "keys")

    def __init__(self, dimensions: int) -> None:
        self._matrix = np.zeros((_FIRST_ROWS, dimensions), np.float32)
        self.keys: list[str] = []
        """Of the rows that are used: the first ones."""
        self._rows: dict[str, int] = {}

    def add(self, key: str, vector: NDArray[np.float32]) -> None:
        row = len(self.keys)
        if row == len(self._matrix):
            self._matrix = np.concatenate((self._matrix, np.zeros_like(self._matrix)))
        self._matrix[row] = vector
        self._rows[key] = row
        self.keys.append(key)

    def remove(self, key: str) -> None:
        """The last row takes its place."""
        row, last = self._rows.pop(key), self.keys.pop()
        if last != key:
            self._matrix[row] = self._matrix[len(self.keys)]
            self.keys[row] = last
            self._rows[last] = row
        if _FIRST_ROWS < len(self._matrix) >= 4 * len(self.keys):
            self._matrix = self._matrix[: len(self._matrix) // 2].copy()

    def nearest(self, vector: NDArray[np.float32], threshold: float) -> list[tuple[str, float]]:
        """Those near enough, with their cosines; the nearest first."""
        cosines = self._matrix[: len(self.keys)] @ vector
        near = np.flatnonzero(cosines >= threshold)
        order = near[np.argsort(-cosines[near], kind="stable")]
        return [(self.keys[row], min(1.0, float(cosines[row]))) for row in order]


def _unit(vector: tuple[float, ...]) -> NDArray[np.float32]:
    numbers = np.asarray(vector, np.float64)
    unit: NDArray[np.float32] = (numbers / np.linalg.norm(numbers)).astype(np.float32)
    return unit
