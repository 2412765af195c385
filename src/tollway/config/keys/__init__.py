"""Every key a configuration file may hold, as data: the checker, the precedence and the reference page read it.

Names, tiers and meanings follow LiteLLM's `config.yaml`; keys marked `is_own` are Tollway's.
"""

from __future__ import annotations

from tollway.config.keys.environment import VARIABLES, Variable
from tollway.config.keys.general import GENERAL, KEY_MANAGEMENT
from tollway.config.keys.key import ENVIRONMENT_PREFIX, Key, Section, Support, Tier
from tollway.config.keys.library import KEY_PARAMS, LIBRARY, ROUTER, TEAM_PARAMS, USER_PARAMS
from tollway.config.keys.models import BODY_FIELDS, CONNECTION, CREDENTIAL, ENTRY, INFO, PARAMS, PRICES
from tollway.config.keys.redis import CACHE_PARAMS, COORDINATION_REDIS
from tollway.config.keys.top import TOP

__all__ = [
    "BODY_FIELDS", "CACHE_PARAMS", "CONNECTION", "COORDINATION_REDIS", "CREDENTIAL", "ENTRY", "ENVIRONMENT_PREFIX",
    "GENERAL", "INFO", "KEY_MANAGEMENT", "KEY_PARAMS", "LIBRARY", "PARAMS", "PRICES", "ROUTER", "SECTIONS", "SETTINGS",
    "TEAM_PARAMS", "TOP", "USER_PARAMS", "VARIABLES", "Key", "Section", "Support", "Tier", "Variable", "all_keys",
]  # fmt: skip

SETTINGS = (GENERAL, LIBRARY, ROUTER)
"""Sections whose keys hold one value for the whole gateway."""

SECTIONS = (TOP, ENTRY, PARAMS, INFO, CREDENTIAL, LIBRARY, KEY_PARAMS, USER_PARAMS, TEAM_PARAMS, CACHE_PARAMS, ROUTER,
            GENERAL, COORDINATION_REDIS, KEY_MANAGEMENT)  # fmt: skip


def all_keys() -> tuple[Key, ...]:
    """Every row of every table, in the order of a configuration file."""
    return tuple(key for section in SECTIONS for key in section.keys)
