"""Figures of the process and the interpreter, under the names that prometheus_client gives them.

One process alone leaves them to prometheus_client. Where several are shown as one, each writes its own here, without
that library, and they are added up by what is said in `PROCESS_FIGURES`.
"""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_SELF = Path("/proc/self")


class ProcessFigure(NamedTuple):
    """One series, or one per generation of the garbage collector."""

    kind: str
    meaning: str
    over_workers: Callable[[Iterable[float]], float]


PROCESS_FIGURES: Mapping[str, ProcessFigure] = {
    "process_virtual_memory_bytes": ProcessFigure("gauge", "Virtual memory size in bytes.", sum),
    "process_resident_memory_bytes": ProcessFigure(
        "gauge", "Resident memory size in bytes; memory that workers share counts for each.", sum
    ),
    "process_start_time_seconds": ProcessFigure(
        "gauge", "Start time of the oldest worker since unix epoch in seconds.", min
    ),
    "process_cpu_seconds_total": ProcessFigure("counter", "Total user and system CPU time spent in seconds.", sum),
    "process_open_fds": ProcessFigure("gauge", "Number of open file descriptors.", sum),
    "process_max_fds": ProcessFigure("gauge", "Maximum number of open file descriptors of one process.", max),
    "python_gc_objects_collected_total": ProcessFigure("counter", "Objects collected during gc", sum),
    "python_gc_objects_uncollectable_total": ProcessFigure("counter", "Uncollectable objects found during GC", sum),
    "python_gc_collections_total": ProcessFigure("counter", "Number of times this generation was collected", sum),
}
_OF_GENERATIONS = {
    "python_gc_objects_collected_total": "collected",
    "python_gc_objects_uncollectable_total": "uncollectable",
    "python_gc_collections_total": "collections",
}
_PAGE_BYTES = resource.getpagesize()


def figure_of(series: str) -> ProcessFigure:
    """What a series is: its name may have labels behind it."""
    return PROCESS_FIGURES[series.partition("{")[0]]


def read_process(started_at: float) -> dict[str, float]:
    """The figures of this process by series. Those of memory and files only where the system tells them (Linux)."""
    times = os.times()
    figures = {
        "process_start_time_seconds": started_at,
        "process_cpu_seconds_total": times.user + times.system,
        "process_max_fds": float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }
    if _SELF.exists():
        virtual, resident = (_SELF / "statm").read_text().split()[:2]
        figures["process_virtual_memory_bytes"] = float(int(virtual) * _PAGE_BYTES)
        figures["process_resident_memory_bytes"] = float(int(resident) * _PAGE_BYTES)
        figures["process_open_fds"] = float(len(os.listdir(_SELF / "fd")))  # noqa: PTH208 - names alone
    for number, statistics in enumerate(gc.get_stats()):
        for name, field in _OF_GENERATIONS.items():
            figures[f'{name}{{generation="{number}"}}'] = float(statistics[field])
    return figures


def counters_of(figures: Mapping[str, float]) -> dict[str, float]:
    """Those that only grow: what is left of a process that has ended."""
    return {series: value for series, value in figures.items() if figure_of(series).kind == "counter"}
