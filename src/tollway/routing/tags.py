"""Routing by tag: deployments that are for some calls, by what these are tagged with."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.routing import Routing
from tollway.core.snapshot import Deployment

DEFAULT_TAG = "default"
"""Deployments for calls that no other deployment is for."""


def fits_tags(deployments: Sequence[Deployment], tags: Sequence[str], routing: Routing) -> list[Deployment]:
    """The deployments for a call with these tags.

    Tagged calls go where one tag matches (or all, where the operator says so), else to the default; calls without a tag
    go to the default where there is one, else to any.
    """
    wanted = {tag for tag in tags if tag.startswith(routing.tag_prefix)}
    default = [one for one in deployments if DEFAULT_TAG in one.tags]
    if not wanted:
        return default or list(deployments)
    matching = [one for one in deployments if _matches(wanted, one, every=routing.needs_every_tag)]
    return matching or default


def _matches(wanted: set[str], deployment: Deployment, *, every: bool) -> bool:
    return wanted.issubset(deployment.tags) if every else not wanted.isdisjoint(deployment.tags)
