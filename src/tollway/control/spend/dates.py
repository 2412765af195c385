"""Days and moments as queries write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta

from tollway.core.errors import InvalidRequest
from tollway.ports.spend import Days

DEFAULT_DAYS = 30
_MAX_DAYS = 3660
_MICROS = 1_000_000
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
"""A day before and a day after can still be counted."""
_MOMENT = "%Y-%m-%d %H:%M:%S"


def read_days(start_date: str | None, end_date: str | None, *, now: float) -> Days:
    """The days between two dates (`YYYY-MM-DD`); without them the last 30. Raises `InvalidRequest`."""
    last = read_date("end_date", end_date) or datetime.fromtimestamp(now, UTC).date()
    first = read_date("start_date", start_date) or last - timedelta(days=DEFAULT_DAYS)
    if not 0 <= (last - first).days <= _MAX_DAYS:
        raise InvalidRequest(
            f"start_date {first} must not be after end_date {last}, nor more than {_MAX_DAYS} days before it.",
            param="start_date",
            type="bad_request_error",
        )
    return Days(first, last)


def require_days(start_date: str | None, end_date: str | None) -> Days:
    """The same where both are needed. Raises `InvalidRequest` that names the one that is missing."""
    for name, value in (("start_date", start_date), ("end_date", end_date)):
        if not value:
            raise InvalidRequest(
                f"Please provide start_date and end_date (YYYY-MM-DD): {name} is missing.",
                param=name,
                type="bad_request_error",
            )
    return read_days(start_date, end_date, now=0)


def read_date(name: str, text: str | None) -> date | None:
    """A date as `YYYY-MM-DD`; what follows a day (a time) is left out. Raises `InvalidRequest`."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        day = date.fromisoformat(text[:10])
        if _FIRST_YEAR <= day.year <= _LAST_YEAR:
            return day
    raise InvalidRequest(f"Invalid {name} {text[:40]!r}. Use YYYY-MM-DD.", param=name, type="bad_request_error")


def read_moment(name: str, text: str | None) -> int:
    """`YYYY-MM-DD HH:MM:SS` in UTC as epoch microseconds; a day alone is its beginning. Raises `InvalidRequest`."""
    if not text:
        raise InvalidRequest(f"{name} is required: YYYY-MM-DD HH:MM:SS (UTC).", param=name, type="bad_request")
    for form in (_MOMENT, "%Y-%m-%d"):
        with contextlib.suppress(ValueError):
            moment = datetime.strptime(text, form).replace(tzinfo=UTC)
            if _FIRST_YEAR <= moment.year <= _LAST_YEAR:
                return micros_of(moment)
    raise InvalidRequest(
        f"Invalid {name} {text[:40]!r}. Use YYYY-MM-DD HH:MM:SS (UTC).", param=name, type="bad_request"
    )


def first_micros(day: date) -> int:
    """When a day begins, as epoch microseconds."""
    return micros_of(datetime(day.year, day.month, day.day, tzinfo=UTC))


def micros_of(moment: datetime) -> int:
    """Epoch microseconds."""
    return int(moment.timestamp()) * _MICROS


def day_of(micros: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(micros // _MICROS, UTC).date()


def every_day(days: Days) -> list[str]:
    """ISO dates, oldest first."""
    return [(days.first + timedelta(days=offset)).isoformat() for offset in range((days.last - days.first).days + 1)]
