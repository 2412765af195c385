from __future__ import annotations

import random
from collections.abc import Hashable

from tollway.policy.recently_used import RecentlyUsed

Value = tuple[int, tuple[Hashable, ...]]
"""A number and what it depends on."""


def kept(size: int) -> RecentlyUsed[str, Value]:
    return RecentlyUsed(size, dependencies=lambda value: value[1])


def indexed(entries: RecentlyUsed[str, Value]) -> int:
    """How many times the index names an entry."""
    generations = (entries._young, entries._old)
    return sum(len(keys) for generation in generations for keys in generation.dependents.values())


def test_what_was_put_is_found_until_it_is_dropped() -> None:
    entries = kept(10)
    assert entries.get("a") is None
    entries.put("a", (1, ()))
    assert entries.get("a") == (1, ())
    entries.put("a", (2, ()))
    assert entries.get("a") == (2, ())
    entries.drop("a")
    entries.drop("a")
    assert entries.get("a") is None


def test_there_are_never_more_entries_than_the_size() -> None:
    entries = kept(10)
    for number in range(1000):
        entries.put(str(number), (number, (number % 7,)))
        assert len(entries) <= 10
    assert entries.get("999") == (999, (999 % 7,))
    assert entries.get("0") is None


def test_what_is_used_outlives_what_is_not() -> None:
    entries = kept(10)
    entries.put("used", (0, ()))
    for number in range(100):
        entries.put(str(number), (number, ()))
        assert entries.get("used") == (0, ())


def test_what_is_not_used_is_gone_after_two_generations() -> None:
    entries = kept(10)
    entries.put("idle", (0, ()))
    for number in range(10):
        entries.put(str(number), (number, ()))
    assert entries.get("idle") is None


def test_everything_that_depends_on_something_is_dropped_and_nothing_else() -> None:
    entries = kept(100)
    for number in range(30):
        entries.put(str(number), (number, ("all", number % 3)))
    entries.drop_dependents(1)
    assert [number for number in range(30) if entries.get(str(number))] == [n for n in range(30) if n % 3 != 1]
    entries.drop_dependents("all")
    assert len(entries) == 0


def test_dependents_are_dropped_from_both_generations() -> None:
    entries = kept(4)
    for name in ("old", "older", "young"):
        entries.put(name, (0, ("team",)))
    entries.drop_dependents("team")
    assert [entries.get(name) for name in ("old", "older", "young")] == [None, None, None]


def test_an_entry_put_again_depends_on_what_it_says_now() -> None:
    entries = kept(10)
    entries.put("a", (1, ("before",)))
    entries.put("a", (2, ("after",)))
    entries.drop_dependents("before")
    assert entries.get("a") == (2, ("after",))
    entries.drop_dependents("after")
    assert entries.get("a") is None


def test_an_entry_moved_to_the_young_generation_is_still_dropped_with_what_it_depends_on() -> None:
    entries = kept(4)
    entries.put("a", (1, ("team",)))
    entries.put("b", (1, ()))
    entries.put("c", (1, ()))
    assert entries.get("a") is not None
    entries.drop_dependents("team")
    assert entries.get("a") is None


def test_the_index_names_only_what_is_kept() -> None:
    entries = kept(20)
    chance = random.Random(7)
    for number in range(5000):
        key = str(chance.randrange(40))
        match chance.randrange(4):
            case 0 | 1:
                entries.put(key, (number, (chance.randrange(5), "all")))
            case 2:
                entries.drop(key)
            case _:
                entries.drop_dependents(chance.randrange(5))
        assert indexed(entries) == 2 * len(entries)
