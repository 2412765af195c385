"""Budget windows and key lifetimes, computed from time alone, so that no reset depends on a job having run.

The boundaries are the wire contract's where a stateless rule can give them:

| duration | window |
|---|---|
| `10s`, `5m`, `2h` | a grid that starts anew at each minute, hour or local midnight: the next larger unit |
| `1d`, `24h`, `daily` | from reset time to reset time |
| `7d`, `1w`, `weekly` | from Monday |
| `2d`, `10d`, `2w`, `48h` | a grid of that many days, counted from Monday 2024-01-01 |
| `30d`, `1mo`, `monthly` | the calendar month |
| `36h` and the like | an even grid of that length, counted from the same Monday |

The contract counts `2d`, `10d` and `2w` from the day of the last reset, which takes stored state and drifts when a
reset is missed. A fixed grid has windows of the same length and needs neither; Monday keeps `2w` in step with `1w`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from math import inf
from typing import Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

Unit = Literal["s", "m", "h", "d", "w", "mo"]

ANCHOR = date(2024, 1, 1)
"""A Monday: day 0 of every grid of days."""

_SECONDS: dict[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONGEST_S = 100 * 366 * _DAY
_WRITTEN = re.compile(r"([1-9][0-9]{0,10})(mo|[smhdw])")
_NAMED = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}


class Window(NamedTuple):
    """A half-open span of time: epoch seconds, `start` included, `end` not."""

    start: int
    end: float
    """`inf`: never ends."""


FOREVER = Window(0, inf)


class Duration(NamedTuple):
    """A length of time as people write it."""

    number: int
    unit: Unit

    @property
    def seconds(self) -> int | None:
        """Fixed length; None for calendar months."""
        return None if self.unit == "mo" else self.number * _SECONDS[self.unit]


def parse_duration(text: str) -> Duration:
    """`30s`, `5m`, `2h`, `90d`, `1w`, `1mo`. Raises `ValueError` for anything else, and for more than a century."""
    written = _WRITTEN.fullmatch(text)
    if written is not None:
        duration = Duration(int(written[1]), cast("Unit", written[2]))
        if (duration.seconds or duration.number * 31 * _DAY) <= _LONGEST_S:
            return duration
    raise ValueError(f"Invalid duration '{text}'. Use a format like '30s', '5m', '2h', '90d', '1w' or '1mo'.")


def duration_s(text: str) -> float:
    """Seconds of a duration, also `hourly` and the like; months as long as the first ones of 1970.

    Raises `ValueError`.
    """
    return expires_at("1h" if text == "hourly" else _NAMED.get(text, text), 0.0)


def expires_at(duration: str, now: float) -> float:
    """When a key made `now` with this lifetime expires: epoch seconds.

    Months are calendar months in UTC: one month after 31 January is the last day of February.
    """
    number, unit = parse_duration(duration)
    if unit != "mo":
        return now + number * _SECONDS[unit]
    born = datetime.fromtimestamp(now, UTC)
    year, month = divmod(born.year * 12 + born.month - 1 + number, 12)
    last_day = (_first_of_month(year * 12 + month + 1) - timedelta(days=1)).day
    return born.replace(year=year, month=month + 1, day=min(born.day, last_day)).timestamp()


def window(duration: str | None, now: float, *, timezone: str = "UTC", reset_time: str = "00:00") -> Window:
    """The window of a budget that `now` lies in; None: one that never ends.

    `timezone` is an IANA name, `reset_time` the local `HH:MM` at which windows of a day and longer begin. Across a
    change of the clocks a day lasts 23 or 25 hours. Raises `ValueError` for a duration, zone or time that is none.
    """
    if duration is None:
        return FOREVER
    number, unit = _budget_duration(duration)
    zone = _zone(timezone)
    resets = _time_of_day(reset_time)
    today = datetime.fromtimestamp(now, zone).date()

    def month_starts(month: int) -> int:
        return _instant(_first_of_month(month), resets, zone)

    if unit == "mo":
        return _enclosing(month_starts, _month_of(today), now)

    length = number * _SECONDS[unit]
    days, is_uneven = divmod(length, _DAY)

    def days_start(index: int) -> int:
        return _instant(ANCHOR + timedelta(days=index * days), resets, zone)

    if not is_uneven:
        return _enclosing(days_start, (today - ANCHOR).days // days, now)
    if days:
        return _even(_instant(ANCHOR, resets, zone), length, now)
    return _within_day(length, now, zone, today)


def stored_window(duration: str | None, now: float, *, timezone: str, reset_time: str) -> Window:
    """The same for a duration that was stored, which may be none: it counts for a day, as with the counters."""
    try:
        return window(duration, now, timezone=timezone, reset_time=reset_time)
    except ValueError:
        return window("1d", now, timezone=timezone, reset_time=reset_time)


def _budget_duration(text: str) -> Duration:
    try:
        duration = parse_duration(_NAMED.get(text, text))
    except ValueError:
        duration = None
    if duration is None or (duration.unit == "mo" and duration.number > 1):
        raise ValueError(f"Invalid budget_duration '{text}'. Use a format like '1h', '1d', '7d', '30d' or '1mo'.")
    return Duration(1, "mo") if duration == (30, "d") else duration


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":  # needs no zone database, which small images lack
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"Unknown timezone '{name}'. Use a name like 'UTC' or 'Europe/Paris'.") from None


@lru_cache(maxsize=64)
def _time_of_day(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise ValueError(f"Invalid budget_reset_time '{text}'. Use HH:MM, like '00:00' or '06:30'.") from None


def _instant(day: date, at: time, zone: tzinfo) -> int:
    """Epoch second of a local time. One that the clocks skip is the same span after the jump; of two, the first."""
    return int(datetime.combine(day, at, zone).timestamp())


def _month_of(day: date) -> int:
    return day.year * 12 + day.month - 1


def _first_of_month(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def _enclosing(starts: Callable[[int], int], guess: int, now: float) -> Window:
    """The window `now` lies in, where `starts(i)` begins window `i`.

    The guess comes from the local date: off by one before the reset time, and where clocks go back past midnight.
    """
    while starts(guess) > now:
        guess -= 1
    while starts(guess + 1) <= now:
        guess += 1
    return Window(starts(guess), starts(guess + 1))


def _even(anchor: int, length: int, now: float) -> Window:
    start = anchor + int((now - anchor) // length) * length
    return Window(start, start + length)


def _within_day(length: int, now: float, zone: tzinfo, today: date) -> Window:
    """A window shorter than a day: an even grid inside the enclosing minute, hour or local day, cut off at its end."""
    midnight = time(0)
    day = _enclosing(lambda n: _instant(ANCHOR + timedelta(days=n), midnight, zone), (today - ANCHOR).days, now)
    block = next(size for size in (_MINUTE, _HOUR, _DAY, 2 * _DAY) if length < size)
    outer = day if block >= _DAY else _even(day.start, block, now)
    inner = _even(outer.start, length, now)
    return Window(inner.start, min(inner.end, outer.end, day.end))
