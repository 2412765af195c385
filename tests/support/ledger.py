"""Reading back what the gateway recorded."""

from __future__ import annotations

import time
from typing import Any

from tests.support.gateway import Gateway


def spend_logs(gateway: Gateway, key: str, *, count: int) -> list[dict[str, Any]]:
    """The `count` records of a key, newest first; they are inserted in batches shortly after the answer."""
    give_up_at = time.monotonic() + 10
    while True:
        records: list[dict[str, Any]] = gateway.admin("GET", f"/spend/logs?api_key={key}")
        if len(records) >= count or time.monotonic() > give_up_at:
            assert len(records) == count, records
            return records
        time.sleep(0.05)
