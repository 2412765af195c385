"""Who is told about calls: compiled with a configuration, or with a caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="deterministic").encode
_TRUE = frozenset({"true", "1", "yes", "on"})


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
    owner: str = ""
    """`key` or `team`; empty: the operator has named it."""
    redacts: bool = False
    """Messages and answers are not told."""

    @property
    def destination(self) -> tuple[str, str, bytes, tuple[str, ...]]:
        """What two reports have in common that go to one place."""
        return self.name, self.owner, self.variables, self.sealed_to


def reports_of(entries: object, *, owner: str, sealed_to: tuple[str, ...] = ()) -> tuple[Report, ...]:
    """The reports in `metadata.logging` of a key, or in the callbacks of a team; what is no such thing is left out.

    `sealed_to`: what each entry's values are sealed to, its name and type left out.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        return ()
    return tuple(found for one in entries if (found := _report(one, owner, sealed_to)) is not None)


def _report(entry: object, owner: str, sealed_to: tuple[str, ...]) -> Report | None:
    if not isinstance(entry, Mapping):
        return None
    name, kind = entry.get("callback_name"), entry.get("callback_type") or "success_and_failure"
    variables: Any = entry.get("callback_vars") or {}
    if not isinstance(name, str) or not isinstance(variables, Mapping):
        return None
    return Report(
        name=name,
        on_success=kind in ("success", "success_and_failure"),
        on_failure=kind in ("failure", "success_and_failure"),
        variables=_encode(variables),
        sealed_to=(*sealed_to, name, str(kind)) if sealed_to else (),
        owner=owner,
        redacts=is_true(variables.get("turn_off_message_logging")),
    )


def is_true(value: object) -> bool:
    """Whether a flag, or a text that stands for one, says yes."""
    return value is True or (isinstance(value, str) and value.strip().lower() in _TRUE)
