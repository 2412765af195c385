"""`metadata.logging` of keys and teams: who is told about their calls, with credentials that are sealed at rest.

An entry is `{"callback_name", "callback_type", "callback_vars"}` (wire contract). What is no such entry is left as it
is: nobody is told because of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tollway.config.located import REFERENCE
from tollway.config.sealing import Sealer, is_sealed
from tollway.config.secret import MASK, Secret
from tollway.core.errors import InvalidRequest
from tollway.core.reporting import FLAGS, LOGGING, callback_type

_VARS = "callback_vars"


def has_entries(metadata: Mapping[str, Any]) -> bool:
    """Whether there is anything to seal or to hide."""
    return bool(metadata.get(LOGGING))


def seal_entries(
    metadata: Mapping[str, Any], before: Mapping[str, Any], sealer: Sealer, place: tuple[str, ...]
) -> dict[str, Any]:
    """The metadata with every credential in it sealed. `sealer` is ready.

    A mask stands for what `before` has in the entry of that name and type. Raises `InvalidRequest` for a mask of
    nothing, and for a sealed text that is not that one.
    """
    stored = {_identity(one): one[_VARS] for one in _entries(before)}

    def sealed(entry: Any) -> Any:
        if not _is_entry(entry):
            return entry
        known = stored.get(_identity(entry), {})
        written = {name: _protected(name, value, known.get(name)) for name, value in entry[_VARS].items()}
        return {**entry, _VARS: sealer.seal(written, *place, *_identity(entry))}

    return {**metadata, LOGGING: [sealed(one) for one in metadata[LOGGING]]} if _listed(metadata) else dict(metadata)


def open_entries(metadata: Mapping[str, Any], sealer: Sealer, place: tuple[str, ...]) -> dict[str, Any]:
    """What was given to `seal_entries`. Raises `CannotOpen`."""

    def opened(entry: Any) -> Any:
        if not _is_entry(entry):
            return entry
        return {**entry, _VARS: sealer.open(entry[_VARS], *place, *_identity(entry))}

    return {**metadata, LOGGING: [opened(one) for one in metadata[LOGGING]]} if _listed(metadata) else dict(metadata)


def shown_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata as an answer may have it: of credentials a mask, of references what was written."""
    if not _listed(metadata):
        return metadata

    def masked(entry: Any) -> Any:
        if not _is_entry(entry):
            return entry
        return {
            **entry,
            _VARS: {name: MASK if is_credential(name, value) else value for name, value in entry[_VARS].items()},
        }

    return {**metadata, LOGGING: [masked(one) for one in metadata[LOGGING]]}


def _protected(name: str, value: Any, known: Any) -> Any:
    if value == MASK and known is not None:
        value = known
    if value == known and is_sealed(value):
        return value
    if value == MASK or is_sealed(value):
        raise InvalidRequest(
            f"metadata.logging: {name} is masked or sealed, and no such entry is stored. Send the value itself.",
            param="metadata",
            type="bad_request_error",
        )
    return Secret(value) if is_credential(name, value) else value


def is_credential(name: str, value: Any) -> bool:
    """Whether a variable of a callback is to be sealed: all texts, but for flags and references to the environment."""
    return isinstance(value, str) and name not in FLAGS and not value.startswith(REFERENCE)


def _identity(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["callback_name"], callback_type(entry)


def _entries(metadata: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in metadata[LOGGING] if _is_entry(one)) if _listed(metadata) else ()


def _listed(metadata: Mapping[str, Any]) -> bool:
    return isinstance(metadata.get(LOGGING), list)


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict) and isinstance(entry.get("callback_name"), str) and isinstance(entry.get(_VARS), dict)
    )
