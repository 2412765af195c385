"""Where answers are kept that are found by what was meant, not only by what was said."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from tollway.ports.responses import KeptAnswer, ResponseStore


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """Where a question lies among others."""

    bucket: str
    """All that two questions must have in common, their words aside: only in one bucket are they compared."""
    vector: tuple[float, ...]
    """What the words mean. In one bucket all vectors have the same length."""


class Similar(msgspec.Struct, frozen=True, gc=False):
    """An answer to a question that is like another."""

    key: str
    """Under which it is kept."""
    answer: KeptAnswer
    similarity: float
    """The cosine of both vectors."""


@runtime_checkable
class SimilarAnswers(ResponseStore, Protocol):
    """A `ResponseStore` that finds answers by meaning too. Nothing here ever fails a call either."""

    async def find(self, meaning: Meaning, threshold: float, *, since: float) -> Similar | None:
        """The nearest answer in the bucket that is not farther than `threshold`, made `since` then (epoch seconds)."""
        ...

    def put_similar(self, key: str, answer: KeptAnswer, ttl_s: float, meaning: Meaning) -> None:
        """Keeps an answer as `put` does, to be found by its key and by its meaning."""
        ...
