"""What is known of deployments while calls are made: how busy, how quick, how reliable. One process's own view.

Everything is a plain number under the deployment's id, changed where an attempt begins and ends, so that a call costs
two look-ups however many deployments there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tollway.core.snapshot import Deployment

_MINUTE_S = 60
_WEIGHT_OF_NEWEST = 0.3
"""Of a measurement in the moving average: the last handful of calls make up nearly all of it."""
_PENALTY = 1000.0
"""Seconds for each output token: what a timeout counts as."""


class DeploymentState:
    """One deployment. Times are epoch seconds."""

    __slots__ = (
        "fails",
        "fails_counted_from",
        "failures",
        "id",
        "in_flight",
        "latency",
        "measured_at",
        "minute",
        "successes",
        "tokens",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.in_flight = 0
        self.minute = 0
        """To which the next three belong."""
        self.successes = 0
        self.failures = 0
        self.tokens = 0
        self.fails = 0
        """Failures since the moment below, for whoever has said how many are borne."""
        self.fails_counted_from = 0.0
        self.latency = 0.0
        """Of whole answers seconds for each output token, of streams to the first one: an average in which the newest
        weigh most."""
        self.measured_at = 0.0
        """0: never."""

    @property
    def attempts(self) -> int:
        """Those of this minute that have ended."""
        return self.successes + self.failures

    def turn_to(self, now: float) -> None:
        """Forgets what belongs to an earlier minute."""
        minute = int(now / _MINUTE_S)
        if self.minute != minute:
            self.minute = minute
            self.successes = self.failures = self.tokens = 0

    def measure(self, latency: float, now: float, kept_s: float) -> None:
        """Takes one latency into the average; begins anew where the last is older than `kept_s`."""
        if not self.measured_at or now - self.measured_at > kept_s:
            self.latency = latency
        else:
            self.latency += (latency - self.latency) * _WEIGHT_OF_NEWEST
        self.measured_at = now

    def penalize(self, now: float, kept_s: float) -> None:
        """A call that timed out: slower than any that did not."""
        self.measure(_PENALTY, now, kept_s)


class DeploymentStates:
    """All of them, by id. They outlive snapshots."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds: cooldowns travel between machines."""
        self._clock = clock
        self._states: dict[str, DeploymentState] = {}

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock()

    def of(self, deployment: Deployment) -> DeploymentState:
        """Its state, made where there is none."""
        state = self._states.get(deployment.id)
        if state is None:
            state = self._states[deployment.id] = DeploymentState(deployment.id)
        return state

    def tokens_this_minute(self, deployments: Sequence[Deployment]) -> list[int]:
        """What each has had since the minute began. Changes nothing."""
        minute = int(self._clock() / _MINUTE_S)
        return [state.tokens if state.minute == minute else 0 for state in map(self.of, deployments)]

    def this_minute(self, deployment: Deployment) -> DeploymentState:
        """The same, with what belonged to an earlier minute forgotten."""
        state = self.of(deployment)
        state.turn_to(self._clock())
        return state

    def has_failed_lately(self, deployment: Deployment) -> bool:
        """Whether an attempt failed this minute. Changes nothing."""
        state = self._states.get(deployment.id)
        return state is not None and state.failures > 0 and state.minute == int(self._clock() / _MINUTE_S)

    def keep_only(self, served: Collection[str]) -> None:
        """Forgets deployments that are served no more, unless calls are on their way to them."""
        self._states = {key: one for key, one in self._states.items() if key in served or one.in_flight}
