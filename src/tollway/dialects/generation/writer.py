"""What every renderer of requests starts from: the request, who it is for, and what gets lost on the way."""

from __future__ import annotations

from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import Request


class Writer:
    """One request on its way into a format."""

    def __init__(self, request: Request, target: Target) -> None:
        """Nothing is lost yet."""
        self.request = request
        self.target = target
        self.losses: dict[Loss, None] = {}

    def lose(self, kind: LossKind, field: str) -> None:
        """Notes what the target cannot be told, once."""
        self.losses[Loss(kind, field)] = None
