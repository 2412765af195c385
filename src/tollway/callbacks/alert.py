"""One thing that somebody ought to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Level = Literal["Low", "Medium", "High"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """As it is told."""

    type: str
    """The contract's name: `budget_alerts`."""
    level: Level
    message: str
    at: float
    """Epoch seconds."""
    subject: str = ""
    """What it is about: alerts of one type about one subject are one alert, for a while."""
    event: Mapping[str, Any] = {}
    """Fields of the `WebhookEvent`; empty: there is none for this."""
