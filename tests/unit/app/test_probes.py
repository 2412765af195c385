"""When a deployment is probed."""

from __future__ import annotations

from itertools import pairwise

from tollway.app.probes import is_due
from tollway.core.health import Checked

START = 1_700_000_000.0


def checked(at: float) -> Checked:
    return Checked(health_check_id="c", model_id="a", model_name="m", is_healthy=True, checked_at=int(at * 1e6))


def test_one_that_was_never_probed_is_due() -> None:
    assert is_due("a", None, START, 300)


def test_each_is_probed_once_in_every_interval_at_a_moment_of_its_own() -> None:
    moments: dict[str, list[float]] = {}
    for name in map(str, range(50)):
        last = None
        for second in range(0, 3000, 5):
            now = START + second
            if is_due(name, last, now, 300):
                moments.setdefault(name, []).append(now)
                last = checked(now)
    for found in moments.values():
        assert all(later - earlier == 300 for earlier, later in pairwise(found[1:]))
        assert 10 <= len(found) <= 11
    assert len({found[1] % 300 for found in moments.values()}) > 25, "they are spread over the interval"
