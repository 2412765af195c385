"""Fields of the wire that live in JSON documents of a row: in `metadata` beside the caller's own, or in `options`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any


def merge_metadata(stored: Mapping[str, Any], changes: Mapping[str, Any], reserved: Collection[str]) -> dict[str, Any]:
    """New `metadata` replaces the caller's own entries; reserved ones stay until their field is changed."""
    own = dict(stored)
    if "metadata" in changes:
        own = pick(stored, reserved) | (changes["metadata"] or {})
    fields = pick(changes, reserved)
    written = {name: _written(value) for name, value in fields.items() if value is not None}
    return {name: value for name, value in own.items() if name not in fields} | written


def merge_options(stored: Mapping[str, Any], changes: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The options with those of the changes that are kept there; null removes one."""
    return {name: value for name, value in {**stored, **pick(changes, names)}.items() if value is not None}


def pick(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The entries with these names."""
    return {name: value for name, value in values.items() if name in names}


def with_fields_in_metadata(changes: Mapping[str, Any], reserved: Collection[str]) -> set[str]:
    """Every field that a request sets, those put into `metadata` under a reserved name among them."""
    return {*changes, *frozenset(reserved).intersection(changes.get("metadata") or ())}


def merge_patch(stored: Any, patch: Any) -> Any:
    """A document after a JSON merge patch (RFC 7396): null removes an entry, objects merge, the rest replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(stored) if isinstance(stored, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
