"""The compiler: a settled configuration becomes the snapshot that calls are served from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from tollway.config.configuration import Additions, Alias, Configuration, Credential, ModelEntry, combine
from tollway.config.deployment import Catalogue, DeploymentCompiler, Rejected
from tollway.config.embedder import embedder_problem
from tollway.config.problem import ConfigurationError, Problem, nearest
from tollway.core.snapshot import Deployment, ModelGroup, Snapshot, TeamModels, Wildcard

_SERVED_MODES = frozenset({"chat", "completion", "embedding"})
_STORES = "general_settings.store_model_in_db"
_PROBE = "model"
"""Stands for the name behind a `*` while the entry is checked."""
_NAMED_AT_MOST = 5

_log = logging.getLogger(__name__)


def compile_snapshot(
    configuration: Configuration,
    *,
    prices: Catalogue,
    discovered: Sequence[ModelEntry] = (),
    stored: Additions | None = None,
    version: int,
    notices: list[Problem] | None = None,
) -> Snapshot:
    """Resolves every model to what can be called.

    `discovered` is what the environment offers; it counts only where no file has a `model_list`. `stored` is what the
    database adds; None while that is not known. What an operator ought to know (models left out, keys and prices
    missing) is added to `notices`, or logged as one warning without it.

    Raises `ConfigurationError` with every model that is wrong; one of the database is left out instead.
    """
    entries = (*configuration.models, *(() if configuration.has_model_list else discovered))
    compiler = _Compiler(configuration, prices, stored)
    if stored is not None:
        compiler.notices += stored.notices
        entries += tuple(compiler.with_ids_of_their_own(stored.models, entries))
    snapshot = compiler.snapshot(entries, configuration.aliases, version)
    compiler.check_embedder(snapshot)
    if compiler.problems:
        raise ConfigurationError(compiler.problems)
    if notices is not None:
        notices += compiler.notices
    elif compiler.notices:
        _log.warning("%s", combine(compiler.notices))
    return snapshot


def compile_entry(entry: ModelEntry, configuration: Configuration, *, prices: Catalogue) -> ModelGroup:
    """Compiles one entry, for nobody to call by its name. Raises `ConfigurationError` if it cannot be called."""
    compiler = _Compiler(configuration, prices, None)
    snapshot = compiler.snapshot([entry], (), 0)
    if problems := [*compiler.problems, *compiler.left_out]:
        raise ConfigurationError(problems)
    return next(iter(snapshot.by_id.values()))


def check_entry(
    entry: ModelEntry, configuration: Configuration, *, prices: Catalogue, credentials: Mapping[str, Credential]
) -> list[Problem]:
    """Compiles one entry for nobody; what ought to be known about it. Raises `ConfigurationError` if it is wrong."""
    compiler = _Compiler(configuration, prices, Additions(credentials=credentials))
    compiler.snapshot([entry], (), 0)
    if problems := [*compiler.problems, *compiler.left_out]:
        raise ConfigurationError(problems)
    return compiler.notices


class _Compiler:
    def __init__(self, configuration: Configuration, prices: Catalogue, stored: Additions | None) -> None:
        self._configuration = configuration
        self._prices = prices
        self._deployments = DeploymentCompiler(
            configuration.calls,
            prices,
            configuration.environ,
            {**(stored.credentials if stored is not None else {}), **configuration.credentials},
        )
        self._knows_stored = stored is not None
        self._lacks: dict[str, list[ModelEntry]] = {}
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []
        self.left_out: list[Problem] = []
        """Why entries that stop nothing were left out."""

    def with_ids_of_their_own(
        self, entries: Iterable[ModelEntry], others: Iterable[ModelEntry]
    ) -> Iterator[ModelEntry]:
        """Those whose id no model of a file has."""
        taken = {other.id: other for other in others}
        for entry in entries:
            if entry.id in taken:
                place = taken[entry.id].origin
                self._leave_out(Problem(entry.origin, "model_info.id", f"is the id of the model of {place}"))
            else:
                yield entry

    def snapshot(self, entries: Iterable[ModelEntry], aliases: Sequence[Alias], version: int) -> Snapshot:
        by_team: dict[str | None, list[ModelEntry]] = {None: []}
        for entry in entries:
            by_team.setdefault(entry.team_id, []).append(entry)
        models = {team: self._models(members) for team, members in by_team.items()}
        groups = [group for each in models.values() for group in each.groups.values()]
        self._note_what_is_missing(groups)
        shared = models[None]
        return Snapshot(
            groups=shared.groups,
            wildcards=shared.wildcards,
            aliases=self._targets(aliases, shared.groups, shared.wildcards),
            hidden=frozenset(alias.name for alias in aliases if alias.is_hidden),
            by_id={one.id: _group_of(group, one) for group in groups for one in group.deployments},
            teams={team: each for team, each in models.items() if team is not None},
            settings=self._configuration.data_plane,
            routing=self._configuration.routing,
            caching=self._configuration.caching,
            version=version,
        )

    def check_embedder(self, snapshot: Snapshot) -> None:
        """The semantic cache's model: a problem, or a notice where it may be in the database, as somebody has said."""
        problem, stores_models = embedder_problem(self._configuration, snapshot), self._configuration.origins[_STORES]
        if problem is not None and (not stores_models.value or stores_models.origin == "default"):
            self.problems.append(problem)
        elif problem is not None and self._knows_stored:
            self.notices.append(problem)

    def _models(self, entries: Iterable[ModelEntry]) -> TeamModels:
        by_name: dict[str, list[ModelEntry]] = {}
        for entry in entries:
            by_name.setdefault(entry.model_name, []).append(entry)
        patterns = {name: by_name[name] for name in by_name if "*" in name}
        groups = {
            name: group
            for name, members in by_name.items()
            if name not in patterns and (group := self._group(name, members)) is not None
        }
        return TeamModels(groups=groups, wildcards=self._wildcards(patterns))

    def _group(self, name: str, entries: Sequence[ModelEntry]) -> ModelGroup | None:
        deployments = [one for entry in entries for one in self._checked(entry, name)]
        return _model_group(name, entries, deployments) if deployments else None

    def _checked(self, entry: ModelEntry, name: str) -> list[Deployment]:
        """The entry's deployments; none, with a problem or a notice, where it cannot be called."""
        model = str(entry.litellm_params["model"])
        try:
            if "*" in model:
                return self._reject_star(entry, model)
            made = list(self._deployments.deployments(entry, group=name, model=model))
            self._note_lack(entry, model)
        except Rejected as rejected:
            self._refuse(entry, rejected)
            return []
        return made

    def _reject_star(self, entry: ModelEntry, model: str) -> list[Deployment]:
        problem = Problem(
            entry.places.get("model", entry.origin),
            f"model {entry.model_name}: model",
            f"{model} matches many models, the public name only one",
            f"name the model, or write `model_name: {model}`",
        )
        raise Rejected(problem)

    def _refuse(self, entry: ModelEntry, rejected: Rejected) -> None:
        if rejected.is_unknown_credential:
            if self._knows_stored:  # until then it may yet turn up
                self._leave_out(rejected.problem)
        elif entry.is_stored or rejected.is_planned or self._configuration.calls.skips_invalid:
            self._leave_out(rejected.problem)
        else:
            self.problems.append(rejected.problem)

    def _leave_out(self, problem: Problem) -> None:
        self.left_out.append(problem)
        message = f"left out: {problem.message}"
        self.notices.append(Problem(problem.place, problem.key, message, problem.remedy))

    def _wildcards(self, patterns: dict[str, list[ModelEntry]]) -> tuple[Wildcard, ...]:
        usable = {
            pattern: kept
            for pattern, entries in patterns.items()
            if (kept := [entry for entry in entries if self._is_usable(entry)])
        }
        bare = set(self._bare_examples(usable.get("*", ())))
        wildcards = [
            Wildcard(
                pattern=pattern,
                expand=_expander(self._deployments, pattern, tuple(entries)),
                examples=tuple(sorted(bare)) if pattern == "*" else tuple(self._examples(pattern, entries, bare)),
            )
            for pattern, entries in usable.items()
        ]
        return tuple(sorted(wildcards, key=lambda wildcard: (-len(wildcard.pattern), wildcard.pattern)))

    def _is_usable(self, entry: ModelEntry) -> bool:
        """Compiles the entry once for a name made up, to find what is wrong before the first call does."""
        model = str(entry.litellm_params["model"])
        try:
            if entry.model_name.count("*") > 1 or model.count("*") > 1:
                raise Rejected(Problem(entry.origin, f"model {entry.model_name}", "only one `*` can be matched"))
            if model == "*" and "custom_llm_provider" not in entry.litellm_params:
                return True
            model = model.replace("*", _PROBE)
            for _ in self._deployments.deployments(entry, group=_PROBE, model=model):
                pass
            self._note_lack(entry, model)
        except Rejected as rejected:
            self._refuse(entry, rejected)
            return False
        return True

    def _bare_examples(self, entries: Sequence[ModelEntry]) -> Iterator[str]:
        """Bare names that `*` leads to one of the vendors at hand."""
        for vendor in sorted({vendor for entry in entries for vendor in entry.vendors or ()}):
            yield from (name for name in self._served(vendor) if self._prices.provider_of(name) == vendor)

    def _examples(self, pattern: str, entries: Sequence[ModelEntry], bare: set[str]) -> Iterator[str]:
        for entry in entries:
            model = str(entry.litellm_params["model"])
            if not model.endswith("/*"):
                continue
            provider = self._deployments.target(entry, model).provider.name
            yield from (pattern.replace("*", name) for name in self._served(provider) if name not in bare)

    def _served(self, provider: str) -> Iterator[str]:
        for name in self._prices.models(provider):
            facts = self._prices.find(provider, name)
            if facts is not None and facts.mode in _SERVED_MODES:
                yield name

    def _targets(
        self, aliases: Sequence[Alias], groups: dict[str, ModelGroup], wildcards: Sequence[Wildcard]
    ) -> dict[str, str]:
        """Where each alias leads in the end, so that no call follows a chain."""
        steps = {alias.name: alias.target for alias in aliases}
        return {alias.name: self._end_of(alias, steps, groups, wildcards) for alias in aliases}

    def _end_of(
        self, alias: Alias, steps: dict[str, str], groups: dict[str, ModelGroup], wildcards: Sequence[Wildcard]
    ) -> str:
        target, seen = alias.target, {alias.name}
        path = f"router_settings.model_group_alias.{alias.name}"
        while target not in groups and target in steps:
            if target in seen:
                self.problems.append(Problem(alias.place, path, f"leads back to itself through {target}"))
                return target
            seen.add(target)
            target = steps[target]
        if target not in groups and not any(_starred(wildcard.pattern, target) for wildcard in wildcards):
            meant = nearest(target, groups)
            remedy = f"did you mean `{meant}`?" if meant else ""
            self.notices.append(Problem(alias.place, path, f"leads to {target}, which no model is called", remedy))
        return target

    def _note_lack(self, entry: ModelEntry, model: str) -> None:
        if lack := self._deployments.missing(entry, model):
            self._lacks.setdefault(lack, []).append(entry)

    def _note_what_is_missing(self, groups: Iterable[ModelGroup]) -> None:
        for lack, entries in self._lacks.items():
            names = _listed([entry.model_name for entry in entries])
            self.notices.append(Problem(entries[0].origin, f"model {names}", f"calls will fail: {lack}"))
        unpriced = [
            name for name, group in _by_name(groups) if not all(one.price.is_known for one in group.deployments)
        ]
        if unpriced:
            self.notices.append(
                Problem(
                    "prices",
                    f"model {_listed(unpriced)}",
                    "no price is known; tokens are counted, money is not",
                    "set `input_cost_per_token` and `output_cost_per_token` in `model_info`",
                )
            )


def _expander(
    compiler: DeploymentCompiler, pattern: str, entries: tuple[ModelEntry, ...]
) -> Callable[[str], ModelGroup | None]:
    def expand(name: str) -> ModelGroup | None:
        behind_star = _starred(pattern, name)
        if not behind_star or "*" in behind_star:
            return None
        deployments: list[Deployment] = []
        for entry in entries:
            model = str(entry.litellm_params["model"]).replace("*", behind_star)
            try:
                deployments += compiler.deployments(entry, group=name, model=model)
            except Rejected:
                continue  # told at the start where it is the entry's fault; here the name leads nowhere
        return _model_group(name, entries, deployments) if deployments else None

    return expand


def _starred(pattern: str, name: str) -> str | None:
    """What stands for the `*` of a pattern; None where the name does not match."""
    before, _, after = pattern.partition("*")
    if len(name) < len(before) + len(after) or not (name.startswith(before) and name.endswith(after)):
        return None
    return name[len(before) : len(name) - len(after)]


def _model_group(name: str, entries: Sequence[ModelEntry], deployments: Iterable[Deployment]) -> ModelGroup:
    access = frozenset(group for entry in entries for group in entry.model_info.get("access_groups") or ())
    return ModelGroup(name=name, deployments=tuple(deployments), access_groups=access, team_id=entries[0].team_id)


def _group_of(group: ModelGroup, deployment: Deployment) -> ModelGroup:
    return msgspec.structs.replace(group, deployments=(deployment,))


def _by_name(groups: Iterable[ModelGroup]) -> Iterator[tuple[str, ModelGroup]]:
    return ((group.name, group) for group in groups)


def _listed(names: Sequence[str]) -> str:
    """`a, b, c and 12 more`."""
    names = list(dict.fromkeys(names))
    shown = ", ".join(names[:_NAMED_AT_MOST])
    return shown if len(names) <= _NAMED_AT_MOST else f"{shown} and {len(names) - _NAMED_AT_MOST} more"
