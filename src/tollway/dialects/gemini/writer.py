"""What a request is written with: who it is for, and what could not be said."""

from __future__ import annotations

import re

from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import CacheHint, Request, Seal
from tollway.dialects.generation.writer import Writer

_GENERATION = re.compile(r"gemini-(\d+)")


class GeminiWriter(Writer):
    """Collects the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.model = target.model.lower()
        self.seals = target.seals
        self.is_own = request.origin == "gemini"
        match = _GENERATION.search(self.model)
        self.generation = int(match.group(1)) if match else 0
        """Of the model: 2 for `gemini-2.5-pro`; 0: its name does not say."""

    def lose_hint(self, hint: CacheHint | None, field: str) -> None:
        """Gemini caches by itself what repeats."""
        if hint is not None:
            self.lose(LossKind.CACHE_HINT, field)

    def own(self, seal: Seal | None, field: str) -> Seal | None:
        """A seal that the model can open; None for others."""
        if seal is None or seal.origin in self.seals:
            return seal
        self.lose(LossKind.FOREIGN_SEAL, field)
        return None
