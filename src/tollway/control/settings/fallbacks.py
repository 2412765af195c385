"""`/fallback`: one model's entry in the lists of fallbacks, which are settings of the router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.config.configuration import StoredSettings
from tollway.config.keys import LIBRARY, ROUTER
from tollway.config.located import plain
from tollway.config.problem import nearest
from tollway.control.kit.context import Context
from tollway.control.settings.schemas import FallbackNew, FallbackType
from tollway.control.settings.service import Sections, SettingService
from tollway.core.errors import InvalidRequest, NotFound
from tollway.routing.router import matches

_SETTINGS: Mapping[FallbackType, str] = {
    "general": "fallbacks",
    "context_window": "context_window_fallbacks",
    "content_policy": "content_policy_fallbacks",
}
_ANY_MODEL = "*"

Entries = list[Any]
"""As in the file: `[{model: [other, …]}, …]`."""


class FallbackService:
    """Fallbacks, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._settings = SettingService(context)

    async def set(self, body: FallbackNew) -> list[str]:
        """Stores the fallbacks of one model; what ought to be known about it."""
        self._context.check_fields(self._context.actor.role, body.changes())
        self._check(body)

        def decide(stored: StoredSettings) -> Sections:
            entries = self._entries(body.fallback_type, stored)
            new = [*_without(entries, body.model), {body.model: body.fallback_models}]
            return {ROUTER.name: {_SETTINGS[body.fallback_type]: new}}

        return await self._settings.change(decide)

    def find(self, model: str, kind: FallbackType) -> list[str]:
        """The fallbacks in force. Raises `NotFound` where the model has none."""
        return _found(self._entries(kind, self._services.configuration().stored), model, kind)

    async def delete(self, model: str, kind: FallbackType) -> list[str]:
        """Removes the fallbacks of one model; what ought to be known. Raises `NotFound` where it has none."""

        def decide(stored: StoredSettings) -> Sections:
            entries = self._entries(kind, stored)
            _found(entries, model, kind)
            left = _without(entries, model)
            # An empty list says something only where the file says something else.
            return {ROUTER.name: {_SETTINGS[kind]: left or ([] if self._of_file(kind) else None)}}

        return await self._settings.change(decide)

    def _entries(self, kind: FallbackType, stored: StoredSettings) -> Entries:
        """The list that counts: the database's, else the file's."""
        name = _SETTINGS[kind]
        own = stored.values.get(ROUTER.name, {}).get(name)
        older = stored.values.get(LIBRARY.name, {}).get(name)
        return list(own if own is not None else self._of_file(kind) or older or [])

    def _of_file(self, kind: FallbackType) -> Entries:
        root = self._services.configuration().written.document.root
        for section in (ROUTER.name, LIBRARY.name):
            node = root.items[section].items.get(_SETTINGS[kind]) if section in root.items else None
            if node is not None and isinstance(node.value, list) and node.value:
                return list(plain(node))
        return []

    def _check(self, body: FallbackNew) -> None:
        if body.model != _ANY_MODEL and not self._is_served(body.model):
            raise NotFound(self._unknown(body.model), param="model")
        for name in body.fallback_models:
            if name == body.model or body.fallback_models.count(name) > 1:
                reason = "the model itself" if name == body.model else "named twice"
                raise _invalid(f"{name[:100]!r} cannot be a fallback: it is {reason}.")
            if not self._is_served(name):
                raise _invalid(self._unknown(name))

    def _is_served(self, name: str) -> bool:
        snapshot = self._services.snapshot()
        is_named = name in snapshot.groups or name in snapshot.aliases
        return is_named or any(matches(wildcard.pattern, name) for wildcard in snapshot.wildcards)

    def _unknown(self, name: str) -> str:
        meant = nearest(name[:255], self._services.snapshot().groups)
        return f"No model is called {name[:100]!r}." + (f" Did you mean {meant!r}?" if meant else " See /v1/models.")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="fallback_models", type="bad_request_error")


def _found(entries: Entries, model: str, kind: FallbackType) -> list[str]:
    for entry in entries:
        if isinstance(entry, Mapping) and isinstance(entry.get(model), list):
            return [str(name) for name in entry[model]]
    raise NotFound(f"There are no {kind} fallbacks for model {model[:100]!r}.", param="model")


def _without(entries: Entries, model: str) -> Entries:
    left = [
        {name: others for name, others in entry.items() if name != model} if isinstance(entry, Mapping) else entry
        for entry in entries
    ]
    return [entry for entry in left if entry]
