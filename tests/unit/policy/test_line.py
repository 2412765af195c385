"""Who is next: by priority, then by turns, then as they came."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tollway.policy.line import Line


def served(*waiting: tuple[int, str]) -> list[tuple[int, str]]:
    """Everybody joins, then one after the other is served."""
    line = Line()
    places = [line.join(priority, caller) for priority, caller in waiting]
    order = []
    while line:
        (first,) = [place for place in places if line.is_first(place)]
        order.append((first.key[0], first.caller))
        line.leave(first)
    return order


def test_lower_numbers_go_first_and_equals_as_they_came() -> None:
    assert served((1, "a"), (0, "b"), (1, "c"), (-3, "d")) == [(-3, "d"), (0, "b"), (1, "a"), (1, "c")]


def test_callers_take_turns_however_many_calls_each_has() -> None:
    order = served(*[(0, "greedy")] * 5, (0, "modest"), (0, "modest"))
    assert [caller for _, caller in order] == ["greedy", "modest", "greedy", "modest", "greedy", "greedy", "greedy"]


def test_who_comes_later_does_not_wait_for_turns_long_past() -> None:
    line = Line()
    old = [line.join(0, "old") for _ in range(4)]
    for place in old[:3]:
        line.leave(place)
    new = line.join(0, "new")
    line.join(0, "old")
    line.leave(old[3])
    assert line.is_first(new)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.booleans()), max_size=30))
def test_everybody_is_served_once_in_an_order_that_holds(waiting: list[tuple[int, str, bool]]) -> None:
    line = Line()
    places = [line.join(priority, caller) for priority, caller, _ in waiting]
    for place, (_, _, gives_up) in zip(places, waiting, strict=True):
        if gives_up:
            line.leave(place)
    left = [place for place, (_, _, gives_up) in zip(places, waiting, strict=True) if not gives_up]
    assert len(line) == len(left)
    order = []
    while line:
        (first,) = [place for place in left if line.is_first(place)]
        order.append(first)
        left.remove(first)
        line.leave(first)
    assert [place.key[0] for place in order] == sorted(place.key[0] for place in order)
    for caller in "abc":
        of_caller = [place for place in order if place.caller == caller]
        assert of_caller == sorted(of_caller), "nobody overtakes themselves"
    assert not left


async def test_the_next_is_called_when_the_first_leaves_and_when_there_is_something() -> None:
    line = Line()
    first, second = line.join(0, "a"), line.join(0, "b")
    waits = asyncio.create_task(line.wait(second))
    await asyncio.sleep(0)
    line.call_first()
    await asyncio.sleep(0)
    assert not waits.done(), "it was not its turn"
    line.leave(first)
    await waits
    assert line.is_first(second)
