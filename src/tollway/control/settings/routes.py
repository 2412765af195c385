"""`/config/*`, `/fallback`, `/get/config/callbacks`, allowed addresses: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response

from tollway.config.keys import GENERAL
from tollway.control.kit.body import say, warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.settings.addresses import AddressService
from tollway.control.settings.checking import check_field
from tollway.control.settings.fallbacks import FallbackService
from tollway.control.settings.reading import describe_format, show_callbacks, show_field, show_fields
from tollway.control.settings.schemas import (
    AddressesChanged,
    AllowedAddress,
    AllowedAddresses,
    Callbacks,
    ConfigField,
    ConfigUpdate,
    Fallback,
    FallbackDeleted,
    FallbackNew,
    FallbackStored,
    FallbackType,
    FieldDelete,
    FieldUpdate,
    StoredSection,
    Updated,
)
from tollway.control.settings.service import SettingService, stored_values

router = resource_router("settings")


async def _setting_service(context: ContextDep) -> SettingService:
    return SettingService(context)


async def _fallback_service(context: ContextDep) -> FallbackService:
    return FallbackService(context)


async def _address_service(context: ContextDep) -> AddressService:
    return AddressService(context)


Settings = Annotated[SettingService, Depends(_setting_service)]
Fallbacks = Annotated[FallbackService, Depends(_fallback_service)]
Addresses = Annotated[AddressService, Depends(_address_service)]
Kind = Annotated[FallbackType, Query(alias="fallback_type")]


@router.post("/config/update")
async def update_config(body: ConfigUpdate, response: Response, settings: Settings) -> Updated:
    """Change settings. They are kept in the database, win over the file, and act at once unless the answer warns."""
    warn(response, body, *await settings.update(body))
    return Updated(message="Config updated successfully")


@router.get("/config/list")
async def list_fields(
    context: ContextDep, config_type: Literal["general_settings"] = "general_settings"
) -> list[ConfigField]:
    """Every setting of the server that can be changed here, with its value and origin."""
    return show_fields(context.services.configuration(), await stored_values(context, config_type))


@router.get("/config/field/info")
async def show_one_field(context: ContextDep, field_name: str) -> ConfigField:
    """One setting of the server."""
    check_field(field_name)
    key = GENERAL.find(field_name)
    assert key is not None
    stored = await stored_values(context, GENERAL.name)
    return show_field(context.services.configuration(), field_name, key, is_stored=field_name in stored)


@router.post("/config/field/update")
async def update_field(body: FieldUpdate, response: Response, settings: Settings) -> StoredSection:
    """Change one setting of the server; what is stored of all of them."""
    values, warnings = await settings.update_field(body.field_name, body.field_value)
    warn(response, body, *warnings)
    return StoredSection(param_name=body.config_type, param_value=values)


@router.post("/config/field/delete")
async def delete_field(body: FieldDelete, response: Response, settings: Settings) -> StoredSection:
    """Forget one setting of the server: what file or environment say counts again."""
    values, warnings = await settings.delete_field(body.field_name)
    warn(response, body, *warnings)
    return StoredSection(param_name=body.config_type, param_value=values)


@router.get("/config/yaml")
async def show_format() -> dict[str, dict[str, Any]]:
    """What a configuration file may hold. Nothing of this gateway's own."""
    return describe_format()


@router.get("/get/config/callbacks")
async def list_callbacks(context: ContextDep) -> Callbacks:
    """Callbacks and alerts that are configured."""
    return show_callbacks(context.services.configuration())


@router.post("/fallback")
async def set_fallback(body: FallbackNew, response: Response, fallbacks: Fallbacks) -> FallbackStored:
    """Store which models are to be tried when one fails. Kept in `router_settings`."""
    warn(response, body, *await fallbacks.set(body))
    return FallbackStored(
        model=body.model,
        fallback_models=body.fallback_models,
        fallback_type=body.fallback_type,
        message="Fallback configuration stored successfully",
    )


@router.get("/fallback/{model:path}")
async def show_fallback(model: str, fallbacks: Fallbacks, kind: Kind = "general") -> Fallback:
    """The models to try when this one fails."""
    return Fallback(model=model, fallback_models=fallbacks.find(model, kind), fallback_type=kind)


@router.delete("/fallback/{model:path}")
async def delete_fallback(
    model: str, response: Response, fallbacks: Fallbacks, kind: Kind = "general"
) -> FallbackDeleted:
    """Remove them."""
    say(response, *await fallbacks.delete(model, kind))
    return FallbackDeleted(model=model, fallback_type=kind, message="Fallback configuration deleted successfully")


@router.get("/get/allowed_ips")
async def list_addresses(addresses: Addresses) -> AllowedAddresses:
    """Clients whose calls are served; everybody's are where the list is empty."""
    return AllowedAddresses(data=addresses.all())


@router.post("/add/allowed_ip")
async def add_address(body: AllowedAddress, response: Response, addresses: Addresses) -> AddressesChanged:
    """Serve an address or a range. The first one shuts out everybody else; health pages stay open to all."""
    warn(response, body, *await addresses.add(body))
    return AddressesChanged(message=f"IP {body.ip} address added successfully")


@router.post("/delete/allowed_ip")
async def delete_address(body: AllowedAddress, response: Response, addresses: Addresses) -> AddressesChanged:
    """Serve an address or a range no longer. Without the last one everybody is served again."""
    warn(response, body, *await addresses.delete(body))
    return AddressesChanged(message=f"IP {body.ip} deleted successfully")
