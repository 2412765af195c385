"""From a model group to the deployment that is asked: who can serve the call, who works, and who of them is chosen.

    all of the group ── can serve it ── fits it ── not set aside ── not tried ── lowest order ── strategy

A call to a group in which nothing is amiss costs one look into a list of weights made before; and however many
deployments a group has, no call looks at more than a few of them unless it has to.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from tollway.core.cooldown import Cooldown
from tollway.core.routing import Routing, Strategy
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.routing.affinity import bound_to
from tollway.routing.cooldowns import CooldownBook
from tollway.routing.failure import Failure
from tollway.routing.probes import ProbeBook
from tollway.routing.refusals import nobody
from tollway.routing.regions import is_in
from tollway.routing.state import DeploymentState, DeploymentStates
from tollway.routing.strategies import STRATEGIES, all_cheapest, weights
from tollway.routing.survey import Skipped, Survey, Wanted
from tollway.routing.tags import fits_tags

_GROUPS_KEPT = 4096
_DRAWS = 4
"""Deployments that are drawn before all of the group are looked at."""
_FEW = 8
"""So many are compared with each other; of more, some that are drawn."""
_COMPARED = 4
_COMPARING = frozenset({"least-busy", "latency-based-routing", "usage-based-routing", "usage-based-routing-v2"})
"""Strategies that compare what is known of deployments, which changes with every call."""
Condition = Literal["working", "failing", "resting"]
"""Of a deployment: nothing speaks against it, it failed this minute, it is set aside."""
_BYTES_PER_TOKEN = 4
"""Of a prompt, roughly: only what is clearly too long is left out before it is sent."""


class Balancer:
    """Chooses deployments by what it knows of them. Lives as long as the process."""

    def __init__(self, clock: Callable[[], float], tell: Callable[[Deployment, Cooldown], None]) -> None:
        """`clock` gives epoch seconds; `tell` takes cooldowns to other processes."""
        self.states = DeploymentStates(clock)
        self.cooldowns = CooldownBook(self.states, tell)
        self.probes = ProbeBook(clock)
        self._pools: dict[tuple[int, Strategy], _Pool] = {}
        """Of groups, found by identity: a group that is held keeps its id its own."""

    def pick(
        self,
        group: ModelGroup,
        routing: Routing,
        wanted: Wanted,
        tried: Collection[str] = (),
        surveys: list[Survey] | None = None,
    ) -> Deployment:
        """One deployment of the group that was not `tried` (ids), or where all were, one of them.

        Where more than the first that was drawn had to be looked at, `surveys` is told what was found. Raises what the
        caller is to be told where none can be asked.
        """
        if not (tried or routing.filters_by_tag or wanted.affinity or wanted.is_explained):
            drawn = self._draw(group, routing, wanted, surveys)
            if drawn is not None:
                return drawn
        survey = self.survey(group, routing, wanted)
        if surveys is not None:
            surveys.append(survey)
        if not survey.candidates:
            raise nobody(group, survey.skipped, wanted)
        fresh = [one for one in survey.candidates if one.id not in tried] if tried else survey.candidates
        chosen_from = _of_lowest_order(fresh or survey.candidates)
        if len(chosen_from) == 1:
            return chosen_from[0]
        if wanted.affinity:
            return bound_to(wanted.affinity, chosen_from)
        return STRATEGIES[routing.strategy](chosen_from, self.states, routing)

    def begin(self, deployment: Deployment) -> DeploymentState:
        """An attempt is on its way. Exactly one of the next three follows, with what this returns."""
        state = self.states.of(deployment)
        state.in_flight += 1
        return state

    def succeeded(self, state: DeploymentState, routing: Routing, *, tokens: int, latency: float) -> None:
        """It came to its end. `latency`: seconds to a stream's first token, or for each token of a whole answer."""
        now = self.states.now()
        state.turn_to(now)
        state.in_flight -= 1
        state.successes += 1
        state.tokens += tokens
        if routing.strategy == "latency-based-routing":
            state.measure(latency, now, routing.latency_kept_s)

    def failed(
        self, state: DeploymentState, deployment: Deployment, failure: Failure, routing: Routing, *, is_alone: bool
    ) -> None:
        """It failed. `is_alone`: the model has no other deployment."""
        state.in_flight -= 1
        if failure.sort == "TimeoutError":
            state.penalize(self.states.now(), routing.latency_kept_s)
        self.cooldowns.failed(deployment, failure, rules=routing.cooldowns, is_alone=is_alone)

    def left(self, state: DeploymentState) -> None:
        """Nobody waits for it any more."""
        state.in_flight -= 1

    def survey(self, group: ModelGroup, routing: Routing, wanted: Wanted) -> Survey:
        """Who of a group can be asked, and why the others cannot."""
        candidates: list[Deployment] = []
        skipped: list[Skipped] = []
        tagged = fits_tags(group.deployments, wanted.tags, routing) if routing.filters_by_tag else group.deployments
        for one in group.deployments:
            unfit = self._unfit(one, routing, wanted)
            is_fit = unfit is None or unfit.why == "probe"
            if is_fit and tagged is not group.deployments and one not in tagged:
                unfit = Skipped(one, "tags", f"it is for calls tagged {', '.join(one.tags) or 'otherwise'}")
            if unfit is None:
                candidates.append(one)
            else:
                skipped.append(unfit)
        if not candidates and any(unfit.why == "probe" for unfit in skipped):
            # Where nobody has passed, whoever has failed is still a better answer than none.
            candidates = [unfit.deployment for unfit in skipped if unfit.why == "probe"]
            skipped = [unfit for unfit in skipped if unfit.why != "probe"]
        return Survey(tuple(candidates), tuple(skipped))

    def condition(self, deployment: Deployment) -> Condition:
        """How it is doing, for those who only look: nothing is changed, so that other threads may ask."""
        if self.cooldowns.is_resting(deployment):
            return "resting"
        return "failing" if self.states.has_failed_lately(deployment) else "working"

    def _draw(
        self, group: ModelGroup, routing: Routing, wanted: Wanted, surveys: list[Survey] | None
    ) -> Deployment | None:
        """The one that the strategy wants, found without a look at all; None: all have to be looked at."""
        if len(group.deployments) == 1:
            one = group.deployments[0]
            return one if self._unfit(one, routing, wanted) is None else None
        pool = self._pool(group, routing.strategy)
        if routing.strategy in _COMPARING:
            return self._best_drawn(pool, routing, wanted)
        skipped: list[Skipped] = []
        for _ in range(_DRAWS):
            one = pool.draw()
            unfit = self._unfit(one, routing, wanted)
            if unfit is None:
                if skipped and surveys is not None:
                    surveys.append(Survey((one,), tuple(skipped)))
                return one
            skipped.append(unfit)
        return None

    def _best_drawn(self, pool: _Pool, routing: Routing, wanted: Wanted) -> Deployment | None:
        """Of many the best of some: as good in practice, and what one process finds best is not what all do."""
        members, is_few = pool.members, len(pool.members) <= _FEW
        drawn = members if is_few else [members[int(random.random() * len(members))] for _ in range(_COMPARED)]
        fit = [one for one in drawn if self._unfit(one, routing, wanted) is None]
        if not fit or (is_few and len(fit) < len(drawn)):
            return None
        return STRATEGIES[routing.strategy](fit, self.states, routing)

    def _pool(self, group: ModelGroup, strategy: Strategy) -> _Pool:
        known = self._pools.get((id(group), strategy))
        if known is not None and known.group is group:
            return known
        if len(self._pools) >= _GROUPS_KEPT:  # of snapshots long gone, and names that callers made up
            self._pools.clear()
        members = _of_lowest_order(group.deployments)
        if strategy == "cost-based-routing":
            members = all_cheapest(members)
        even = strategy == "cost-based-routing"
        shares = [1.0] * len(members) if even else weights(members)
        pool = self._pools[id(group), strategy] = _Pool(group, tuple(members), list(accumulate(shares)))
        return pool

    def _unfit(self, one: Deployment, routing: Routing, wanted: Wanted) -> Skipped | None:
        """Why a deployment cannot be asked; None: it can."""
        if not wanted.can_serve(one):
            return Skipped(one, "operation", f"{one.provider} does not offer {wanted.operation}")
        if wanted.region and not is_in(one.region, wanted.region):
            return Skipped(one, "region", f"it is in {one.region or 'no known region'}, and not in {wanted.region}")
        if routing.checks_prompt and _is_too_long(one, wanted):
            return Skipped(one, "context", f"its context window has {one.max_input_tokens} tokens")
        if self.cooldowns and (cooldown := self.cooldowns.find(one)) is not None:
            seconds = self.cooldowns.seconds_left(cooldown)
            detail = f"set aside for {math.ceil(seconds)} s after {cooldown.error_class} ({cooldown.status})"
            return Skipped(one, "cooldown", detail, seconds)
        if routing.probed is not None and self.probes and (found := self.probes.find(one, routing.probed)) is not None:
            return Skipped(one, "probe", f"its last probe failed with {found.error_class} ({found.status_code})")
        return None


class _Pool(NamedTuple):
    """Those of a group that a strategy chooses from while nothing speaks against them."""

    group: ModelGroup
    members: tuple[Deployment, ...]
    cumulative: list[float]
    """Sums of their weights."""

    def draw(self) -> Deployment:
        """One of them, by weight."""
        members, cumulative = self.members, self.cumulative
        return members[bisect(cumulative, random.random() * cumulative[-1], hi=len(members) - 1)]


def _of_lowest_order(deployments: Sequence[Deployment]) -> Sequence[Deployment]:
    if len(deployments) == 1:
        return deployments
    lowest = min(one.order for one in deployments)
    return [one for one in deployments if one.order == lowest]


def _is_too_long(deployment: Deployment, wanted: Wanted) -> bool:
    limit = deployment.max_input_tokens
    return limit is not None and wanted.prompt_bytes > limit * _BYTES_PER_TOKEN
