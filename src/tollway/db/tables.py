"""Every table: whoever imports this sees the whole of `metadata`."""

from __future__ import annotations

from tollway.db import (
    access_groups,
    audit,
    budgets,
    cached_answers,
    changes,
    customers,
    health,
    keys,
    ledger,
    models,
    organizations,
    projects,
    responses,
    sessions,
    settings,
    similar,
    tags,
    teams,
    users,
)
from tollway.db.metadata import metadata

__all__ = [
    "access_groups",
    "audit",
    "budgets",
    "cached_answers",
    "changes",
    "customers",
    "health",
    "keys",
    "ledger",
    "metadata",
    "models",
    "organizations",
    "projects",
    "responses",
    "sessions",
    "settings",
    "similar",
    "tags",
    "teams",
    "users",
]
