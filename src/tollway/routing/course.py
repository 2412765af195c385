"""What a call may still try once an attempt has failed: again, elsewhere in its model group, or another group.

    attempt fails ─┬─ may be retried ── another deployment at once, or the same after a pause
                   ├─ a deployment of a higher order is left ── that one
                   ├─ a fallback is left ── the same from the start, in that group
                   └─ else the caller is told

Pure decisions: whoever makes the attempts asks, and waits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tollway.core.routing import FallbackLists, Routing
from tollway.core.wishes import ANY_GROUP, Wishes
from tollway.routing.failure import Failure

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_LONGEST_SAID_S = 60.0
"""A provider that wants to be left alone for longer is asked after a pause of ours: the caller is waiting."""


class Course:
    """The course of one call. Made when its first attempt fails, with the group that was asked for."""

    __slots__ = ("_fell_in_group", "_group", "_queue", "_routing", "_seen", "_wishes", "fallbacks", "retries", "tried")

    def __init__(self, group: str, routing: Routing, wishes: Wishes) -> None:
        self._group = group
        self._routing = routing
        self._wishes = wishes
        self._queue: list[str] = []
        self._seen = {group}
        self._fell_in_group = 0
        """Attempts that failed in the present group."""
        self.tried: set[str] = set()
        """Ids of deployments that failed in the present group."""
        self.retries = 0
        """Of all groups together."""
        self.fallbacks = 0

    def note(self, deployment_id: str) -> None:
        """An attempt failed at this deployment."""
        self.tried.add(deployment_id)
        self._fell_in_group += 1

    def may_retry(self, failure: Failure, *, others: bool) -> bool:
        """Whether the group may be asked again; `others`: it has a deployment that was not tried."""
        allowed = self._routing.retries.allowed(self._group, failure.sort)
        if allowed is None:
            if not failure.is_retryable and not (failure.is_denial and others):
                return False
            wished = self._wishes.retries
            allowed = self._routing.retries.at_most if wished is None else wished
        return self._fell_in_group <= allowed

    def pause_s(self, failure: Failure) -> float:
        """How long to wait before the same deployment is asked again."""
        said = failure.retry_after_s
        if said is None or said > _LONGEST_SAID_S:
            longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** max(0, self._fell_in_group - 1))
            said = longest * random.uniform(0.5, 1.0)
        return max(said, self._routing.retries.least_wait_s)

    @property
    def may_fall_back(self) -> bool:
        """Whether anything but a retry may be tried."""
        return not self._wishes.refuses_fallbacks and self.fallbacks < self._routing.fallbacks.at_most

    def next_group(self, failure: Failure) -> str | None:
        """The group to turn to, now that the present one has failed; None: there is none left."""
        if not self.may_fall_back:
            return None
        self._queue += self._fallbacks_of(self._group, failure)
        while self._queue:
            group = self._queue.pop(0)
            if group not in self._seen:
                self._seen.add(group)
                self._group, self._fell_in_group = group, 0
                self.tried.clear()
                self.fallbacks += 1
                return group
        return None

    def _fallbacks_of(self, group: str, failure: Failure) -> Sequence[str]:
        wishes, configured = self._wishes, self._routing.fallbacks
        if wishes.fallbacks is not None and (wished := self._wished(wishes.fallbacks, group)):
            return wished
        special: FallbackLists | None = None
        if failure.error_class == "ContextWindowExceededError":
            special = wishes.context_window_fallbacks or configured.context_window
        elif failure.error_class == "ContentPolicyViolationError":
            special = wishes.content_policy_fallbacks or configured.content_policy
        if special:
            return special.get(group, special.get(ANY_GROUP, ()))
        general = configured.general
        return general.get(group) or general.get(ANY_GROUP) or configured.default

    def _wished(self, lists: FallbackLists, group: str) -> Sequence[str]:
        """What the caller named for this group; a plain list is for the group that was asked for."""
        return lists.get(group) or (() if self.fallbacks else lists.get(ANY_GROUP, ()))
