"""How a call is led to a deployment, and what is tried when that fails: what the operator decided, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Strategy = Literal[
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
    "provider-budget-routing",
]
"""How one of several deployments is chosen. `provider-budget-routing` shuffles those whose provider has budget left."""

Affinity = Literal["session_affinity", "prompt_caching", "deployment_affinity"]
"""Which calls go to one deployment: those of a session, those whose prompts begin alike, those of a key. The first that
a call has counts."""

FailureSort = Literal[
    "BadRequestError",
    "AuthenticationError",
    "TimeoutError",
    "RateLimitError",
    "ContentPolicyViolationError",
    "InternalServerError",
    "ServiceUnavailableError",
    "NotFoundError",
    "Default",
]
"""The sorts of failure that an operator may treat differently, by the contract's names; `Default`: any other."""

Limits = Mapping[FailureSort, int]
"""A number for some sorts of failure."""

FallbackLists = Mapping[str, tuple[str, ...]]
"""Model groups to try, in order, by the group that failed; `*` stands for every group without an entry."""


class Fallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes that its model group could not serve."""

    general: FallbackLists = {}
    context_window: FallbackLists = {}
    """For prompts that are too long."""
    content_policy: FallbackLists = {}
    """For what the provider objects to."""
    default: tuple[str, ...] = ()
    """For groups that have none of their own."""
    at_most: int = 5
    """Groups that are tried after the first."""


class Cooldowns(msgspec.Struct, frozen=True, kw_only=True):
    """When a deployment is set aside, and for how long."""

    is_on: bool = True
    seconds: float = 5.0
    """Unless the provider says how long, or the deployment's own setting."""
    allowed_fails: int | None = None
    """Failures within that time that are borne; None: by their share of the calls."""
    allowed_by_sort: Limits = {}


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """When a deployment is avoided because its last probe failed."""

    stale_after_s: float = 600.0
    """Older probes say nothing any more."""
    ignores_passing: bool = False
    """Troubles that pass by themselves do not count: too many calls, and no answer in time."""


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a model group is asked again."""

    at_most: int = 2
    least_wait_s: float = 0.0
    by_sort: Limits = {}
    by_group: Mapping[str, Limits] = {}

    def allowed(self, group: str, sort: FailureSort) -> int | None:
        """What the operator's policies say of this sort of failure; None: nothing."""
        for policy in (self.by_group.get(group), self.by_sort):
            if policy:
                found = policy.get(sort, policy.get("Default"))
                if found is not None:
                    return found
        return None


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the operator decided about it."""

    strategy: Strategy = "simple-shuffle"
    latency_buffer: float = 0.0
    """Of latency: deployments within this part above the quickest are chosen from alike."""
    latency_kept_s: float = 3600.0
    """How long a measured latency counts."""
    retries: Retries = Retries()
    cooldowns: Cooldowns = Cooldowns()
    fallbacks: Fallbacks = Fallbacks()
    hedge_after_s: float | None = None
    """A second deployment is asked where the first has not begun to answer after so long; None: never."""
    continues_streams: bool = False
    """A stream that breaks off in the middle of its answer is taken up by another deployment."""
    checks_prompt: bool = False
    """Deployments that cannot take the prompt are left out before they are asked."""
    default_priority: int = 0
    """Of calls that name none; lower numbers go first."""
    affinities: frozenset[Affinity] = frozenset()
    filters_by_tag: bool = False
    needs_every_tag: bool = False
    """A deployment has to have all tags of the call, rather than one."""
    tag_prefix: str = ""
    """Only tags that begin so choose deployments."""
    probed: Probed | None = None
    """None: what probes found is not looked at."""
