"""Which source wins. Per setting: flag, `TOLLWAY_*`, database, file, other programs' variables, default.

What the database says has been laid over the file by then: see `overlay`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from tollway.config.configuration import Sourced
from tollway.config.findings import Findings
from tollway.config.keys import ENVIRONMENT_PREFIX, SETTINGS, VARIABLES, Key
from tollway.config.located import Located, plain
from tollway.config.problem import nearest

CONFIG_VARIABLES = (f"{ENVIRONMENT_PREFIX}CONFIG", "CONFIG_FILE_PATH")
"""Name the configuration file where no flag does."""

_SERVICE_LINK_NAME = re.compile(rf"{ENVIRONMENT_PREFIX}(\w+_)?(SERVICE_(HOST|PORT)|PORT(_\d|$))")
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


class _Candidate(msgspec.Struct, frozen=True):
    value: Any
    origin: str
    reference: str = ""


class Sources:
    """Everything that may give a setting its value."""

    def __init__(
        self,
        *,
        flags: Mapping[str, Any],
        own_environ: Mapping[str, str],
        environ: Mapping[str, str],
        root: Located,
        findings: Findings,
    ) -> None:
        """`own_environ` is the process's, where `TOLLWAY_*` is looked up; `environ` has the file's additions too."""
        self._flags = flags
        self._own_environ = own_environ
        self._environ = environ
        self._root = root
        self._findings = findings

    def settle(self, key: Key) -> Sourced:
        """The value of a setting and its origin. Null and empty variables count as not given."""
        for candidate in self._candidates(key):
            value = self._findings.read(
                key.kind, candidate.value, place=candidate.origin, path=key.path, reference=candidate.reference
            )
            if value is not None:
                return Sourced(value, candidate.origin)
            break  # told as a problem; going on with the default finds further ones
        return Sourced(None if key.default is None else key.kind.read(key.default), "default")

    def _candidates(self, key: Key) -> Iterator[_Candidate]:
        if (flag := self._flags.get(key.name)) is not None:
            yield _Candidate(flag, f"flag {key.flag or '--' + key.name}")
        if (text := self._own_environ.get(key.twin)) and not _SERVICE_LINK_VALUE.match(text):
            yield _Candidate(text, f"environment {key.twin}")
        node = self._root.items.get(key.section)
        written = node.items.get(key.name) if node else None
        if written is not None and written.value is not None:
            yield _Candidate(plain(written), written.place, written.reference)
        for name in key.environment:
            if (text := self._environ.get(name)) and not _SERVICE_LINK_VALUE.match(text):
                yield _Candidate(text, f"environment {name}")


def check_flags(flags: Mapping[str, Any], known: frozenset[str]) -> None:
    """A flag nobody reads is a mistake in the command, not of the operator."""
    if unknown := flags.keys() - known:
        raise TypeError(f"no settings for these flags: {', '.join(sorted(unknown))}")


def note_variables(environ: Mapping[str, str], findings: Findings) -> None:
    """Tells of variables that have no effect: unknown ones of ours, and LiteLLM's that are not supported yet."""
    twins = {key.twin for section in SETTINGS for key in section.keys if key.support == "supported"}
    of_commands = {f"{ENVIRONMENT_PREFIX}{name}" for name in ("URL", "SHADOW_SECOND_KEY", "COPY_FROM", "COPY_TO")}
    known = twins | of_commands | {CONFIG_VARIABLES[0]}
    for name, value in environ.items():
        if not value:
            continue
        if name.startswith(ENVIRONMENT_PREFIX):
            if name not in known and not _SERVICE_LINK_NAME.match(name):
                meant = nearest(name, known)
                findings.note(
                    f"environment {name}", "", "is not a known setting", f"did you mean {meant}?" if meant else ""
                )
            continue
        for variable in VARIABLES:
            if variable.support == "later" and fnmatchcase(name, variable.name):
                findings.note(f"environment {name}", "", "has no effect in this release", variable.remedy)
