"""Every kind of destination there is: its names, its file, and what it reads of settings and environment.

A file has a class with `open(variables)`, which raises `Misconfigured` naming what is missing, and beside it `NAMES`
and `VARIABLES`: the variables that it knows, with the environment variable each is read from where it is not given. It
may have `NEEDED_OF_USERS`: variables that keys and teams must bring, because the machine would lend its own otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any, Protocol, cast

from tollway.core.errors import Misconfigured
from tollway.ports.callbacks import Destination

KINDS: Mapping[str, tuple[str, str]] = {
    "generic_api": ("generic_api", "GenericApi"),
    "langfuse": ("langfuse", "Langfuse"),
    "langfuse_otel": ("langfuse_otel", "LangfuseOtel"),
    "otel": ("otel", "OpenTelemetry"),
    "s3": ("s3", "S3"),
    "s3_v2": ("s3", "S3"),
}
"""Module and class by the contract's names."""
ALERT_CHANNELS = ("slack", "webhook")
"""Where alerts can go."""


class Kind(Protocol):
    """The class of a file."""

    @classmethod
    def open(cls, variables: Mapping[str, str]) -> Destination:
        """One place, before anything is sent there. Raises `Misconfigured` naming what is missing."""
        ...


def variables_of(name: str) -> Mapping[str, str | None]:
    """The variables that a kind reads, with the environment variable of each."""
    return cast("Mapping[str, str | None]", _module(name).VARIABLES)


def open_destination(
    name: str, own: Mapping[str, str], environ: Mapping[str, str], *, is_of_user: bool = False, may_be_private: bool
) -> Destination:
    """The destination behind a name. Raises `Misconfigured`.

    `own`: what is written for it. Whoever writes any of it brings all: nothing of the environment is added, so that
    nobody's credential goes to an address that somebody else chose. `is_of_user`: a key or a team names it.
    """
    known = variables_of(name)
    given = {key: value for key, value in own.items() if key in known and value}
    if not is_of_user or not given:
        given = {**from_environ(known, environ), **given}
    module = _module(name)
    missing = [key for key in getattr(module, "NEEDED_OF_USERS", ()) if key not in own] if is_of_user else []
    if missing:
        raise Misconfigured(f"{name}: keys and teams that name it give {', '.join(missing)} too", param=missing[0])
    kind = cast("Kind", getattr(module, KINDS[name][1]))
    with _fence(is_public_only=is_of_user and bool(own) and not may_be_private):
        return kind.open(given)


def from_environ(known: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the environment has."""
    return {key: environ[variable] for key, variable in known.items() if variable and environ.get(variable)}


def _fence(*, is_public_only: bool) -> Any:
    if not is_public_only:
        return nullcontext()
    from tollway.callbacks._kit import public_addresses_only  # noqa: PLC0415 - an HTTP client that only destinations need

    return public_addresses_only()


def _module(name: str) -> Any:
    if name not in KINDS:
        raise Misconfigured(f"There is no callback {name[:100]}; there are {', '.join(sorted(KINDS))}")
    return import_module(f"tollway.callbacks.{KINDS[name][0]}")
