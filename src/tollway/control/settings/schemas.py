"""Bodies of `/config/*` and `/fallback`, as existing clients send and read them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tollway.control.kit.body import Body
from tollway.control.kit.wire import WireModel

FallbackType = Literal["general", "context_window", "content_policy"]


class ConfigUpdate(Body):
    """Settings to change: those that are left out stay, null clears one."""

    environment_variables: Annotated[
        dict[str, Any] | None,
        Field(description="Variables for the gateway, such as provider keys.", examples=[{"OPENAI_API_KEY": "sk-…"}]),
    ] = None
    litellm_settings: Annotated[
        dict[str, Any] | None,
        Field(description="How calls are made and reported.", examples=[{"request_timeout": 120}]),
    ] = None
    general_settings: Annotated[
        dict[str, Any] | None,
        Field(description="The server.", examples=[{"always_include_stream_usage": True}]),
    ] = None
    router_settings: Annotated[
        dict[str, Any] | None,
        Field(description="Which model is called.", examples=[{"model_group_alias": {"gpt-4": "gpt-4o"}}]),
    ] = None
    model_list: Annotated[list[Any] | None, Field(description="Refused: `POST /model/new` adds models.")] = None


class FieldDelete(Body):
    """A setting of the server to forget."""

    config_type: Literal["general_settings"] = "general_settings"
    field_name: Annotated[str, Field(examples=["always_include_stream_usage"])]


class FieldUpdate(FieldDelete):
    """A setting of the server to change."""

    long_texts: ClassVar[frozenset[str]] = frozenset({"field_value"})

    field_value: Annotated[Any, Field(examples=[True])]
    """As in the file; null clears it."""


class FallbackNew(Body):
    """Models to try when one fails."""

    model: Annotated[str, Field(min_length=1, max_length=512, examples=["gpt-4o"])]
    fallback_models: Annotated[list[str], Field(min_length=1, max_length=100, examples=[["gpt-4o-mini"]])]
    """In this order."""
    fallback_type: FallbackType = "general"
    """For which failures: any, a prompt that is too long, content that a provider objects to."""


class AllowedAddress(Body):
    """Clients whose calls are served."""

    ip: Annotated[str, Field(min_length=1, max_length=64, examples=["203.0.113.7"])]
    """An address or a range such as 10.0.0.0/8."""


class AllowedAddresses(WireModel):
    """Clients whose calls are served; all are where none is listed."""

    data: list[str]


class AddressesChanged(WireModel):
    """What was done."""

    message: str
    status: str = "success"


class Updated(WireModel):
    """What was done."""

    message: str


class StoredSection(WireModel):
    """What is stored of a section. Secrets are masked."""

    param_name: str
    param_value: dict[str, Any]


class ConfigField(WireModel):
    """A setting, its value and where that comes from. Secrets are masked."""

    field_name: str
    field_type: str
    field_description: str
    field_value: Any
    """As it was written; null where nobody says."""
    stored_in_db: bool | None
    """Null where nobody says."""
    field_default_value: Any
    premium_field: bool = False
    nested_fields: None = None
    field_origin: str
    """Who says so: `flag --port`, `environment TOLLWAY_PORT`, `database`, `config.yaml:12`, `default`."""


class Callback(WireModel):
    """A callback that is configured."""

    name: str
    variables: dict[str, str | None]
    """The environment variables it is set up with; `***` where one is set."""
    type: str


class Alert(WireModel):
    """Where alerts are meant to go."""

    name: str
    variables: dict[str, str | None]


class Callbacks(WireModel):
    """What is configured to be told about calls."""

    status: str = "success"
    callbacks: list[Callback]
    alerts: list[Alert]
    router_settings: dict[str, Any]
    available_callbacks: dict[str, Any] = {}
    """Those that this release can call."""


class Fallback(WireModel):
    """The models to try when one fails."""

    model: str
    fallback_models: list[str]
    fallback_type: FallbackType


class FallbackStored(Fallback):
    """What was stored."""

    message: str


class FallbackDeleted(WireModel):
    """What was removed."""

    model: str
    fallback_type: FallbackType
    message: str
