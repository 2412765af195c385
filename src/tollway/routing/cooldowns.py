"""Deployments that are set aside for a while, because they fail. Every process decides by what it sees and is told what
others decided, so that a deployment rests everywhere at once.

    failed attempt ── breaks it? ── set aside until … ── told to the others
                                         └─ a moment later it is asked again: what it failed this minute still counts
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from tollway.core.cooldown import Cooldown
from tollway.core.routing import Cooldowns
from tollway.core.snapshot import Deployment
from tollway.routing.failure import Failure
from tollway.routing.state import DeploymentState, DeploymentStates

_log = logging.getLogger(__name__)

_AT_ONCE = frozenset({401, 402, 403, 429})
"""Nothing is gained by asking on."""
_SHARE: Final = 0.5
_LEAST_ATTEMPTS: Final = 5
"""Fewer in a minute say little."""
_LEAST_ATTEMPTS_ALONE: Final = 1000
"""Setting aside the only deployment of a model ends its service: only where nothing at all works."""


class CooldownBook:
    """Those of all deployments, as one process knows them."""

    def __init__(self, states: DeploymentStates, tell: Callable[[Deployment, Cooldown], None]) -> None:
        """`tell` takes word of what was decided here to other processes; it must return at once."""
        self._states = states
        self._tell = tell
        self._active: dict[str, Cooldown] = {}

    def __bool__(self) -> bool:
        """Whether any may be set aside. False is certain, and quick to find out."""
        return bool(self._active)

    def find(self, deployment: Deployment) -> Cooldown | None:
        """Why a deployment is set aside; None: it is not."""
        cooldown = self._active.get(deployment.id)
        if cooldown is not None and cooldown.until <= self._states.now():
            del self._active[deployment.id]
            return None
        return cooldown

    def is_resting(self, deployment: Deployment) -> bool:
        """Whether it is set aside. Changes nothing."""
        cooldown = self._active.get(deployment.id)
        return cooldown is not None and cooldown.until > self._states.now()

    def seconds_left(self, cooldown: Cooldown) -> float:
        """Until it may be asked again."""
        return max(0.0, cooldown.until - self._states.now())

    def failed(self, deployment: Deployment, failure: Failure, *, rules: Cooldowns, is_alone: bool) -> Cooldown | None:
        """Notes a failed attempt; the cooldown, if that sets the deployment aside. `is_alone`: its model has no other
        deployment."""
        if not failure.is_trouble:
            return None
        state = self._states.this_minute(deployment)
        state.failures += 1
        seconds = _seconds(deployment, failure, rules)
        if not rules.is_on or deployment.is_catch_all or seconds <= 0 or self.find(deployment) is not None:
            return None
        if not self._breaks(state, failure, rules, is_alone=is_alone):
            return None
        now = self._states.now()
        cooldown = Cooldown(deployment.id, now + seconds, failure.status, failure.error_class)
        self._active[deployment.id] = cooldown
        state.fails_counted_from, state.fails = 0.0, 0
        _log.warning(
            "Deployment %s of %s (%s) is set aside for %g s after %s (%d)",
            *(deployment.id, deployment.group, deployment.model_name, seconds, failure.error_class, failure.status),
        )
        self._tell(deployment, cooldown)
        return cooldown

    def hear(self, cooldown: Cooldown) -> None:
        """Another process has set a deployment aside."""
        known = self._active.get(cooldown.deployment_id)
        if known is None or known.until < cooldown.until:
            self._active[cooldown.deployment_id] = cooldown

    def lift(self, deployment_id: str) -> None:
        """The deployment was changed, or an operator says that it works."""
        self._active.pop(deployment_id, None)

    def _breaks(self, state: DeploymentState, failure: Failure, rules: Cooldowns, *, is_alone: bool) -> bool:
        allowed = rules.allowed_by_sort.get(failure.sort, rules.allowed_fails)
        if allowed is not None:
            return self._count(state, rules.seconds) > allowed
        if is_alone:
            return not state.successes and state.failures >= _LEAST_ATTEMPTS_ALONE
        if failure.status in _AT_ONCE:
            return True
        return state.attempts >= _LEAST_ATTEMPTS and state.failures > state.attempts * _SHARE

    def _count(self, state: DeploymentState, window_s: float) -> int:
        now = self._states.now()
        if now - state.fails_counted_from > window_s:
            state.fails_counted_from, state.fails = now, 0
        state.fails += 1
        return state.fails


def _seconds(deployment: Deployment, failure: Failure, rules: Cooldowns) -> float:
    """The provider's own word, else the deployment's setting, else everybody's."""
    if failure.retry_after_s:
        return failure.retry_after_s
    return rules.seconds if deployment.cooldown_s is None else deployment.cooldown_s
