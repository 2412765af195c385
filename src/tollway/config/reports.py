"""Who is told about every call, of what the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.callbacks.table import KINDS
from tollway.config.keys.library import LIBRARY
from tollway.config.located import Located, plain
from tollway.core.reporting import Report

_BOTH, _SUCCESS, _FAILURE = "callbacks", "success_callback", "failure_callback"
_PARAMS = {"s3": "s3_callback_params", "s3_v2": "s3_callback_params"}
"""Settings with the variables of one callback."""
_encode = msgspec.json.Encoder(order="deterministic").encode


def reports(callbacks: Mapping[str, tuple[str, ...]], root: Located) -> tuple[Report, ...]:
    """A report for each name that this release knows. `callbacks`: names by key, as written."""
    good = (*callbacks.get(_BOTH, ()), *callbacks.get(_SUCCESS, ()))
    bad = (*callbacks.get(_BOTH, ()), *callbacks.get(_FAILURE, ()))
    names = [name for name in dict.fromkeys((*good, *bad)) if name in KINDS]
    return tuple(
        Report(
            name=name,
            on_success=name in good,
            on_failure=name in bad,
            variables=_encode(_variables(name, root)),
        )
        for name in names
    )


def _variables(name: str, root: Located) -> dict[str, str]:
    """`callback_settings.<name>`, and what else the contract has for one of them. All of it as text."""
    library = root.items.get(LIBRARY.name, Located({}, "", 0)).items
    found: dict[str, Any] = {}
    if name in _PARAMS and _PARAMS[name] in library:
        found |= plain(library[_PARAMS[name]]) or {}
    if name == "generic_api" and "generic_logger_headers" in library:
        found["headers"] = plain(library["generic_logger_headers"])
    of_callback = root.items.get("callback_settings", Located({}, "", 0)).items.get(name)
    if of_callback is not None and isinstance(of_callback.value, dict):
        found |= plain(of_callback)
    return {key: _text(value) for key, value in found.items() if value is not None}


def _text(value: Any) -> str:
    """Mappings as `name=value,name2=value2`, the way the environment writes headers."""
    if isinstance(value, dict):
        return ",".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
