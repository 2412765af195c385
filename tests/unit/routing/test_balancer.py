"""Who is asked: weights, orders, those set aside, those tried, and what is said when nobody is left."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import pytest
from tests.support.clock import FakeClock
from tests.support.deployments import chat, deployment, group

from tollway.core.cooldown import Cooldown
from tollway.core.errors import Forbidden, LimitExceeded, Misconfigured, Unauthenticated, UpstreamError
from tollway.core.routing import Cooldowns, Routing, Strategy
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.routing.balancer import Balancer
from tollway.routing.failure import failure_of
from tollway.routing.survey import Survey, Wanted


def balancer(clock: FakeClock | None = None) -> Balancer:
    return Balancer(clock or FakeClock(), lambda deployment, cooldown: None)


def picked(one: ModelGroup, times: int = 200, routing: Routing | None = None, **more: Any) -> Counter[str]:
    chooser = balancer()
    return Counter(chooser.pick(one, routing or Routing(), chat(), **more).id for _ in range(times))


def test_deployments_are_picked_by_weight() -> None:
    three = group("g", deployment("a", weight=1), deployment("b", weight=3), deployment("c", weight=0))
    found = picked(three, 8_000)
    assert found["c"] == 0
    assert 2.5 < found["b"] / found["a"] < 3.6


@pytest.mark.parametrize(
    ("first", "second"),
    [({"rpm": 1}, {"rpm": 3}), ({"tpm": 1}, {"tpm": 3}), ({"rpm": 3, "tpm": 9, "weight": 1}, {"weight": 3})],
)
def test_where_nobody_has_a_weight_their_limits_are_taken_for_it(first: dict[str, int], second: dict[str, int]) -> None:
    found = picked(group("g", deployment("a", **first), deployment("b", **second)), 8_000)
    assert 2.5 < found["b"] / found["a"] < 3.6


def test_one_without_a_limit_among_others_counts_like_the_largest() -> None:
    found = picked(group("g", deployment("a", rpm=1), deployment("b", rpm=4), deployment("c")), 6_000)
    assert 0.8 < found["c"] / found["b"] < 1.25


def test_weights_of_nothing_are_equal_weights() -> None:
    assert set(picked(group("g", deployment("a", weight=0), deployment("b", weight=0)))) == {"a", "b"}


def test_only_the_lowest_order_is_picked_while_one_of_it_was_not_tried() -> None:
    three = group("g", deployment("a", order=2), deployment("b", order=1), deployment("c", order=1))
    assert set(picked(three)) == {"b", "c"}
    assert set(picked(three, tried={"b"})) == {"c"}
    assert set(picked(three, tried={"b", "c"})) == {"a"}
    assert set(picked(three, tried={"a", "b", "c"})) == {"b", "c"}, "all were tried: from the start"


def test_groups_of_one_name_are_weighed_apart() -> None:
    chooser = balancer()
    for _ in range(2):
        for ids in (("a", "b"), ("c", "d")):
            one = group("m", *map(deployment, ids))
            assert {chooser.pick(one, Routing(), chat()).id for _ in range(50)} == set(ids)


def test_groups_that_are_gone_do_not_pile_up() -> None:
    chooser = balancer()
    for number in range(10_000):
        chooser.pick(group("m", deployment(f"a{number}"), deployment(f"b{number}")), Routing(), chat())
    assert len(chooser._pools) < 5_000


def set_aside(chooser: Balancer, clock: FakeClock, one: Deployment, seconds: float = 5) -> None:
    chooser.cooldowns.hear(Cooldown(one.id, clock() + seconds, 429, "RateLimitError"))


def test_one_that_is_set_aside_is_not_picked_until_its_time_is_over() -> None:
    clock = FakeClock()
    chooser = balancer(clock)
    a, b = deployment("a"), deployment("b")
    both = group("g", a, b)
    set_aside(chooser, clock, a)
    assert {chooser.pick(both, Routing(), chat()).id for _ in range(100)} == {"b"}
    clock.advance(5.1)
    assert {chooser.pick(both, Routing(), chat()).id for _ in range(100)} == {"a", "b"}


def test_what_is_known_of_deployments_that_are_gone_is_forgotten_unless_calls_are_on_their_way() -> None:
    chooser, routing = balancer(), Routing(strategy="least-busy")
    gone, busy, stays = deployment("gone"), deployment("busy"), deployment("stays")
    for one in (gone, stays):
        finish(chooser, routing, one, tokens=5)
    on_its_way = chooser.begin(busy)
    chooser.states.keep_only({"stays"})
    assert [chooser.states.of(one).successes for one in (gone, stays)] == [0, 1]
    chooser.left(on_its_way)
    assert chooser.states.of(busy) is on_its_way


def test_a_higher_order_steps_in_while_the_lower_is_set_aside() -> None:
    clock = FakeClock()
    chooser = balancer(clock)
    main, spare = deployment("main"), deployment("spare", order=1)
    set_aside(chooser, clock, main)
    assert chooser.pick(group("g", main, spare), Routing(), chat()) is spare


def test_when_all_are_set_aside_the_caller_is_told_when_the_first_comes_back() -> None:
    clock = FakeClock()
    chooser = balancer(clock)
    a, b = deployment("a"), deployment("b")
    set_aside(chooser, clock, a, 30)
    set_aside(chooser, clock, b, 7)
    with pytest.raises(
        LimitExceeded, match="No deployments available for selected model, Try again in 7 seconds"
    ) as got:
        chooser.pick(group("gpt", a, b), Routing(), chat())
    assert got.value.type == "all_deployments_in_cooldown"
    assert (b"retry-after", b"7") in got.value.headers
    assert "Passed model=gpt" in got.value.message
    assert "cooldown_list=['a', 'b']" in got.value.message


def test_a_prompt_that_is_clearly_too_long_goes_where_it_fits() -> None:
    chooser = balancer()
    small, large = deployment("small", max_input_tokens=100), deployment("large", max_input_tokens=10_000)
    routing = Routing(checks_prompt=True)
    both = group("g", small, large)
    assert {chooser.pick(both, routing, chat(prompt_bytes=401)).id for _ in range(50)} == {"large"}
    assert {chooser.pick(both, Routing(), chat(prompt_bytes=401)).id for _ in range(50)} == {"small", "large"}
    with pytest.raises(UpstreamError) as got:
        chooser.pick(both, routing, chat(prompt_bytes=50_000))
    assert got.value.error_class == "ContextWindowExceededError"


def test_one_that_does_not_offer_the_operation_is_passed_over() -> None:
    chooser = balancer()
    both = group("g", deployment("a"), deployment("b"))
    wanted = Wanted(operation="embeddings", can_serve=lambda one: one.id == "b")
    assert {chooser.pick(both, Routing(), wanted).id for _ in range(50)} == {"b"}
    with pytest.raises(Misconfigured, match="which does not offer embeddings"):
        chooser.pick(group("g", deployment("a")), Routing(), wanted)


@pytest.mark.parametrize(
    ("part", "regions"),
    [
        ("eu", {"eu-west-1", "europe-west4", "West Europe", "swedencentral"}),
        ("us", {"us-east-1", "us-central1", "eastus2", "us"}),
    ],
)
def test_who_is_bound_to_a_part_of_the_world_is_served_there(part: str, regions: set[str]) -> None:
    everywhere = ("eu-west-1", "europe-west4", "West Europe", "swedencentral", "us-east-1", "us-central1", "eastus2",
                  "us", "ap-southeast-2", "australiaeast", "")  # fmt: skip
    all_over = group("g", *(deployment(region or "unknown", region=region) for region in everywhere))
    survey = balancer().survey(all_over, Routing(), chat(region=part))
    assert {one.region for one in survey.candidates} == regions
    with pytest.raises(Forbidden, match=f"bound to: {part}"):
        balancer().pick(group("g", deployment("a", region="ap-south-1")), Routing(), chat(region=part))


# ---- strategies -----------------------------------------------------------------------------------------------------


def test_the_least_busy_has_the_fewest_calls_on_their_way() -> None:
    chooser, routing = balancer(), Routing(strategy="least-busy")
    a, b = deployment("a"), deployment("b")
    both = group("g", a, b)
    busy = chooser.begin(a)
    assert {chooser.pick(both, routing, chat()).id for _ in range(50)} == {"b"}
    chooser.begin(b)
    chooser.left(busy)
    assert {chooser.pick(both, routing, chat()).id for _ in range(50)} == {"a"}


def finish(chooser: Balancer, routing: Routing, one: Deployment, *, latency: float = 0.0, tokens: int = 0) -> None:
    chooser.succeeded(chooser.begin(one), routing, tokens=tokens, latency=latency)


def test_the_quickest_is_chosen_and_one_that_nothing_is_known_of_first() -> None:
    clock = FakeClock()
    chooser, routing = balancer(clock), Routing(strategy="latency-based-routing", latency_kept_s=60)
    a, b, c = deployment("a"), deployment("b"), deployment("c")
    three = group("g", a, b, c)
    finish(chooser, routing, a, latency=0.5)
    finish(chooser, routing, b, latency=0.1)
    assert chooser.pick(three, routing, chat()) is c
    finish(chooser, routing, c, latency=0.12)
    assert {chooser.pick(three, routing, chat()).id for _ in range(50)} == {"b"}
    near = Routing(strategy="latency-based-routing", latency_kept_s=60, latency_buffer=0.5)
    assert {chooser.pick(three, near, chat()).id for _ in range(100)} == {"b", "c"}
    clock.advance(61)
    finish(chooser, routing, b, latency=0.1)
    assert {chooser.pick(three, routing, chat()).id for _ in range(100)} == {"a", "c"}, "what is known of them is old"


def test_usage_goes_by_the_tokens_of_this_minute() -> None:
    clock = FakeClock(1_200_000.0)
    chooser, routing = balancer(clock), Routing(strategy="usage-based-routing-v2")
    a, b = deployment("a"), deployment("b")
    both = group("g", a, b)
    finish(chooser, routing, a, tokens=10)
    assert {chooser.pick(both, routing, chat()).id for _ in range(50)} == {"b"}
    clock.advance(60)
    assert {chooser.pick(both, routing, chat()).id for _ in range(50)} == {"a", "b"}


# ---- tags -----------------------------------------------------------------------------------------------------------

FREE, PAID, DEFAULT, ANY = (
    deployment("free", tags=("free", "eu")),
    deployment("paid", tags=("paid",)),
    deployment("default", tags=("default",)),
    deployment("any"),
)


@pytest.mark.parametrize(
    ("deployments", "tags", "expected"),
    [
        ((FREE, PAID, ANY), ("free",), {"free"}),
        ((FREE, PAID, ANY), ("free", "paid"), {"free", "paid"}),
        ((FREE, PAID, DEFAULT), ("other",), {"default"}),
        ((FREE, PAID, DEFAULT), (), {"default"}),
        ((FREE, PAID, ANY), (), {"free", "paid", "any"}),
    ],
)
def test_calls_go_to_deployments_of_their_tags(
    deployments: tuple[Deployment, ...], tags: tuple[str, ...], expected: set[str]
) -> None:
    chooser, routing = balancer(), Routing(filters_by_tag=True)
    one = group("g", *deployments)
    assert {chooser.pick(one, routing, chat(tags=tags)).id for _ in range(100)} == expected


def test_every_tag_has_to_match_where_the_operator_wants_it_and_only_those_with_the_prefix_count() -> None:
    chooser = balancer()
    one = group("g", FREE, PAID)
    every = Routing(filters_by_tag=True, needs_every_tag=True)
    assert chooser.pick(one, every, chat(tags=("free", "eu"))).id == "free"
    with pytest.raises(Unauthenticated, match="Not allowed to access model due to tags configuration") as got:
        chooser.pick(one, every, chat(tags=("free", "paid")))
    assert (got.value.status, got.value.type) == (401, "internal_server_error")
    prefixed = Routing(filters_by_tag=True, tag_prefix="route-")
    routed = group("g", deployment("r", tags=("route-a",)), deployment("s", tags=("route-b",)))
    assert chooser.pick(routed, prefixed, chat(tags=("team-x", "route-b"))).id == "s"


# ---- affinity -------------------------------------------------------------------------------------------------------


def test_what_belongs_together_goes_to_one_deployment_everywhere() -> None:
    three = group("g", deployment("a", weight=1), deployment("b", weight=1), deployment("c", weight=2))
    homes = {name: balancer().pick(three, Routing(), chat(affinity=name)).id for name in map(str, range(4_000))}
    again = {name: balancer().pick(three, Routing(), chat(affinity=name)).id for name in homes}
    assert homes == again
    shares = Counter(homes.values())
    assert 0.45 < shares["c"] / 4_000 < 0.55, "by weight"


def test_only_the_calls_of_a_deployment_that_is_set_aside_move() -> None:
    clock = FakeClock()
    chooser = balancer(clock)
    b = deployment("b")
    three = group("g", deployment("a"), b, deployment("c"))
    names = [str(number) for number in range(300)]
    before = {name: chooser.pick(three, Routing(), chat(affinity=name)).id for name in names}
    set_aside(chooser, clock, b)
    during = {name: chooser.pick(three, Routing(), chat(affinity=name)).id for name in names}
    assert {name for name in names if before[name] != during[name]} == {name for name in names if before[name] == "b"}


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_however_many_there_are_only_a_few_are_looked_at(strategy: Strategy) -> None:
    hundred = group("g", *(deployment(f"d{number}") for number in range(100)))
    looked_at: list[str] = []

    def can_serve(one: Deployment) -> bool:
        looked_at.append(one.id)
        return True

    chooser = balancer()
    for _ in range(20):
        looked_at.clear()
        chooser.pick(hundred, Routing(strategy=strategy), Wanted(operation="chat", can_serve=can_serve))
        assert len(looked_at) <= 4


def test_of_many_those_that_fare_better_are_chosen() -> None:
    hundred = group("g", *(deployment(f"d{number}") for number in range(100)))
    chooser = balancer()
    busy = {one.id for one in hundred.deployments[:50]}
    for one in hundred.deployments[:50]:
        chooser.begin(one)
    found = [chooser.pick(hundred, Routing(strategy="least-busy"), chat()).id for _ in range(400)]
    assert sum(one in busy for one in found) < 60, "a sixteenth is expected, and half of them by chance"


def test_one_of_many_that_is_set_aside_is_named_where_it_was_drawn() -> None:
    clock = FakeClock()
    chooser = balancer(clock)
    two = group("g", deployment("a", weight=10**15), deployment("b", weight=1))  # others are not drawn in our lifetime
    set_aside(chooser, clock, two.deployments[0])
    surveys: list[Survey] = []
    assert chooser.pick(two, Routing(), chat(), surveys=surveys).id == "b"
    assert [(one.deployment.id, one.why) for survey in surveys for one in survey.skipped] == [("a", "cooldown")]


def test_those_who_only_look_are_told_how_a_deployment_does() -> None:
    clock = FakeClock(600.0)
    chooser = balancer(clock)
    one = deployment("a")
    failure = failure_of(UpstreamError("no", upstream_status=429))
    assert chooser.condition(one) == "working"
    chooser.failed(chooser.begin(one), one, failure, Routing(cooldowns=Cooldowns(seconds=20)), is_alone=False)
    assert chooser.condition(one) == "resting"
    clock.now += 21
    assert chooser.condition(one) == "failing", "it works again, but has failed this minute"
    clock.now += 60
    assert chooser.condition(one) == "working"
