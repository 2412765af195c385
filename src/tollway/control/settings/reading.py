"""What is set, by whom, and what could be. Secrets never leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tollway.config.configuration import Configuration
from tollway.config.keys import GENERAL, LIBRARY, ROUTER, SETTINGS, Key
from tollway.config.keys.over_api import withheld
from tollway.config.kinds import (
    ANY,
    COUNT,
    FLAG,
    HTTP_STATUS,
    INTEGER,
    LENIENT_FLAG,
    LIST,
    MAPPING,
    MEBIBYTES,
    MONEY,
    NUMBER,
    PORT,
    POSITIVE,
    SECONDS,
    SECONDS_OR_NONE,
    TEXTS,
    WEIGHT,
)
from tollway.config.located import plain
from tollway.config.overlay import overlaid, protect_setting, show_setting
from tollway.config.secret import MASK
from tollway.control.settings.schemas import Alert, Callback, Callbacks, ConfigField

_TYPES = {
    kind.name: word
    for word, kinds in {
        "Boolean": (FLAG, LENIENT_FLAG),
        "Integer": (COUNT, INTEGER, POSITIVE, PORT, HTTP_STATUS),
        "Float": (NUMBER, WEIGHT, SECONDS, SECONDS_OR_NONE, MEBIBYTES, MONEY),
        "List": (TEXTS, LIST),
        "Dict": (MAPPING,),
        "Any": (ANY,),
    }.items()
    for kind in kinds
}
"""What existing clients call the kinds; any other is a `String`."""

_CALLBACK_TYPES = {"success_callback": "success", "failure_callback": "failure", "callbacks": "success_and_failure"}
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "langfuse": ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_HOST"),
    "langfuse_otel": ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_OTEL_HOST"),
    "langsmith": ("LANGSMITH_API_KEY", "LANGSMITH_PROJECT", "LANGSMITH_DEFAULT_RUN_NAME"),
    "datadog": ("DD_API_KEY", "DD_SITE"),
    "otel": ("OTEL_EXPORTER", "OTEL_ENDPOINT", "OTEL_HEADERS"),
    "braintrust": ("BRAINTRUST_API_KEY",),
    "openmeter": ("OPENMETER_API_ENDPOINT", "OPENMETER_API_KEY"),
    "slack": ("SLACK_WEBHOOK_URL",),
    "email": ("SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_SENDER_EMAIL"),
    "webhook": ("WEBHOOK_URL",),
    "ms_teams": ("MS_TEAMS_WEBHOOK_URL",),
}
"""The environment that each is set up with."""


def show_fields(configuration: Configuration, stored: Mapping[str, Any]) -> list[ConfigField]:
    """Every setting of the server that can be set over the API. `stored` is what the database has of them."""
    keys = {key.name: key for key in GENERAL.keys if "*" not in key.name}
    keys |= {name: key for name in stored if name not in keys and (key := GENERAL.find(name)) is not None}
    return [
        show_field(configuration, name, key, is_stored=name in stored)
        for name, key in keys.items()
        if withheld(GENERAL.name, name, None) is None
    ]


def show_field(configuration: Configuration, name: str, key: Key, *, is_stored: bool) -> ConfigField:
    """One setting."""
    value, origin = shown(configuration, GENERAL.name, name)
    return ConfigField(
        field_name=name,
        field_type=_TYPES.get(key.kind.name, "String"),
        field_description=key.meaning,
        field_value=value,
        stored_in_db=True if is_stored else None if origin == "default" else False,
        field_default_value=key.default,
        field_origin=origin,
    )


def shown(configuration: Configuration, section: str, name: str) -> tuple[Any, str]:
    """A value as it was written, secrets masked, and who said so; null where nobody did."""
    setting = configuration.origins.get(f"{section}.{name}")
    value, origin = written_values(configuration, section).get(name, (None, "default"))
    if setting is not None:
        is_as_written = setting.origin in (origin, "default")  # the latter also for a reference that leads nowhere
        value, origin = value if is_as_written else setting.value, setting.origin
    return show_setting(protect_setting(section, name, value)), origin


def written_values(configuration: Configuration, section: str) -> dict[str, tuple[Any, str]]:
    """What file and database say in a section, and which of them says it where."""
    node = overlaid(configuration.written.document.root, configuration.stored).items.get(section)
    return {name: (plain(member), member.place) for name, member in (node.items if node is not None else {}).items()}


def show_callbacks(configuration: Configuration) -> Callbacks:
    """Who is meant to be told about calls, and about trouble."""
    alerting, _ = shown(configuration, GENERAL.name, "alerting")
    return Callbacks(
        callbacks=list(_callbacks(configuration)),
        alerts=[Alert(name=name, variables=_variables(configuration, name)) for name in _texts(alerting)],
        router_settings={
            name: shown(configuration, ROUTER.name, name)[0]
            for name in (
                *(key.name for key in ROUTER.keys if key.support == "supported"),
                *written_values(configuration, ROUTER.name),
            )
        },
    )


def describe_format() -> dict[str, dict[str, str]]:
    """Every section of a configuration file, and what each key in it means."""
    return {section.name: {key.name: key.meaning for key in section.keys} for section in SETTINGS}


def _callbacks(configuration: Configuration) -> Iterator[Callback]:
    for key, kind in _CALLBACK_TYPES.items():
        names, _ = shown(configuration, LIBRARY.name, key)
        for name in _texts(names):
            yield Callback(name=name, variables=_variables(configuration, name), type=kind)


def _variables(configuration: Configuration, name: str) -> dict[str, str | None]:
    return {
        variable: MASK if configuration.environ.get(variable) else None for variable in _VARIABLES.get(name.lower(), ())
    }


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]
