"""Who is told about the calls of a key or team: sealed before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.config.logging_entries import has_entries, seal_entries
from tollway.control.services import Services
from tollway.core.reporting import place_of


async def sealed_metadata(
    services: Services, metadata: dict[str, Any], before: Mapping[str, Any], kind: str, name: str
) -> dict[str, Any]:
    """The metadata as it is stored, of a key (`keys`, its spend id) or team (`teams`, its id).

    `before`: what is stored; a mask stands for what it has. Raises `InvalidRequest`.
    """
    if not has_entries(metadata):
        return metadata
    await services.sealer.ready()
    return seal_entries(metadata, before, services.sealer, place_of(kind, name))
