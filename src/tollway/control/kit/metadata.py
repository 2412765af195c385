"""`metadata` of the wire: the caller's own entries, and fields that the contract keeps among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def merge_metadata(stored: Mapping[str, Any], changes: Mapping[str, Any], reserved: Iterable[str]) -> dict[str, Any]:
    """The metadata after a request.

    New `metadata` replaces the caller's own entries. Those with a `reserved` name stay until their field is changed;
    null clears one.
    """
    names = frozenset(reserved)
    own = dict(stored)
    if "metadata" in changes:
        own = {name: value for name, value in stored.items() if name in names} | (changes["metadata"] or {})
    fields = {name: value for name, value in changes.items() if name in names}
    kept = {name: value for name, value in own.items() if name not in fields}
    return kept | {name: value for name, value in fields.items() if value is not None}


def with_fields_in_metadata(changes: Mapping[str, Any], reserved: Iterable[str]) -> set[str]:
    """Every field that a request sets, those put into `metadata` under a reserved name among them."""
    return {*changes, *frozenset(reserved).intersection(changes.get("metadata") or ())}
