"""Secrets of others: `os.environ/NAME` in a secret manager, and `file//path`.

They are read beside the configuration and then stand where it refers to them, so that nothing else need know where a
value came from. The last good ones are remembered: a manager that is away changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tollway.config.configuration import Environment, Secrets, Sourced
from tollway.config.findings import Findings
from tollway.config.keys import GENERAL, KEY_MANAGEMENT
from tollway.config.located import (
    FILE_REFERENCE,
    REFERENCE,
    Located,
    is_file_reference,
    leaves,
    resolve,
)
from tollway.config.problem import ConfigurationError, Problem
from tollway.config.secret import Secret
from tollway.config.sources import Sources
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.windows import duration_s
from tollway.secret_managers import KINDS, open_manager

_SYSTEM, _SETTINGS, _INTERVAL = "key_management_system", "key_management_settings", "secret_refresh_interval"
_SYSTEM_PATH, _SETTINGS_PATH = f"{GENERAL.name}.{_SYSTEM}", f"{GENERAL.name}.{_SETTINGS}"
_LONGEST_FILE = 64 << 10


class KeptSecrets:
    """`configuration.SecretReader`."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Secret] = {}
        """By manager and name."""
        self._texts: dict[str, Secret] = {}

    def read(self, root: Located, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Secrets:
        """Those that `root` refers to. Blocks, for as long as a manager takes. Raises `ConfigurationError`."""
        system, settings, refresh_s = _asked_for(root, flags, environ)
        written = list(leaves(root))
        files = {str(leaf.value).removeprefix(FILE_REFERENCE): leaf for leaf in written if is_file_reference(leaf)}
        names = _names(written, settings) if system.value in KINDS and _may_read(settings) else []
        if not files and not names:
            return Secrets()
        notices: list[Problem] = []
        texts = {path: self._text(path, leaf, notices) for path, leaf in files.items()}
        values = self._of_manager(system, settings, names, environ, notices) if names else {}
        return Secrets(
            values=Environment(values), texts=Environment(texts), refresh_s=refresh_s, notices=tuple(notices)
        )

    def _text(self, path: str, leaf: Located, notices: list[Problem]) -> Secret:
        try:
            text = self._texts[path] = _read_file(path)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "it is no short text"
            known = self._texts.get(path)
            if known is None:
                problem = Problem(
                    leaf.place, FILE_REFERENCE + path, f"cannot be read: {why}", "name a file with a secret"
                )
                raise ConfigurationError([problem]) from None
            notices.append(Problem(leaf.place, FILE_REFERENCE + path, f"cannot be read ({why}); what it held counts"))
            return known
        return text

    def _of_manager(
        self,
        system: Sourced,
        settings: Mapping[str, Any],
        names: Sequence[str],
        environ: Mapping[str, str],
        notices: list[Problem],
    ) -> dict[str, str]:
        try:
            found = _ask(system.value, settings, names, environ)
        except (UpstreamError, Misconfigured) as error:
            known = {name: self._values[key] for name in names if (key := (system.value, name)) in self._values}
            if missing := [name for name in names if name not in known and not environ.get(name)]:
                remedy = f"set {', '.join(missing)} in the environment to do without"
                raise ConfigurationError([Problem(system.origin, _SYSTEM_PATH, error.message, remedy)]) from None
            message = f"{error.message.rstrip('.')}. The last known secrets, or those of the environment, count"
            notices.append(Problem(system.origin, _SYSTEM_PATH, message))
            return dict(known)
        kept = {name: Secret(text) for name, text in found.items()}
        self._values = {(system.value, name): text for name, text in kept.items()}
        return dict(kept)


def check_key_management(origins: dict[str, Sourced], findings: Findings) -> None:
    """What is wrong with `key_management_settings`."""
    setting = origins[_SETTINGS_PATH]
    for name, value in setting.value.items():
        key, path = KEY_MANAGEMENT.find(name), f"{_SETTINGS_PATH}.{name}"
        if key is None:
            findings.report_unknown(setting.origin, path, name, KEY_MANAGEMENT.by_name)
        elif key.support == "later":
            if value:
                findings.note(setting.origin, path, "has no effect in this release", key.remedy)
        elif value is not None:
            findings.read(key.kind, value, place=setting.origin, path=path)


def _asked_for(
    root: Located, flags: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Sourced, Mapping[str, Any], float]:
    """Which manager, what is said about it, and how often it is asked. What is wrong is told when all else is."""
    sources = Sources(
        flags=flags,
        own_environ=environ,
        environ=environ,
        root=resolve(root, environ),
        findings=Findings(),
    )
    system, settings, interval = (sources.settle(GENERAL.by_name[name]) for name in (_SYSTEM, _SETTINGS, _INTERVAL))
    return system, settings.value, duration_s(interval.value)


def _may_read(settings: Mapping[str, Any]) -> bool:
    return settings.get("access_mode") != "write_only"


def _names(written: Sequence[Located], settings: Mapping[str, Any]) -> list[str]:
    """What to ask the manager for: what is referred to, or else exactly what it is said to hold."""
    hosted = settings.get("hosted_keys")
    if isinstance(hosted, list | tuple):
        return sorted({str(name) for name in hosted})
    texts = (leaf.value for leaf in written if isinstance(leaf.value, str) and leaf.value.startswith(REFERENCE))
    return sorted({name for text in texts if (name := text.removeprefix(REFERENCE).strip())})


def _ask(
    system: str, settings: Mapping[str, Any], names: Sequence[str], environ: Mapping[str, str]
) -> Mapping[str, str]:
    async def read() -> Mapping[str, str]:
        return await open_manager(system, settings, environ).read(names)

    # In a thread of its own: whoever loads a configuration may have an event loop running.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(read())).result()


def _read_file(path: str) -> Secret:
    with Path(path).open("rb") as file:
        content = file.read(_LONGEST_FILE + 1)
    if len(content) > _LONGEST_FILE:
        raise ValueError
    return Secret(content.decode().strip())
