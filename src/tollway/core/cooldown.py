"""Word that a deployment is set aside, as processes tell each other."""

from __future__ import annotations

import msgspec


class Cooldown(msgspec.Struct, frozen=True, array_like=True):
    """One deployment that is not to be asked for a while."""

    deployment_id: str
    until: float
    """Epoch seconds."""
    status: int
    """What its provider answered; 0 and statuses of ours where it did not."""
    error_class: str
