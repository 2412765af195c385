"""How much memory a process may have, and what happens beyond that."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from tollway.app import memory
from tollway.policy.gate import Gate

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_the_operator_says_how_much_or_the_container(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    assert memory.ceiling(5, 4, cgroup=limit) == 5
    assert memory.ceiling(None, 1, cgroup=limit) is None
    limit.write_text("max\n")
    assert memory.ceiling(None, 1, cgroup=limit) is None
    limit.write_text("1000\n")
    assert memory.ceiling(None, 1, cgroup=limit) == 900
    assert memory.ceiling(None, 3, cgroup=limit) == 300


async def test_the_gate_closes_above_the_ceiling_and_opens_well_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "_LOOK_S", 0.005)
    statm, gate = tmp_path / "statm", Gate()

    async def looks(pages: int) -> bool:
        statm.write_text(f"1 {pages} 1 1")
        await asyncio.sleep(0.05)
        return gate.is_short_of_memory

    statm.write_text("1 1 1 1")
    watching = asyncio.create_task(memory.watch_memory(gate, 100 * PAGE, statm=statm))
    with caplog.at_level(logging.WARNING):
        assert [await looks(pages) for pages in (99, 101, 99, 94, 99)] == [False, True, True, False, False]
    assert len(caplog.records) == 2, "one line for each change"
    watching.cancel()


async def test_where_the_system_does_not_tell_nothing_is_watched(tmp_path: Path) -> None:
    await memory.watch_memory(Gate(), 1, statm=tmp_path / "none")
