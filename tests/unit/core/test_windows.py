from __future__ import annotations

from datetime import UTC, datetime, time
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollway.core.windows import Window, duration_s, expires_at, parse_duration, window

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo")
DURATIONS = (
    "1s",
    "7s",
    "30s",
    "90s",
    "1m",
    "45m",
    "90m",
    "1h",
    "5h",
    "24h",
    "36h",
    "1d",
    "2d",
    "7d",
    "10d",
    "2w",
    "30d",
)


def epoch(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


NOW = epoch("2026-01-14 10:17:23")
"""A Wednesday."""


@pytest.mark.parametrize(
    ("duration", "next_reset"),
    [
        ("10s", "2026-01-14 10:17:30"),
        ("1m", "2026-01-14 10:18:00"),
        ("5m", "2026-01-14 10:20:00"),
        ("45m", "2026-01-14 10:45:00"),
        ("1h", "2026-01-14 11:00:00"),
        ("2h", "2026-01-14 12:00:00"),
        ("5h", "2026-01-14 15:00:00"),
        ("24h", "2026-01-15 00:00:00"),
        ("1d", "2026-01-15 00:00:00"),
        ("daily", "2026-01-15 00:00:00"),
        ("2d", "2026-01-16 00:00:00"),
        ("7d", "2026-01-19 00:00:00"),
        ("1w", "2026-01-19 00:00:00"),
        ("weekly", "2026-01-19 00:00:00"),
        ("30d", "2026-02-01 00:00:00"),
        ("1mo", "2026-02-01 00:00:00"),
        ("monthly", "2026-02-01 00:00:00"),
    ],
)
def test_resets_are_where_the_contract_measured_them(duration: str, next_reset: str) -> None:
    assert window(duration, NOW).end == epoch(next_reset)


@pytest.mark.parametrize(
    ("duration", "start", "end"),
    [
        ("90s", "2026-01-14 10:16:30", "2026-01-14 10:18:00"),
        ("10d", "2026-01-10 00:00:00", "2026-01-20 00:00:00"),
        ("2w", "2026-01-12 00:00:00", "2026-01-26 00:00:00"),
        ("36h", "2026-01-14 00:00:00", "2026-01-15 12:00:00"),
    ],
)
def test_windows_without_a_natural_boundary_lie_on_a_fixed_grid(duration: str, start: str, end: str) -> None:
    assert window(duration, NOW) == Window(epoch(start), epoch(end))


def test_a_short_last_window_ends_with_the_larger_unit() -> None:
    assert window("45m", epoch("2026-01-14 10:50:00")) == (epoch("2026-01-14 10:45:00"), epoch("2026-01-14 11:00:00"))
    assert window("5h", epoch("2026-01-14 21:00:00")) == (epoch("2026-01-14 20:00:00"), epoch("2026-01-15 00:00:00"))


def test_no_duration_is_one_window_that_never_ends() -> None:
    assert window(None, NOW) == Window(0, inf)


@pytest.mark.parametrize("duration", ["2mo", "1y", "5", "xyz", "", "0d", "-1d", "1.5h", "1 d", "99999999999d", "1D"])
def test_an_unusable_budget_duration_is_named_together_with_usable_ones(duration: str) -> None:
    with pytest.raises(ValueError) as error:
        window(duration, NOW)
    assert str(error.value).startswith(f"Invalid budget_duration '{duration}'. Use a format like '1h'")


@pytest.mark.parametrize(
    ("timezone", "reset_time", "message"),
    [
        ("Mars/Olympus", "00:00", "Unknown timezone 'Mars/Olympus'"),
        ("/etc/passwd", "00:00", "Unknown timezone '/etc/passwd'"),
        ("UTC", "24:00", "Invalid budget_reset_time '24:00'"),
        ("UTC", "noon", "Invalid budget_reset_time 'noon'"),
    ],
)
def test_an_unusable_setting_is_named(timezone: str, reset_time: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window("1d", NOW, timezone=timezone, reset_time=reset_time)


instants = st.floats(min_value=epoch("2025-12-01 00:00:00"), max_value=epoch("2027-01-05 00:00:00"))


@given(instants, st.sampled_from(DURATIONS), st.sampled_from(ZONES), st.sampled_from(["00:00", "02:30", "23:45"]))
def test_windows_tile_time(now: float, duration: str, zone: str, reset_time: str) -> None:
    found = window(duration, now, timezone=zone, reset_time=reset_time)
    assert found.start <= now < found.end
    assert window(duration, found.start, timezone=zone, reset_time=reset_time) == found
    assert window(duration, found.end - 0.001, timezone=zone, reset_time=reset_time) == found
    assert window(duration, found.end, timezone=zone, reset_time=reset_time).start == found.end
    assert window(duration, found.start - 0.001, timezone=zone, reset_time=reset_time).end == found.start


@given(st.floats(min_value=epoch("2010-01-01 00:00:00"), max_value=epoch("2011-12-31 00:00:00")))
@example(float(epoch("2010-11-07 02:45:00")))
def test_windows_tile_time_where_the_clocks_go_back_past_midnight(now: float) -> None:
    """Newfoundland changed its clocks at 00:01, so that one night the day before came back for an hour."""
    for duration in ("1h", "1d", "30d"):
        found = window(duration, now, timezone="America/St_Johns")
        assert found.start <= now < found.end
        assert window(duration, found.end, timezone="America/St_Johns").start == found.end


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("reset_time", ["00:00", "06:30"])
def test_each_of_400_days_is_one_window_that_starts_at_the_reset_time(zone: str, reset_time: str) -> None:
    now: float = epoch("2025-12-01 12:00:00")
    hours = set()
    for _ in range(400):
        found = window("1d", now, timezone=zone, reset_time=reset_time)
        hours.add((found.end - found.start) / 3600)
        local = datetime.fromtimestamp(found.start, ZoneInfo(zone))
        at_midnight_skipped = local.time() == time(1) and reset_time == "00:00"
        assert local.strftime("%H:%M") == reset_time or at_midnight_skipped
        now = found.end
    changes_clocks = zone not in ("UTC", "Asia/Kolkata")
    assert len(hours) == (3 if changes_clocks else 1)


@pytest.mark.parametrize("zone", ZONES)
def test_months_start_on_the_first_whatever_their_length(zone: str) -> None:
    now: float = epoch("2025-12-31 12:00:00")
    starts = []
    for _ in range(14):
        found = window("30d", now, timezone=zone)
        starts.append(datetime.fromtimestamp(found.start, ZoneInfo(zone)))
        now = found.end
    assert [(start.year, start.month, start.day) for start in starts] == [
        (2025, 12, 1),
        *((2026, month, 1) for month in range(1, 13)),
        (2027, 1, 1),
    ]


def test_a_day_follows_the_clocks() -> None:
    spring = window("1d", epoch("2026-03-08 12:00:00", "America/New_York"), timezone="America/New_York")
    autumn = window("1d", epoch("2026-11-01 12:00:00", "America/New_York"), timezone="America/New_York")
    assert (spring.end - spring.start, autumn.end - autumn.start) == (23 * 3600, 25 * 3600)


def test_before_the_reset_time_the_window_is_yesterdays() -> None:
    found = window("1d", epoch("2026-01-14 06:29:59"), reset_time="06:30")
    assert found == (epoch("2026-01-13 06:30:00"), epoch("2026-01-14 06:30:00"))


@pytest.mark.parametrize(
    ("duration", "born", "expires"),
    [
        ("30s", "2026-01-14 10:17:23", "2026-01-14 10:17:53"),
        ("5m", "2026-01-14 10:17:23", "2026-01-14 10:22:23"),
        ("2h", "2026-01-14 10:17:23", "2026-01-14 12:17:23"),
        ("90d", "2026-01-14 10:17:23", "2026-04-14 10:17:23"),
        ("1w", "2026-01-14 10:17:23", "2026-01-21 10:17:23"),
        ("1mo", "2026-01-31 10:17:23", "2026-02-28 10:17:23"),
        ("1mo", "2028-01-31 10:17:23", "2028-02-29 10:17:23"),
        ("1mo", "2026-12-31 10:17:23", "2027-01-31 10:17:23"),
        ("12mo", "2026-01-14 10:17:23", "2027-01-14 10:17:23"),
    ],
)
def test_a_lifetime_is_plain_arithmetic_but_for_calendar_months(duration: str, born: str, expires: str) -> None:
    found = expires_at(duration, epoch(born))
    assert datetime.fromtimestamp(found, UTC).isoformat(sep=" ", timespec="seconds") == f"{expires}+00:00"


def test_an_unusable_lifetime_is_named() -> None:
    with pytest.raises(ValueError, match="Invalid duration 'soon'"):
        expires_at("soon", NOW)


def test_a_duration_knows_its_seconds_unless_it_is_of_months() -> None:
    assert parse_duration("2w").seconds == 1209600
    assert parse_duration("1mo").seconds is None


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("90s", 90), ("1d", 86_400), ("daily", 86_400), ("hourly", 3600), ("1mo", 31 * 86_400), ("monthly", 31 * 86_400)],
)
def test_a_duration_has_a_length(duration: str, seconds: int) -> None:
    assert duration_s(duration) == seconds
