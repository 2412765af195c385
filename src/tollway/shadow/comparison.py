"""Where two answers to one request differ. Pure; nothing that callers or models said is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from tollway.shadow.reading import Reading, Reply, read

Kind = Literal[
    "status", "format", "error", "shape", "events", "model", "finish_reason", "usage", "cost", "header", "text"
]
Value = str | float | None

_COST = "x-litellm-response-cost"
_CALL_ID = "x-litellm-call-id"
_PROMISED = ("x-litellm-", "x-ratelimit-", "llm_provider-")
"""Headers that callers may count on."""
_SAME_MONEY = 1e-6
"""Costs that differ by less, of the greater one, are the same."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not the same."""

    kind: Kind
    path: str
    """Of the JSON, of a header, or empty."""
    primary: Value
    second: Value


def compare(primary: Reply, second: Reply, *, has_text: bool = False) -> list[Difference]:
    """All differences, the graver first. `has_text`: answers are expected to be the same word for word."""
    if primary.status != second.status:
        errors = [found.error if found else "" for found in (read(primary), read(second))]
        statuses = Difference("status", "", primary.status, second.status)
        return [statuses, *([Difference("error", "", *errors)] if errors[0] != errors[1] else [])]
    mine, other = read(primary), read(second)
    found = list(_headers(primary.headers, second.headers))
    if mine is None or other is None or mine.is_stream != other.is_stream:
        kinds = [_format(mine), _format(other)]
        return [*([Difference("format", "", *kinds)] if kinds[0] != kinds[1] else []), *found]
    return [*_bodies(mine, other, has_text=has_text), *_cost(primary, second, mine, other), *found]


def cost(reply: Reply) -> float | None:
    """Dollars, as the answer says."""
    try:
        return float(reply.headers.get(_COST, ""))
    except ValueError:
        return None


def call_id(reply: Reply) -> str | None:
    """By which the gateway's own logs know the call."""
    return reply.headers.get(_CALL_ID)


def _format(reading: Reading | None) -> str:
    return "other" if reading is None else "stream" if reading.is_stream else "json"


def _bodies(mine: Reading, other: Reading, *, has_text: bool) -> Iterator[Difference]:
    if mine.error != other.error:
        yield Difference("error", "", mine.error, other.error)
    if mine.kinds != other.kinds:
        yield Difference("events", "", " ".join(mine.kinds)[:500], " ".join(other.kinds)[:500])
    for path in sorted(mine.shape.keys() | other.shape.keys()):
        types = mine.shape.get(path, "absent"), other.shape.get(path, "absent")
        if types[0] != types[1] and not _is_below_absent(path, mine, other):
            yield Difference("shape", path, *types)
    if mine.model != other.model:
        yield Difference("model", "", mine.model[:200], other.model[:200])
    if mine.reasons != other.reasons:
        yield Difference("finish_reason", "", " ".join(mine.reasons)[:200], " ".join(other.reasons)[:200])
    for path in sorted(mine.usage.keys() & other.usage.keys()):
        if mine.usage[path] != other.usage[path]:
            yield Difference("usage", path, mine.usage[path], other.usage[path])
    if has_text and mine.text != other.text:
        at = next(
            (place for place, pair in enumerate(zip(mine.text, other.text, strict=False)) if pair[0] != pair[1]),
            min(len(mine.text), len(other.text)),
        )
        yield Difference("text", f"from character {at}", len(mine.text), len(other.text))


def _is_below_absent(path: str, mine: Reading, other: Reading) -> bool:
    """What is missing as a whole is said once."""
    above = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
    while above:
        if (above in mine.shape) != (above in other.shape):
            return True
        above = above.removesuffix("[]") if above.endswith("[]") else above.rpartition(".")[0]
    return False


def _cost(primary: Reply, second: Reply, mine: Reading, other: Reading) -> Iterator[Difference]:
    """Of the same usage only: what was used otherwise costs otherwise."""
    costs = cost(primary), cost(second)
    if costs == (None, None) or _differs(mine.usage, other.usage):
        return
    a, b = costs
    if a is None or b is None or abs(a - b) > _SAME_MONEY * max(abs(a), abs(b)):
        yield Difference("cost", "", a, b)


def _differs(mine: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return any(mine[path] != other[path] for path in mine.keys() & other.keys())


def _headers(mine: Mapping[str, str], other: Mapping[str, str]) -> Iterator[Difference]:
    """Those that only one gateway sends; what is in them is not compared."""
    for name in sorted(mine.keys() ^ other.keys()):
        if name.startswith(_PROMISED):
            places = ("present", "absent") if name in mine else ("absent", "present")
            yield Difference("header", name, *places)
