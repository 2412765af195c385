"""Settings of the database over those of the file: sealed and opened, laid over, and left out where they are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tollway.config.configuration import StoredSettings, Written
from tollway.config.findings import Findings
from tollway.config.keys import ROUTER
from tollway.config.keys.over_api import ENVIRONMENT, STORABLE, find, withheld
from tollway.config.located import REFERENCE, Located, locate, resolve
from tollway.config.model_list import protect_params
from tollway.config.problem import Problem
from tollway.config.sealing import CannotOpen, Sealer
from tollway.config.secret import MASK, Secret, protect, with_leaves
from tollway.ports.models import StoredSetting

DATABASE = "database"
"""The place of what is stored, in origins and in problems."""

_ALL_SECRET = frozenset({"alert_to_webhook_url", "generic_logger_headers"})
"""Settings whose every text may be a credential, whatever name it goes by."""

_PARAMS = "default_litellm_params"
_SUSPECTS = (f"{ROUTER.name}.{_PARAMS}", f"{ENVIRONMENT}.", "")
"""Who may be behind a problem elsewhere, by the beginning of the path, the likeliest first."""
_SEAL_REMEDY = "start with the LITELLM_SALT_KEY (or the file salt_key) it was sealed with, or set it anew"


def protect_setting(section: str, name: str, value: Any) -> Any:
    """The value as written, in which every text that may be a secret is a `Secret`. References are none."""
    if name == _PARAMS and isinstance(value, Mapping):
        return protect_params(value)
    key = find(section, name)
    is_secret = section == ENVIRONMENT or name in _ALL_SECRET or (key is not None and key.kind.is_secret)
    return with_leaves(protect(value, "secret" if is_secret else name), _unprotected_reference)


def show_setting(value: Any) -> Any:
    """A protected value as an answer may have it: of a secret nothing, also where it is an address."""
    return with_leaves(value, lambda leaf: MASK if isinstance(leaf, Secret) else leaf)


def seal_setting(section: str, name: str, value: Any, sealer: Sealer) -> Any:
    """What `open_settings` opens: every `Secret` sealed."""
    return sealer.seal(value, "settings", section, name)


def open_settings(rows: Iterable[StoredSetting], sealer: Sealer) -> StoredSettings:
    """The settings of the database as they were written; those that cannot be opened, or must not count, left out."""
    values: dict[str, dict[str, Any]] = {}
    left_out: list[Problem] = []
    for row in rows:
        path = f"{row.section}.{row.name}"
        try:
            value = sealer.open(row.value, "settings", row.section, row.name)
        except CannotOpen as error:
            left_out.append(Problem(DATABASE, path, f"what is sealed in it cannot be opened: {error}", _SEAL_REMEDY))
            continue
        if row.section != ENVIRONMENT and row.section not in STORABLE:
            left_out.append(Problem(DATABASE, path, "is of a section that this version does not know"))
        elif (reason := withheld(row.section, row.name, value)) is not None:
            left_out.append(Problem(DATABASE, path, f"is not taken from the database: {reason}"))
        else:
            values.setdefault(row.section, {})[row.name] = value
    return StoredSettings(values=values, left_out=tuple(left_out))


def overlaid(root: Located, stored: StoredSettings) -> Located:
    """The file with what the database says over it."""
    members = dict(root.items)
    for section, settings in stored.values.items():
        below = members.get(section, Located({}, DATABASE, 0))
        if below.value is not None and not isinstance(below.value, dict):
            continue  # the file is wrong there, which is said elsewhere
        above = {name: locate(value, DATABASE) for name, value in settings.items()}
        members[section] = msgspec.structs.replace(below, value={**below.items, **above})
    return msgspec.structs.replace(root, value=members)


def withheld_secrets(stored: StoredSettings, lent: Mapping[str, str], written: Written) -> list[Problem]:
    """Settings that refer to one of the gateway's own secrets, whatever name it goes by."""
    return [
        Problem(DATABASE, f"{section}.{name}", f"refers to {variable}, a secret of the gateway itself")
        for section, settings in stored.values.items()
        for name, value in settings.items()
        for variable in _references(value)
        if variable in written.environ and variable not in lent
    ]


def misfits(stored: StoredSettings, environ: Mapping[str, str]) -> list[Problem]:
    """Values that are not of their setting's kind, also where a stronger source says something else."""
    findings = Findings()
    for section, settings in stored.values.items():
        for name, value in settings.items():
            key = find(section, name)
            if key is not None and key.support == "supported":
                findings.read_node(key.kind, resolve(locate(value, DATABASE), environ), f"{section}.{name}")
    return findings.problems


def blamed(stored: StoredSettings, problems: Iterable[Problem]) -> list[Problem]:
    """The problems that settings of the database have. Where none is named, those that speak inside models are under
    suspicion first, then all: what is right without them must not fail with them.
    """
    problems = list(problems)
    found = [problem for problem in problems if any(concerns(problem, path) for path in stored.paths)]
    suspicion = f"cannot be used as things are: {problems[0]}" if problems else ""
    groups = ([path for path in stored.paths if path.startswith(beginning)] for beginning in _SUSPECTS)
    suspects = next((group for group in groups if group), [])
    return found or [Problem(DATABASE, path, suspicion) for path in suspects]


def leave_out(stored: StoredSettings, problems: Iterable[Problem]) -> StoredSettings:
    """The settings without those that these problems are about."""
    problems = tuple(problems)
    values = {
        section: {
            name: value
            for name, value in settings.items()
            if not any(concerns(problem, f"{section}.{name}") for problem in problems)
        }
        for section, settings in stored.values.items()
    }
    return StoredSettings(values=values, left_out=(*stored.left_out, *problems))


def concerns(problem: Problem, path: str) -> bool:
    """Whether a problem or a notice is about this setting as the database has it."""
    return problem.place == DATABASE and (problem.key == path or problem.key.startswith((f"{path}.", f"{path}[")))


def as_notices(stored: StoredSettings) -> Iterator[Problem]:
    """What an operator is told about settings that do not count."""
    for problem in stored.left_out:
        yield msgspec.structs.replace(problem, message=f"left out: {problem.message}")


def _references(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            for item in value.values():
                yield from _references(item)
        case list():
            for item in value:
                yield from _references(item)
        case str() if value.startswith(REFERENCE):
            yield value.removeprefix(REFERENCE).strip()
        case _:
            return


def _unprotected_reference(leaf: Any) -> Any:
    return str(leaf) if isinstance(leaf, Secret) and leaf.startswith(REFERENCE) else leaf
