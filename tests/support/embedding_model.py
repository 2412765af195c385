"""A small real embedding model that works offline: WordLlama, whose weights of 256 dimensions are in its wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def _model() -> Any:
    import wordllama

    # The package looks for a cache before it downloads anything; its own folder is laid out like one.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def embed(text: str) -> list[float]:
    """What the text means, as far as such a model knows."""
    vector: list[float] = _model().embed([text])[0].tolist()
    return vector
