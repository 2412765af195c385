"""Who is told about calls: compiled with a configuration, or with a caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from typing_extensions import override

_encode = msgspec.json.Encoder(order="deterministic").encode
LOGGING = "logging"
"""The field of `metadata` in which keys and teams say who is told."""
FLAGS = frozenset({"turn_off_message_logging", "litellm_disabled_callbacks"})
"""Variables of a callback that are no secrets."""
_NO = frozenset({"", "false", "0", "no", "off", "none"})


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One place that is told about calls."""

    name: str
    """The contract's name of the integration: `langfuse`."""
    on_success: bool = True
    on_failure: bool = True
    variables: bytes = b"{}"
    """What is written for it: JSON, secrets sealed where they were stored so."""
    sealed_to: tuple[str, ...] = ()
    """What they are sealed to."""
    is_lent: bool = False
    """Whether it may refer to the environment: a proxy admin can have written it."""
    owner: str = ""
    """`key` or `team`; empty: the operator has named it."""
    redacts: bool = False
    """Messages and answers are not told."""

    @override
    def __repr__(self) -> str:
        return f"<report to {self.name}>"

    @property
    def destination(self) -> tuple[str, str, bytes, tuple[str, ...]]:
        """What two reports have in common that go to one place."""
        return self.name, self.owner, self.variables, self.sealed_to


def reports_of(entries: object, *, owner: str, sealed_to: tuple[str, ...], is_lent: bool = False) -> tuple[Report, ...]:
    """The reports in `metadata.logging` of a key or team, or in the callbacks of a team; what is no such thing is left
    out.

    `sealed_to`: what each entry's values are sealed to, its name and type left out.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        return ()
    return tuple(found for one in entries if (found := _report(one, owner, sealed_to, is_lent)) is not None)


def place_of(kind: str, name: str, field: str = LOGGING) -> tuple[str, ...]:
    """What the entries of a key (`keys`, its spend id) or team (`teams`, its id) are sealed to, before their own name
    and type.
    """
    return (kind, name, field)


def callback_type(entry: Mapping[str, Any]) -> str:
    """Which calls an entry is about: `success`, `failure`, or both."""
    return str(entry.get("callback_type") or "success_and_failure")


def _report(entry: object, owner: str, sealed_to: tuple[str, ...], is_lent: bool) -> Report | None:
    if not isinstance(entry, Mapping):
        return None
    name, kind = entry.get("callback_name"), callback_type(entry)
    variables: Any = entry.get("callback_vars") or {}
    if not isinstance(name, str) or not isinstance(variables, Mapping):
        return None
    return Report(
        name=name,
        on_success=kind in ("success", "success_and_failure"),
        on_failure=kind in ("failure", "success_and_failure"),
        variables=_encode(variables),
        sealed_to=(*sealed_to, name, kind),
        is_lent=is_lent,
        owner=owner,
        redacts=_is_on(variables.get("turn_off_message_logging")),
    )


def _is_on(value: object) -> bool:
    """Whether a flag, or a text that stands for one, is on. One that is sealed, and cannot be read here, is: then less
    is told than could be.
    """
    return bool(value) and str(value).strip().lower() not in _NO
