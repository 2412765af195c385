"""Watches how much memory this process has, and closes the gate while that is too much.

Linux tells it in `/proc/self/statm` (proc(5)), and what a container may have in its control group (cgroup v2,
`memory.max`). Elsewhere nothing is watched.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from tollway.policy.gate import Gate

_log = logging.getLogger(__name__)

_LOOK_S = 0.25
_SHARE = 0.9
"""Of what a container may have."""
_ENOUGH = 0.95
"""The gate opens again below this part of the ceiling."""
_STATM = Path("/proc/self/statm")
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def ceiling(configured: int | None, workers: int, *, cgroup: Path = _CGROUP) -> int | None:
    """The most bytes that one process may have; None: no limit is known."""
    if configured is not None:
        return configured
    try:
        allowed = cgroup.read_text().strip()
    except OSError:
        return None
    return int(int(allowed) * _SHARE / max(1, workers)) if allowed.isdecimal() else None


async def watch_memory(gate: Gate, most_bytes: int, *, statm: Path = _STATM) -> None:
    """Closes and opens the gate, for ever; returns at once where the system does not tell."""
    while (resident := _resident_bytes(statm)) is not None:
        is_short = resident > most_bytes * (_ENOUGH if gate.is_short_of_memory else 1.0)
        if is_short != gate.is_short_of_memory:
            gate.is_short_of_memory = is_short
            mebibytes = resident >> 20
            if is_short:
                _log.error("memory: %d MiB are more than this process may have; calls are refused", mebibytes)
            else:
                _log.warning("memory: %d MiB; calls are served again", mebibytes)
        await asyncio.sleep(_LOOK_S)


def _resident_bytes(statm: Path) -> int | None:
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None
