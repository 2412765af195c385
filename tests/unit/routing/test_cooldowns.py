"""When a deployment is set aside: the rules one by one, and three replicas against a model of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.support.clock import FakeClock
from tests.support.deployments import deployment

from tollway.core.cooldown import Cooldown
from tollway.core.errors import UpstreamError
from tollway.core.routing import Cooldowns
from tollway.core.snapshot import Deployment
from tollway.dialects.openai.errors import upstream_error
from tollway.routing.cooldowns import CooldownBook
from tollway.routing.failure import Failure, failure_of
from tollway.routing.state import DeploymentStates

START = 1_200_000.0
"""The beginning of a minute."""


def failing(status: int, retry_after: str | None = None) -> Failure:
    headers = () if retry_after is None else ((b"retry-after", retry_after.encode()),)
    return failure_of(upstream_error(status, b"{}", "P", headers))


class Replica:
    """One process, with what it tells the others."""

    def __init__(self, clock: FakeClock) -> None:
        self.states = DeploymentStates(clock)
        self.told: list[Cooldown] = []
        self.book = CooldownBook(self.states, lambda _, cooldown: self.told.append(cooldown))

    def fail(self, one: Deployment, failure: Failure, times: int = 1, *, is_alone: bool = False, **rules: Any) -> None:
        for _ in range(times):
            self.book.failed(one, failure, rules=Cooldowns(**rules), is_alone=is_alone)

    def succeed(self, one: Deployment, times: int = 1) -> None:
        self.states.this_minute(one).successes += times

    def rests(self, one: Deployment) -> bool:
        return self.book.find(one) is not None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def replica(clock: FakeClock) -> Replica:
    return Replica(clock)


ONE = deployment("one")


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_what_asking_on_cannot_cure_sets_it_aside_at_once(replica: Replica, clock: FakeClock, status: int) -> None:
    replica.succeed(ONE, 100)
    replica.fail(ONE, failing(status))
    assert replica.rests(ONE)
    clock.advance(4.9)
    assert replica.rests(ONE)
    clock.advance(0.2)
    assert not replica.rests(ONE)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_caller_did_never_does(replica: Replica, status: int) -> None:
    replica.fail(ONE, failing(status), 100)
    assert not replica.rests(ONE)


@pytest.mark.parametrize(
    "failure", [failing(500), failing(503), failing(408), failing(404), failure_of(UpstreamError("refused"))]
)
def test_other_troubles_do_once_they_are_most_of_the_minutes_calls(replica: Replica, failure: Failure) -> None:
    replica.fail(ONE, failure, 4)
    assert not replica.rests(ONE), "four say little"
    replica.succeed(ONE, 5)
    replica.fail(ONE, failure)
    assert not replica.rests(ONE), "half of ten"
    replica.fail(ONE, failure)
    assert replica.rests(ONE)


def test_a_new_minute_begins_anew(replica: Replica, clock: FakeClock) -> None:
    replica.fail(ONE, failing(500), 4)
    clock.advance(60)
    replica.fail(ONE, failing(500), 4)
    assert not replica.rests(ONE)


def test_the_only_deployment_of_a_model_goes_on(replica: Replica) -> None:
    replica.fail(ONE, failing(429), 10, is_alone=True)
    replica.fail(ONE, failing(401), is_alone=True)
    replica.fail(ONE, failing(500), 988, is_alone=True)
    assert not replica.rests(ONE)
    replica.fail(ONE, failing(500), is_alone=True)
    assert replica.rests(ONE), "a thousand in a minute, and none that worked"


def test_the_provider_says_how_long_then_the_deployment_then_the_router(replica: Replica, clock: FakeClock) -> None:
    own = deployment("own", cooldown_s=20)
    replica.fail(ONE, failing(429, retry_after="7"), seconds=100)
    replica.fail(own, failing(429), seconds=100)
    other = deployment("other")
    replica.fail(other, failing(429), seconds=100)
    ends = {cooldown.deployment_id: cooldown.until - START for cooldown in replica.told}
    assert ends == {"one": 7, "own": 20, "other": 100}


def test_a_number_of_fails_that_is_allowed_replaces_the_share(replica: Replica, clock: FakeClock) -> None:
    replica.fail(ONE, failing(429), 3, allowed_fails=3, is_alone=True)
    assert not replica.rests(ONE)
    clock.advance(5.1)
    replica.fail(ONE, failing(429), 3, allowed_fails=3, is_alone=True)
    assert not replica.rests(ONE), "not within one cooldown time"
    replica.fail(ONE, failing(429), allowed_fails=3, is_alone=True)
    assert replica.rests(ONE)


def test_sorts_of_failure_may_be_allowed_differently(replica: Replica) -> None:
    rules: dict[str, Any] = {"allowed_by_sort": {"RateLimitError": 2}}
    replica.fail(ONE, failing(429), 2, **rules)
    assert not replica.rests(ONE)
    replica.fail(ONE, failing(429), **rules)
    assert replica.rests(ONE)


def test_cooldowns_can_be_off_and_never_touch_what_a_pattern_made(replica: Replica) -> None:
    replica.fail(ONE, failing(429), 9, is_on=False)
    replica.fail(ONE, failing(429), 9, seconds=0)
    replica.fail(deployment("many", is_catch_all=True), failing(429), 9)
    assert replica.told == []


class ThreeReplicas(RuleBasedStateMachine):
    """Replicas that hear of each other sooner or later, or never; a deployment rests until the latest end heard."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(START)
        self.replicas = [Replica(self.clock) for _ in range(3)]
        self.deployments = [deployment("a"), deployment("b", cooldown_s=30.0)]
        self.until = [{"a": 0.0, "b": 0.0} for _ in range(3)]
        self.under_way: list[tuple[int, Cooldown]] = []

    @rule(
        who=st.integers(0, 2),
        which=st.integers(0, 1),
        status=st.sampled_from([400, 429, 500]),
        retry_after=st.sampled_from([None, "2", "90"]),
    )
    def fail(self, who: int, which: int, status: int, retry_after: str | None) -> None:
        replica, one = self.replicas[who], self.deployments[which]
        rested = replica.rests(one)
        replica.fail(one, failing(status, retry_after))
        told, replica.told = replica.told, []
        assert len(told) <= (0 if rested or status == 400 else 1)
        assert told or rested or status != 429, "429 sets it aside at once"
        for cooldown in told:
            seconds = float(retry_after) if retry_after else one.cooldown_s or 5.0
            assert cooldown == Cooldown(one.id, self.clock() + seconds, status, cooldown.error_class)
            self.until[who][one.id] = cooldown.until
            self.under_way += [(other, cooldown) for other in range(3) if other != who]

    @rule(position=st.integers(0, 20))
    def hear(self, position: int) -> None:
        if position < len(self.under_way):
            who, cooldown = self.under_way.pop(position)
            self.replicas[who].book.hear(cooldown)
            known = self.until[who][cooldown.deployment_id]
            self.until[who][cooldown.deployment_id] = max(known, cooldown.until)

    @rule(position=st.integers(0, 20))
    def lose(self, position: int) -> None:
        if position < len(self.under_way):
            self.under_way.pop(position)

    @rule(seconds=st.sampled_from([0.5, 3.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def each_rests_as_long_as_the_model_says(self) -> None:
        for replica, until in zip(self.replicas, self.until, strict=True):
            for one in self.deployments:
                assert replica.rests(one) == (until[one.id] > self.clock())


def test_three_replicas_agree_with_a_model_of_them() -> None:
    run_state_machine_as_test(ThreeReplicas, settings=settings(max_examples=60, stateful_step_count=30))
