"""Differences of all calls, grouped: a line of JSON for each call that differs, and a summary."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import msgspec

from tollway.shadow.comparison import Difference, call_id, compare, cost
from tollway.shadow.reading import Reply

_EXAMPLES = 3
_GROUPS = 2000
"""More kinds of differences than anybody reads: what comes after is counted together."""
_LATEST = 10_000
_TWENTIETHS = 20

_encode = msgspec.json.Encoder().encode


class Group(msgspec.Struct):
    """A difference that was seen again and again."""

    count: int = 0
    examples: list[dict[str, Any]] = []


class Report:
    """Everything that was found. `write` gets lines of JSON, without their ends."""

    def __init__(self, write: Callable[[bytes], None] = lambda line: None, *, has_text: bool = False) -> None:
        self._write = write
        self._has_text = has_text
        self._groups: dict[tuple[str, str, str], Group] = {}
        self._seconds: tuple[deque[float], deque[float]] = (deque(maxlen=_LATEST), deque(maxlen=_LATEST))
        self._costs = [0.0, 0.0]
        self.compared = 0
        self.same = 0
        self.left_out: Counter[str] = Counter()
        """Sampled calls that were not compared, by the reason."""

    def add(self, route: str, primary: Reply, second: Reply) -> list[Difference]:
        """One call that both have answered. `route`: method and path."""
        found = compare(primary, second, has_text=self._has_text)
        self.compared += 1
        self.same += not found
        for place, reply in enumerate((primary, second)):
            self._seconds[place].append(reply.seconds)
            self._costs[place] += cost(reply) or 0.0
        ids = {"primary": call_id(primary), "second": call_id(second)}
        for one in found:
            self._count(route, one, ids)
        if found:
            self._write(_encode(self._line(route, found, ids, primary, second)))
        return found

    def leave_out(self, reason: str) -> None:
        """One that cannot be compared."""
        self.left_out[reason] += 1

    def summary(self) -> dict[str, Any]:
        """All there is to say, the most frequent difference first."""
        ordered = sorted(self._groups.items(), key=lambda item: (-item[1].count, item[0]))
        return {
            "compared": self.compared,
            "same": self.same,
            "left_out": dict(self.left_out),
            "cost": {"primary": self._costs[0], "second": self._costs[1]},
            "seconds": {name: _spread(list(self._seconds[at])) for at, name in enumerate(("primary", "second"))},
            "differences": [
                {"route": route, "kind": kind, "path": path, "count": group.count, "examples": group.examples}
                for (route, kind, path), group in ordered
            ],
        }

    def close(self) -> None:
        """Writes the summary as the last line."""
        self._write(_encode({"summary": self.summary()}))

    def _count(self, route: str, found: Difference, ids: dict[str, str | None]) -> None:
        key: tuple[str, str, str] = (route, found.kind, found.path)
        if key not in self._groups and len(self._groups) >= _GROUPS:
            key = ("", "more", "")
        group = self._groups.setdefault(key, Group())
        group.count += 1
        seen = [(one["primary"], one["second"]) for one in group.examples]
        if len(seen) < _EXAMPLES and (found.primary, found.second) not in seen:
            example = {"primary": found.primary, "second": found.second, "call_ids": ids}
            group.examples = [*group.examples, example]

    def _line(
        self, route: str, found: Sequence[Difference], ids: dict[str, str | None], primary: Reply, second: Reply
    ) -> dict[str, Any]:
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "route": route,
            "call_ids": ids,
            "seconds": {"primary": round(primary.seconds, 4), "second": round(second.seconds, 4)},
            "differences": found,
        }


def _spread(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {name: round(value, 4) for name, value in zip(("p50", "p95"), seconds * 2, strict=False)}
    cuts = quantiles(seconds, n=_TWENTIETHS, method="inclusive")
    return {"p50": round(cuts[_TWENTIETHS // 2 - 1], 4), "p95": round(cuts[-1], 4)}
