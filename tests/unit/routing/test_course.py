"""What is tried after a failure: retries, pauses, fallbacks, and where it ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.errors import UpstreamError
from tollway.core.routing import Fallbacks, Retries, Routing
from tollway.core.wishes import NO_WISHES, Wishes
from tollway.dialects.openai.errors import upstream_error
from tollway.routing.course import Course
from tollway.routing.failure import Failure, failure_of


def failing(status: int, message: str = "no", retry_after: str | None = None) -> Failure:
    headers = () if retry_after is None else ((b"retry-after", retry_after.encode()),)
    return failure_of(upstream_error(status, b'{"error":{"message":"%s"}}' % message.encode(), "P", headers))


REFUSED = failure_of(UpstreamError("No connection.", is_retryable=True))
TOO_LONG = failing(400, "maximum context length")
OBJECTED = failing(400, "content_policy_violation")


def course(routing: Routing | None = None, wishes: Wishes = NO_WISHES, group: str = "g") -> Course:
    return Course(group, routing or Routing(), wishes)


def tries(one: Course, failure: Failure, *, others: bool = False) -> int:
    """Attempts of a group at which each fails."""
    made = 1
    one.note("d")
    while one.may_retry(failure, others=others):
        made += 1
        one.note("d")
    return made


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_twice_more(status: int) -> None:
    assert tries(course(), failing(status)) == 3


def test_a_connection_that_fails_too() -> None:
    assert tries(course(), REFUSED) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_the_caller_has_to_mend_is_tried_once(status: int) -> None:
    assert tries(course(), failing(status), others=True) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_accepted_may_be_elsewhere(status: int) -> None:
    assert tries(course(), failing(status)) == 1
    assert tries(course(), failing(status), others=True) == 3


def test_a_policy_overrides_everything_for_its_sort_of_failure() -> None:
    policy = Retries(at_most=1, by_sort={"BadRequestError": 3, "RateLimitError": 0}, by_group={"h": {"Default": 4}})
    routing = Routing(retries=policy)
    assert tries(course(routing), failing(400)) == 4
    assert tries(course(routing), failing(429)) == 1
    assert tries(course(routing), failing(500)) == 2
    assert tries(course(routing, group="h"), failing(500)) == 5
    assert tries(course(routing, Wishes(retries=9)), failing(429)) == 1


def test_the_caller_may_want_more_or_fewer() -> None:
    assert tries(course(wishes=Wishes(retries=0)), failing(500)) == 1
    assert tries(course(wishes=Wishes(retries=5)), failing(500)) == 6
    assert tries(course(wishes=Wishes(retries=5)), failing(400)) == 1


def test_the_provider_says_how_long_to_wait() -> None:
    one = course()
    one.note("d")
    assert one.pause_s(failing(429, retry_after="7")) == 7
    assert one.pause_s(failing(429, retry_after="61")) <= 8, "nobody waits for an hour"
    assert one.pause_s(failing(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")) <= 0.5


@given(st.integers(1, 50))
def test_pauses_grow_to_a_bound_with_some_spread(attempts: int) -> None:
    one = course(Routing(retries=Retries(at_most=100)))
    for _ in range(attempts):
        one.note("d")
    longest = min(8.0, 0.5 * 2 ** (attempts - 1))
    assert longest / 2 <= one.pause_s(failing(500)) <= longest
    least = course(Routing(retries=Retries(least_wait_s=20)))
    least.note("d")
    assert least.pause_s(failing(500)) == 20


# ---- fallbacks ------------------------------------------------------------------------------------------------------


def path(one: Course, *failures: Failure) -> list[str | None]:
    """Where a call goes that fails everywhere, in turn with these failures, the last of them for good."""
    found = []
    for number in range(20):
        found.append(one.next_group(failures[min(number, len(failures) - 1)]))
        if found[-1] is None:
            break
    return found


def routing_with(**lists: Any) -> Routing:
    return Routing(fallbacks=Fallbacks(**lists))


def test_fallbacks_are_tried_in_order_then_those_of_the_fallbacks_and_none_twice() -> None:
    one = course(routing_with(general={"g": ("a", "b"), "a": ("c", "g"), "b": ("a",)}))
    assert path(one, failing(500)) == ["a", "b", "c", None]
    assert one.fallbacks == 3


def test_those_without_a_list_take_the_star_else_the_default() -> None:
    assert path(course(routing_with(general={"*": ("s",)}, default=("d",))), failing(500)) == ["s", None]
    assert path(course(routing_with(general={"x": ("s",)}, default=("d",))), failing(500)) == ["d", None]


def test_a_prompt_that_is_too_long_has_a_list_of_its_own() -> None:
    lists = routing_with(general={"g": ("a",)}, context_window={"g": ("long",)}, content_policy={"g": ("lax",)})
    assert path(course(lists), TOO_LONG, failing(500)) == ["long", None]
    assert path(course(lists), OBJECTED, failing(500)) == ["lax", None]
    assert path(course(lists), failing(500)) == ["a", None]


def test_where_such_lists_are_configured_without_this_model_the_error_is_told() -> None:
    assert path(course(routing_with(general={"g": ("a",)}, context_window={"x": ("long",)})), TOO_LONG) == [None]
    assert path(course(routing_with(general={"g": ("a",)})), TOO_LONG) == ["a", None]


def test_depth_is_bounded() -> None:
    chain = {"g": ("m0",), **{f"m{number}": (f"m{number + 1}",) for number in range(20)}}
    assert path(course(routing_with(general=chain)), failing(500)) == [*(f"m{number}" for number in range(5)), None]
    assert path(course(routing_with(general=chain, at_most=2)), failing(500)) == ["m0", "m1", None]


def test_the_caller_names_fallbacks_instead_or_wants_none() -> None:
    configured = routing_with(general={"g": ("a",), "mine": ("b",)})
    assert path(course(configured, Wishes(fallbacks={"*": ("mine",)})), failing(500)) == ["mine", "b", None]
    assert path(course(configured, Wishes(fallbacks={"g": ("mine",)})), failing(500)) == ["mine", "b", None]
    assert path(course(configured, Wishes(refuses_fallbacks=True)), failing(500)) == [None]
    wishes = Wishes(context_window_fallbacks={"g": ("long",)})
    assert path(course(configured, wishes), TOO_LONG, failing(500)) == ["long", None]


def test_each_group_has_retries_of_its_own() -> None:
    one = course(routing_with(general={"g": ("a",)}))
    assert tries(one, failing(500)) == 3
    assert one.next_group(failing(500)) == "a"
    assert one.tried == set()
    assert tries(one, failing(500)) == 3
