"""From the model a caller names to the deployment that serves the call."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from tollway.core.snapshot import Deployment, ModelGroup, Snapshot, TeamModels, Wildcard

_NO_MODELS = TeamModels()
_EXPANSIONS_KEPT = 4096


class Router:
    """Routes by one snapshot. Made anew with each; what is derived from the snapshot lives and dies with it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._expanded: dict[tuple[str | None, str], ModelGroup] = {}
        self._weights: dict[tuple[str | None, str], tuple[tuple[Deployment, ...], list[float]]] = {}

    def group(self, model: str, team_id: str | None = None) -> ModelGroup | None:
        """The model group behind a name: an exact name, an alias, a deployment id, or a wildcard; None if nobody.

        Models of the caller's team go first, each in its turn; those of another team are not found.
        """
        snapshot = self.snapshot
        own = snapshot.teams.get(team_id, _NO_MODELS) if team_id is not None else _NO_MODELS
        found = own.groups.get(model) or snapshot.groups.get(model)
        if found is not None:
            return found
        alias = snapshot.aliases.get(model)
        if alias is not None and alias != model:
            return self.group(alias, team_id)
        found = snapshot.by_id.get(model)
        if found is not None and found.team_id in (None, team_id):
            return found
        return self._expand(model, own.wildcards, team_id) or self._expand(model, snapshot.wildcards, None)

    def pick(self, group: ModelGroup) -> Deployment:
        """One deployment of the group: among those of the lowest `order`, at random by weight."""
        if len(group.deployments) == 1:
            return group.deployments[0]
        candidates, cumulative = self._weights.get((group.team_id, group.name)) or self._weigh(group)
        return candidates[bisect(cumulative, random.random() * cumulative[-1], hi=len(candidates) - 1)]

    def other(
        self, group: ModelGroup, tried: Sequence[Deployment], can_serve: Callable[[Deployment], bool]
    ) -> Deployment | None:
        """One that can serve the call and was not tried yet: of the lowest `order`, at random by weight."""
        left = [one for one in group.deployments if one not in tried and can_serve(one)]
        if not left:
            return None
        lowest = min(one.order for one in left)
        left = [one for one in left if one.order == lowest]
        weights = [max(one.weight, 0.0) for one in left]
        return random.choices(left, weights if any(weights) else None)[0]

    def names(self, team_id: str | None = None) -> Iterator[str]:
        """Every public name to list: the team's, groups, visible aliases, and what is known behind wildcards."""
        snapshot = self.snapshot
        own = snapshot.teams.get(team_id, _NO_MODELS) if team_id is not None else _NO_MODELS
        yield from own.groups
        yield from (name for name in snapshot.groups if name not in own.groups)
        yield from (alias for alias in snapshot.aliases if alias not in snapshot.hidden)
        listed = set(snapshot.groups) | set(snapshot.aliases) | set(own.groups)
        for wildcard in (*own.wildcards, *snapshot.wildcards):
            for name in wildcard.examples or (wildcard.pattern,):
                if name not in listed:
                    listed.add(name)
                    yield name

    def _expand(self, model: str, wildcards: Sequence[Wildcard], team_id: str | None) -> ModelGroup | None:
        known = self._expanded.get((team_id, model))
        if known is not None:
            return known
        for wildcard in wildcards:
            if matches(wildcard.pattern, model):
                group = wildcard.expand(model)
                if group is not None:
                    if len(self._expanded) >= _EXPANSIONS_KEPT:  # names come from callers: never without bound
                        self._expanded.clear()
                        self._weights.clear()
                    self._expanded[team_id, model] = group
                    return group
        return None

    def _weigh(self, group: ModelGroup) -> tuple[tuple[Deployment, ...], list[float]]:
        lowest = min(deployment.order for deployment in group.deployments)
        candidates = tuple(deployment for deployment in group.deployments if deployment.order == lowest)
        weights = [max(deployment.weight, 0.0) for deployment in candidates]
        if not any(weights):
            weights = [1.0] * len(candidates)
        weighed = (candidates, list(accumulate(weights)))
        self._weights[group.team_id, group.name] = weighed
        return weighed


def matches(pattern: str, model: str) -> bool:
    """Whether a name fits a pattern with one `*` in it."""
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == model
    return model.startswith(before) and model.endswith(after) and len(model) >= len(before) + len(after)
