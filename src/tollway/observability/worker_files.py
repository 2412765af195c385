"""Workers of one gateway show their metrics as one: each keeps its figures in a file, and a scrape adds up all files.

A worker writes its file every second (later where that would take more than a fiftieth of its time), when it answers a
scrape and when it ends. What a scrape has shown is therefore in files, and outlives whoever counted it. The figures of
a worker that has ended are folded into one file by the process that started it; that file names whose figures it holds,
so that none counts twice.

A file holds one msgpack array; its format concerns one start of one version, and nothing reads it later.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from threading import Lock

import msgspec

from tollway.observability.counts import (
    TALLIES,
    TIMES,
    CallCounts,
    CallLabels,
    DeploymentFigures,
    KeyBudget,
    Reading,
)
from tollway.observability.merging import left_behind, merge
from tollway.observability.metrics import Metrics
from tollway.observability.process import read_process

_SUFFIX = ".metrics"
_DEPARTED = "departed"
_AT_ONCE = 200
"""Records that are encoded in one go: other threads wait for so long."""

_tallies = attrgetter(*TALLIES)
_observed = attrgetter(*(f"{name}.counts" for name in TIMES))
_totals = attrgetter(*(f"{name}.total" for name in TIMES))

_Row = tuple[CallLabels, tuple[int, ...], tuple[list[int], ...], tuple[float, ...]]
_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(list[_Row]).decode


class _Written(msgspec.Struct, frozen=True, array_like=True):
    """A `Reading`, but for its counts, which are in pieces."""

    bounds: tuple[float, ...]
    rows: list[bytes]
    key_budgets: dict[str, KeyBudget]
    soft_budgets_crossed: dict[str, int]
    in_flight: int
    folded_calls: int
    gauges: dict[str, float]
    departed: list[str]
    process: dict[str, float]
    deployments: list[DeploymentFigures]
    tallies: dict[tuple[str, str], int]


_decode = msgspec.msgpack.Decoder(_Written).decode


class WorkerFigures:
    """The figures of one worker, in a folder that it shares with the others."""

    def __init__(self, folder: Path, name: str, metrics: Metrics) -> None:
        """`name`: unique among all workers that ever write to the folder."""
        self._folder = folder
        self._name = name
        self._metrics = metrics
        self._started_at = time.time()
        self._budgets: dict[str, KeyBudget] = {}
        self._writing = Lock()

    def write(self) -> None:
        """Replaces this worker's file by how things are now. Raises `OSError`."""
        with self._writing:
            reading = msgspec.structs.replace(self._metrics.read(), process=read_process(self._started_at))
            self._budgets = _stamped(reading, self._budgets)
            _write(self._folder, self._name, msgspec.structs.replace(reading, key_budgets=self._budgets))

    def read(self) -> Reading:
        """The sum of all workers. Raises `OSError`."""
        with suppress(OSError):  # a full disk: what this worker wrote last has to do
            self.write()
        living, departed = read_all(self._folder)
        return merge(living, departed)

    def render(self) -> bytes:
        """Every series in Prometheus' text format 0.0.4, summed over the workers. Raises `OSError`."""
        from tollway.observability.exposition import render  # noqa: PLC0415 - 14 MB that only a scrape needs

        return render(self.read())


def read_all(folder: Path) -> tuple[list[Reading], Reading | None]:
    """What workers at work have written, and the sum of those that ended, as of one moment."""
    while True:
        # A worker folded in meanwhile is in the sum, which is read last; then its own file does not count.
        try:
            living = {path.stem: _read(path) for path in sorted(folder.glob(f"*{_SUFFIX}")) if path.stem != _DEPARTED}
        except FileNotFoundError:
            continue
        departed = _read_if_any(folder, _DEPARTED)
        gone = frozenset[str]() if departed is None else departed.departed
        return [reading for name, reading in living.items() if name not in gone], departed


def fold(folder: Path, name: str) -> None:
    """A worker of this name has ended: its last figures become part of the sum. Raises `OSError`.

    To be called by one process alone.
    """
    departed = left_behind(_read_if_any(folder, _DEPARTED), _read_if_any(folder, name), name)
    _write(folder, _DEPARTED, departed)
    _path(folder, name).unlink(missing_ok=True)


def _stamped(reading: Reading, known: dict[str, KeyBudget]) -> dict[str, KeyBudget]:
    """Each budget with the moment at which it was first found like this."""
    now = time.monotonic()
    return {
        key_hash: last
        if (last := known.get(key_hash)) is not None and _is_same(last, budget)
        else KeyBudget(budget.key_alias, budget.budget_nanos, budget.spent_nanos, now)
        for key_hash, budget in reading.key_budgets.items()
    }


def _is_same(one: KeyBudget, other: KeyBudget) -> bool:
    return (one.spent_nanos, one.budget_nanos, one.key_alias) == (
        other.spent_nanos,
        other.budget_nanos,
        other.key_alias,
    )


def _write(folder: Path, name: str, reading: Reading) -> None:
    unfinished = folder / f"{name}.unfinished"
    unfinished.write_bytes(_encoded(reading))
    unfinished.replace(_path(folder, name))


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{_SUFFIX}"


def _read(path: Path) -> Reading:
    return _decoded(path.read_bytes())


def _read_if_any(folder: Path, name: str) -> Reading | None:
    try:
        return _read(_path(folder, name))
    except FileNotFoundError:
        return None


def _encoded(reading: Reading) -> bytes:
    counts = reading.counts
    return _encode(
        _Written(
            bounds=tuple(counts[0].total.bounds) if counts else (),
            rows=list(_encoded_rows(counts)),
            key_budgets=dict(reading.key_budgets),
            soft_budgets_crossed=dict(reading.soft_budgets_crossed),
            in_flight=reading.in_flight,
            folded_calls=reading.folded_calls,
            gauges=dict(reading.gauges),
            departed=sorted(reading.departed),
            process=dict(reading.process),
            deployments=list(reading.deployments),
            tallies=dict(reading.tallies),
        )
    )


def _encoded_rows(counts: Sequence[CallCounts]) -> Iterator[bytes]:
    for start in range(0, len(counts), _AT_ONCE):
        yield _encode(
            [(each.labels, _tallies(each), _observed(each), _totals(each)) for each in counts[start : start + _AT_ONCE]]
        )


def _decoded(written: bytes) -> Reading:
    found = _decode(written)
    return Reading(
        counts=[_counts(row, found.bounds) for rows in found.rows for row in _decode_rows(rows)],
        key_budgets=found.key_budgets,
        soft_budgets_crossed=found.soft_budgets_crossed,
        in_flight=found.in_flight,
        folded_calls=found.folded_calls,
        gauges=found.gauges,
        departed=frozenset(found.departed),
        process=found.process,
        deployments=found.deployments,
        tallies=found.tallies,
    )


def _counts(row: _Row, bounds: tuple[float, ...]) -> CallCounts:
    labels, tallies, observed, totals = row
    counts = CallCounts(labels, bounds)
    for name, value in zip(TALLIES, tallies, strict=True):
        setattr(counts, name, value)
    for name, buckets, total in zip(TIMES, observed, totals, strict=True):
        histogram = getattr(counts, name)
        histogram.counts, histogram.total = buckets, total
    return counts
