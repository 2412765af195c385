"""From the model a caller names to the model group behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tollway.core.snapshot import ModelGroup, Snapshot, TeamModels, Wildcard

_NO_MODELS = TeamModels()
_EXPANSIONS_KEPT = 4096


class Router:
    """Routes by one snapshot. Made anew with each; what is derived from the snapshot lives and dies with it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._expanded: dict[tuple[str | None, str], ModelGroup] = {}

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
                    self._expanded[team_id, model] = group
                    return group
        return None


def matches(pattern: str, model: str) -> bool:
    """Whether a name fits a pattern with one `*` in it."""
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == model
    return model.startswith(before) and model.endswith(after) and len(model) >= len(before) + len(after)
