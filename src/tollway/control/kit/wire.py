"""What documents on the wire have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """An answer, or a part of an answer or of a request.

    What reads and writes it is built with the first route that needs it (`kit.late`).
    """

    model_config = ConfigDict(defer_build=True, protected_namespaces=())
