"""What of the tables may be set over the API, and which of it waits for a start.

An administrator of the gateway is not one of the machine: what runs code, opens files or decides who they are is said
where the gateway is started, by a flag, the environment or the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from tollway.config.keys.general import GENERAL
from tollway.config.keys.key import ENVIRONMENT_PREFIX, Key, Section
from tollway.config.keys.library import LIBRARY, ROUTER

ENVIRONMENT = "environment_variables"
STORABLE: Mapping[str, Section] = {section.name: section for section in (GENERAL, LIBRARY, ROUTER)}
"""The sections whose settings may be kept in the database, beside `environment_variables`."""

_ADMINISTRATION = "it decides who administers this gateway"
_STORAGE = "it decides where this setting itself would be kept"
_SHARING = "it decides where budgets and limits are counted"
_MACHINE = "it belongs to the machine that the gateway runs on"
_CODE = "it names code that would run in the gateway"
_FORWARDING = "it would open a way through the gateway to any address"
_SECRETS = "it decides where the gateway's secrets come from"
_FILE = "it names a file of the machine that the gateway runs on"

WITHHELD: Mapping[str, str] = {
    "general_settings.master_key": _ADMINISTRATION,
    "general_settings.salt_key": _SECRETS,
    "general_settings.dangerously_permit_weak_or_unset_master_key": _ADMINISTRATION,
    "general_settings.store_model_in_db": _STORAGE,
    "general_settings.supported_db_objects": _STORAGE,
    "general_settings.database_*": _STORAGE,
    "general_settings.coordination_redis": _SHARING,
    "router_settings.redis_*": _SHARING,
    "general_settings.data_dir": _MACHINE,
    "general_settings.host": _MACHINE,
    "general_settings.port": _MACHINE,
    "general_settings.workers": _MACHINE,
    "general_settings.ssl_*": _FILE,
    "general_settings.plugins": _CODE,
    "general_settings.mcp_*": _CODE,
    "general_settings.custom_*": _CODE,
    "general_settings.key_management_*": _SECRETS,
    "general_settings.secret_refresh_interval": _SECRETS,
    "general_settings.use_google_kms": _SECRETS,
    "general_settings.use_azure_key_vault": _SECRETS,
    "general_settings.pass_through_*": _FORWARDING,
    "litellm_settings.custom_provider_map": _CODE,
    "litellm_settings.post_call_rules": _CODE,
    "litellm_settings.pre_call_rules": _CODE,
    "litellm_settings.guardrails": _CODE,
    "litellm_settings.guardrail_name_config_map": _CODE,
    "litellm_settings.ssl_certificate": _FILE,
    "litellm_settings.presidio_ad_hoc_recognizers": _FILE,
    "environment_variables.*_FILE": _FILE,
    "environment_variables.*_PATH": _FILE,
    "environment_variables.*_DIR": _FILE,
    "environment_variables.*_CONFIG": _FILE,
    "environment_variables.*_BUNDLE": _FILE,
    "environment_variables.GOOGLE_APPLICATION_CREDENTIALS": _FILE,
    "environment_variables.DATABASE_*": _STORAGE,
    "environment_variables.REDIS_*": _SHARING,
    "environment_variables.DIRECT_URL": _STORAGE,
    "environment_variables.XDG_*": _MACHINE,
    "environment_variables.TZ*": _MACHINE,
}
"""Settings that are not taken over the API, `*` standing for anything, and why."""

_PATHS = frozenset({"litellm_settings.ssl_verify", "litellm_settings.banned_keywords_list",
                    "litellm_settings.blocked_user_list"})  # fmt: skip
"""Settings whose value may be the path of a file."""

_CALLBACKS = frozenset(
    f"litellm_settings.{name}"
    for name in ("callbacks", "success_callback", "failure_callback", "service_callback", "audit_log_callbacks")
)

AT_START = frozenset({
    *(key.path for key in GENERAL.keys if key.sets.startswith(("server.", "pool."))),
    "general_settings.debug", "general_settings.detailed_debug",
    "litellm_settings.set_verbose", "litellm_settings.json_logs",
    "litellm_settings.timezone", "litellm_settings.budget_reset_time",
    "general_settings.user_api_key_cache_ttl", "general_settings.user_api_key_cache_max_size",
    "general_settings.key_grace_s",
}) - {
    "general_settings.key_rotation_check_interval_seconds", "general_settings.key_rotation_grace_period",
}  # fmt: skip
"""Settings that the process reads once. All others act as soon as they are changed."""


def find(section: str, name: str) -> Key | None:
    """The row of a setting that may be stored; None for a variable, and for what no table knows."""
    table = STORABLE.get(section)
    return table.find(name) if table is not None else None


def withheld(section: str, name: str, value: Any) -> str | None:
    """Why this is not taken over the API; None if it is."""
    path = f"{section}.{name}"
    if section == ENVIRONMENT and (setting := setting_of_variable(name)) is not None:
        return f"it stands for the setting {setting}"
    if path in _PATHS and isinstance(value, str) and value.strip().lower() not in ("true", "false"):
        return _FILE
    if path in _CALLBACKS and any("." in str(one) for one in (value if isinstance(value, list) else [value])):
        return _CODE
    return next((reason for pattern, reason in WITHHELD.items() if fnmatchcase(path, pattern)), None)


def setting_of_variable(name: str) -> str | None:
    """The setting that an environment variable of this name would set."""
    for section in STORABLE.values():
        for key in section.keys:
            if name in key.environment or (name.startswith(ENVIRONMENT_PREFIX) and name == key.twin):
                return key.path
    return None
