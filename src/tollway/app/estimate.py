"""Counting what a provider did not report."""

from __future__ import annotations

from tollway.accounting import tokens
from tollway.core.snapshot import Operation
from tollway.core.usage import Usage


async def estimate(body: bytes, text: str, model: str, operation: Operation) -> Usage:
    """Exact counts of prompt and answer, marked as the gateway's own. Long texts are counted in a thread."""
    return await tokens.count_in_thread(tokens.usage_for, body, text, model=model)
