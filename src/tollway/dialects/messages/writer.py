"""What the parts of a renderer share: the request, its target, and what gets lost on the way."""

from __future__ import annotations

from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.request import Request
from tollway.dialects.generation.writer import Writer
from tollway.dialects.messages.models import traits_of


class MessagesWriter(Writer):
    """Collects the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        """Nothing is lost yet."""
        super().__init__(request, target)
        self.model = traits_of(target.model)
        self.is_own = request.origin == "messages"
