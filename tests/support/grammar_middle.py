"""The rules for the events of the middle form, as a checker: `answer.py` states them."""

from __future__ import annotations

from collections.abc import Iterable

from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Failed,
    Metered,
    PartEnded,
    PartStarted,
    Pinged,
    Sealed,
    Started,
    Stopped,
)


class Illegal(AssertionError):
    """A sequence that no decoder may emit."""


def check_events(events: Iterable[Event], *, is_whole: bool = True) -> None:
    """Raises `Illegal` at the first event that may not stand where it does. `is_whole`: the answer came to its end."""
    is_started = has_failed = False
    open_parts: set[int] = set()
    numbers: dict[int, int] = {}
    stopped: set[int] = set()
    for event in events:
        if has_failed:
            raise Illegal(f"{event} after a failure")
        if isinstance(event, Started):
            if is_started:
                raise Illegal("started twice")
            is_started = True
            continue
        if isinstance(event, Failed):
            has_failed = True
            continue
        if isinstance(event, Metered | Pinged):
            continue
        if not is_started:
            raise Illegal(f"{event} before the start")
        if event.choice in stopped:
            raise Illegal(f"{event} after its choice has stopped")
        match event:
            case PartStarted():
                if event.choice in open_parts:
                    raise Illegal(f"{event} while another part is open")
                if event.index != numbers.get(event.choice, 0):
                    raise Illegal(f"{event} has a number out of order")
                numbers[event.choice] = event.index + 1
                open_parts.add(event.choice)
            case Delta() | Sealed() | Cited():
                if event.choice not in open_parts:
                    raise Illegal(f"{event} while no part is open")
            case PartEnded():
                if event.choice not in open_parts:
                    raise Illegal("ended twice")
                open_parts.remove(event.choice)
            case Stopped():
                if event.choice in open_parts:
                    raise Illegal("stopped with an open part")
                stopped.add(event.choice)
    if is_whole and not has_failed and (not is_started or not stopped or open_parts):
        raise Illegal("it has no end")
