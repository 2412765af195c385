"""Keys that are no good: answered slowly where many come from one address, and in nobody else's way."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

import pytest
from tests.support.embedded import embedded_gateway

from tollway.policy.strangers import MOST_WAITING, PATIENCE

CONFIG = {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "lemon"}}]}


async def test_guesses_wait_and_callers_do_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with embedded_gateway(tmp_path, CONFIG) as gateway:
        key = await gateway.create_key()
        early = [(await gateway.chat(key=f"sk-guess-{number}")).status for number in range(PATIENCE)]
        assert early == [401] * PATIENCE
        with caplog.at_level(logging.WARNING, logger="tollway.policy.strangers"):
            guesses = [
                asyncio.create_task(gateway.chat(key=f"sk-guess-{number}-more")) for number in range(MOST_WAITING + 1)
            ]
            await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
            assert (await gateway.chat(key=key)).status == 200, "a good key from the same address"
            statuses = Counter([(await task).status for task in guesses])
        metrics = await (await gateway.get("/metrics")).text()
    assert statuses == {401: MOST_WAITING, 429: 1}
    assert [record.getMessage() for record in caplog.records if "answered slowly" in record.getMessage()]
    assert f"{PATIENCE + MOST_WAITING + 1}.0" in next(
        line for line in metrics.splitlines() if line.startswith("tollway_") and 'reason="unknown"' in line
    )
