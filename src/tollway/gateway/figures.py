"""Deployments as metrics show them."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.cooldown import Cooldown
from tollway.core.snapshot import Deployment, Snapshot
from tollway.observability.counts import CallLabels, DeploymentFigures
from tollway.routing.balancer import Balancer, Condition

_STATES: Mapping[Condition, int] = {"working": 0, "failing": 1, "resting": 2}


def figures_of(snapshot: Snapshot, balancer: Balancer) -> list[DeploymentFigures]:
    """Every deployment that is configured, as it is now. Changes nothing: a scrape asks from a thread of its own."""
    return [
        DeploymentFigures(
            model_group=one.group,
            litellm_model_name=one.model_name,
            model_id=one.id,
            api_base=one.api_base,
            api_provider=one.provider,
            state=_STATES[balancer.condition(one)],
            rpm=one.rpm,
            tpm=one.tpm,
        )
        for group in snapshot.by_id.values()
        for one in group.deployments
    ]


def labels_of_cooldown(deployment: Deployment, cooldown: Cooldown) -> CallLabels:
    """What a cooldown is counted under."""
    return CallLabels(
        litellm_model_name=deployment.model_name,
        model_id=deployment.id,
        api_base=deployment.api_base,
        api_provider=deployment.provider,
        exception_status=str(cooldown.status),
    )
