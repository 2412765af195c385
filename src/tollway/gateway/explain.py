"""Where a call would go now, and why: what `Gateway` would do, without reserving, calling or counting anything."""

from __future__ import annotations

from typing import Any

from tollway.core.errors import TollwayError
from tollway.core.routing import Routing
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.gateway.call import Call
from tollway.gateway.run import Gateway, wanted_of
from tollway.policy import access
from tollway.routing.balancer import Balancer
from tollway.routing.course import Course
from tollway.routing.failure import Failure
from tollway.routing.strategies import weights
from tollway.routing.trail import trail

_FAILURES = {
    "general": Failure(error_class="InternalServerError", status=500, sort="InternalServerError", is_retryable=True),
    "context_window": Failure(
        error_class="ContextWindowExceededError", status=400, sort="BadRequestError", is_retryable=False
    ),
    "content_policy": Failure(
        error_class="ContentPolicyViolationError",
        status=400,
        sort="ContentPolicyViolationError",
        is_retryable=False,
    ),
}
"""Why a model group can fail for good, and a failure that stands for each."""


async def explain(gateway: Gateway, call: Call) -> dict[str, Any]:
    """The whole story. Raises what the call would be refused with before a deployment is looked for."""
    group = await gateway.find_group(call)
    router, balancer = gateway.router, gateway.balancer
    routing = gateway.routing_of(call)
    wanted = access.apply_alias(call.principal, call.requested_model)
    own_alias = [{"kind": "key_alias", "name": call.requested_model, "to": wanted}]
    steps = [
        {"kind": step.kind, "name": step.name, "to": step.to} for step in trail(router, wanted, call.principal.team_id)
    ]
    return {
        "model": call.requested_model,
        "resolution": [*(own_alias if wanted != call.requested_model else ()), *steps],
        "routing_strategy": routing.strategy,
        "retries": routing.retries.at_most if call.controls.wishes.retries is None else call.controls.wishes.retries,
        **_choice(balancer, group, routing, call),
        "fallbacks": {
            reason: [
                {"model_group": name, **_choice(balancer, found, routing, call)}
                if (found := router.group(name, call.principal.team_id)) is not None
                else {"model_group": name, "error": "There is no such model."}
                for name in names
            ]
            for reason, names in _fallbacks(group, routing, call).items()
        },
    }


def _fallbacks(group: ModelGroup, routing: Routing, call: Call) -> dict[str, list[str]]:
    """The groups that would follow, in order, by the reason of the failure; the special ones only where they differ."""
    found: dict[str, list[str]] = {}
    for reason, failure in _FAILURES.items():
        course, names = Course(group.name, routing, call.controls.wishes), []
        while (name := course.next_group(failure)) is not None:
            names.append(name)
        if reason == "general" or names != found["general"]:
            found[reason] = names
    return found


def _choice(balancer: Balancer, group: ModelGroup, routing: Routing, call: Call) -> dict[str, Any]:
    """The deployments of a group, each with what becomes of it, and the error where none could be asked."""
    wanted = wanted_of(call, routing)
    survey = balancer.survey(group, routing, wanted)
    chosen: Deployment | None = None
    error: str | None = None
    try:
        chosen = balancer.pick(group, routing, wanted)
    except TollwayError as refusal:
        error = refusal.message
    skipped = {one.deployment.id: one for one in survey.skipped}
    shares = _shares(group)
    deployments = []
    for one in group.deployments:
        entry = _described(balancer, one, shares[one.id], shows_address=call.principal.is_admin)
        if one.id in skipped:
            why = skipped[one.id]
            entry |= {"status": "skipped", "reason": why.why, "detail": why.detail}
            if why.seconds:
                entry["cooldown_seconds_left"] = round(why.seconds, 1)
        else:
            entry["status"] = "chosen" if chosen is not None and one.id == chosen.id else "candidate"
        deployments.append(entry)
    return {"model_group": group.name, "deployments": deployments, "error": error}


def _shares(group: ModelGroup) -> dict[str, float]:
    """The weight of each deployment among those of its order."""
    shares: dict[str, float] = {}
    for order in {one.order for one in group.deployments}:
        same = [one for one in group.deployments if one.order == order]
        shares.update(zip((one.id for one in same), weights(same), strict=True))
    return shares


def _described(balancer: Balancer, one: Deployment, weight: float, *, shows_address: bool) -> dict[str, Any]:
    state = balancer.states.this_minute(one)
    entry: dict[str, Any] = {
        "model_id": one.id,
        "model": one.model_name,
        "order": one.order,
        "weight": weight,
        "in_flight": state.in_flight,
        "succeeded_this_minute": state.successes,
        "failed_this_minute": state.failures,
    }
    if shows_address:
        entry["api_base"] = one.api_base
    return entry
