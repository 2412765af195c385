"""Every table: whoever imports this sees the whole of `metadata`."""

from __future__ import annotations

from tollway.db import keys, ledger
from tollway.db.metadata import metadata

__all__ = ["keys", "ledger", "metadata"]
