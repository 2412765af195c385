"""`/add/allowed_ip`, `/delete/allowed_ip`: whose calls are served, one address or range at a time."""

from __future__ import annotations

from typing import Any

from tollway.config.configuration import StoredSettings
from tollway.config.keys import GENERAL
from tollway.config.located import plain
from tollway.control.kit.context import Context
from tollway.control.settings.reading import shown
from tollway.control.settings.schemas import AllowedAddress
from tollway.control.settings.service import Sections, SettingService
from tollway.core.errors import InvalidRequest, NotFound
from tollway.policy.addresses import is_among

_SETTING = "allowed_ips"


class AddressService:
    """The list of clients that are served, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._settings = SettingService(context)

    def all(self) -> list[str]:
        """The list in force, as it was written. Empty: everybody is served."""
        written, _ = shown(self._services.configuration(), GENERAL.name, _SETTING)
        return [str(one) for one in written or ()]

    async def add(self, body: AllowedAddress) -> list[str]:
        """Adds one; what ought to be known about it."""
        self._context.check_fields(self._context.actor.role, body.changes())

        def decide(stored: StoredSettings) -> Sections:
            listed = self._listed(stored)
            return {GENERAL.name: {_SETTING: listed if body.ip in listed else [*listed, body.ip]}}

        return [*await self._settings.change(decide), *self._locked_out()]

    async def delete(self, body: AllowedAddress) -> list[str]:
        """Removes one; what ought to be known. Raises `NotFound` where it is not listed."""
        self._context.check_fields(self._context.actor.role, body.changes())

        def decide(stored: StoredSettings) -> Sections:
            left = self._listed(stored)
            if body.ip not in left:
                raise NotFound(f"{body.ip[:100]!r} is not listed; see GET /get/allowed_ips.", param="ip")
            left.remove(body.ip)
            if not left and self._of_file():
                raise InvalidRequest(
                    "The last address cannot be removed here, as the configuration file restricts who is served: "
                    "the file's list would count again. Remove `general_settings.allowed_ips` there.",
                    param="ip",
                    type="bad_request_error",
                )
            return {GENERAL.name: {_SETTING: left or None}}

        return [*await self._settings.change(decide), *self._locked_out()]

    def _listed(self, stored: StoredSettings) -> list[Any]:
        """As written: what the database says, else the file."""
        own = stored.values.get(GENERAL.name, {}).get(_SETTING)
        return list(own if own is not None else self._of_file())

    def _of_file(self) -> list[Any]:
        section = self._services.configuration().written.document.root.items.get(GENERAL.name)
        node = section.items.get(_SETTING) if section is not None else None
        value = plain(node) if node is not None else None
        return value if isinstance(value, list) else []

    def _locked_out(self) -> list[str]:
        """A warning where the caller's own address is not served from now on."""
        listed, own = tuple(self.all()), self._context.client_ip or ""
        if not listed or is_among(own, listed):
            return []
        warning = (
            f"your own address, {own or 'unknown'}, is not in the list, and is refused from now on: add it from one "
            "that is, or start the gateway with TOLLWAY_ALLOWED_IPS"
        )
        return [warning]
