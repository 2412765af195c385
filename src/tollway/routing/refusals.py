"""What the caller is told when a model has no deployment to ask, in the contract's words: clients look for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tollway.core.errors import Forbidden, LimitExceeded, Misconfigured, TollwayError, Unauthenticated, UpstreamError
from tollway.core.snapshot import ModelGroup
from tollway.routing.survey import Skipped, Wanted


def nobody(group: ModelGroup, skipped: Sequence[Skipped], wanted: Wanted) -> TollwayError:
    """The error for a group of which every deployment was skipped. What will pass counts before what will not."""
    resting = [one for one in skipped if one.why == "cooldown"]
    if resting:
        return _all_resting(group, resting)
    if any(one.why == "context" for one in skipped):
        return _too_long(group)
    if any(one.why == "tags" for one in skipped):
        return _for_others(group, wanted)
    if any(one.why == "region" for one in skipped):
        return _elsewhere(group, wanted)
    return _not_offered(group, wanted)


def _all_resting(group: ModelGroup, resting: Sequence[Skipped]) -> LimitExceeded:
    seconds = max(1, math.ceil(min(one.seconds for one in resting)))
    ids = [one.deployment.id for one in resting]
    return LimitExceeded(
        f"No deployments available for selected model, Try again in {seconds} seconds. Passed model={group.name}. "
        f"All of them failed a moment ago and rest, cooldown_list={ids}",
        type="all_deployments_in_cooldown",
        headers=((b"retry-after", b"%d" % seconds),),
    )


def _too_long(group: ModelGroup) -> UpstreamError:
    return UpstreamError(
        f"litellm.ContextWindowExceededError: The prompt is longer than the context window of every deployment of "
        f"{group.name}. Shorten it, or name a model with a longer one.",
        status=400,
        type="invalid_request_error",
        error_class="ContextWindowExceededError",
    )


def _for_others(group: ModelGroup, wanted: Wanted) -> Unauthenticated:
    return Unauthenticated(
        f"Not allowed to access model due to tags configuration. Passed model={group.name} and "
        f"tags={list(wanted.tags)}",
        type="internal_server_error",
    )


def _elsewhere(group: ModelGroup, wanted: Wanted) -> Forbidden:
    return Forbidden(
        f"No deployment of {group.name} is in the region that the end user is bound to: {wanted.region}.", param="user"
    )


def _not_offered(group: ModelGroup, wanted: Wanted) -> Misconfigured:
    providers = ", ".join(dict.fromkeys(one.provider for one in group.deployments))
    return Misconfigured(
        f"Model '{group.name}' is served by {providers}, which does not offer {wanted.operation}.",
        param="model",
        status=400,
        type="invalid_request_error",
    )
