"""What a probe of a deployment has found."""

from __future__ import annotations

import msgspec

PROBE_TAG = "health-check"
"""On the record of a probe that the gateway makes by itself."""


class Checked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One probe of one deployment."""

    health_check_id: str
    model_id: str
    model_name: str
    """The public name."""
    is_healthy: bool
    status_code: int = 200
    """What its provider answered, or what stands for it; 200 where it works."""
    error_class: str = ""
    error_message: str = ""
    response_ms: float = 0.0
    checked_by: str = ""
    """Which process has made it."""
    checked_at: int
    """Epoch microseconds."""
