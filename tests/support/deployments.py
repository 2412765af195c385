"""Deployments and groups of them, as a snapshot would hold them."""

from __future__ import annotations

from typing import Any

from tollway.core.snapshot import Deployment, ModelGroup
from tollway.routing.survey import Wanted


def deployment(id: str, **more: Any) -> Deployment:
    return Deployment(id=id, group="g", provider="p", model=id, model_name=f"p/{id}", **more)


def group(name: str, *deployments: Deployment) -> ModelGroup:
    return ModelGroup(name=name, deployments=deployments or (deployment(name),))


def chat(**more: Any) -> Wanted:
    """What a call of anybody wants, who is content with any deployment."""
    return Wanted(operation="chat", can_serve=lambda one: True, **more)
