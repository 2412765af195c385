"""`GET /v1/models` and one model: what the caller's key may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from tollway.core.errors import NotFound, StoreUnavailable
from tollway.core.principal import Principal
from tollway.core.snapshot import ModelGroup, Settings
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, respond
from tollway.policy import access
from tollway.policy.auth import Authenticator, find_credential
from tollway.routing.router import Router

_CREATED = 1_677_610_602
"""The contract gives every model the same date; it is OpenAI's for its first chat models."""


class ModelPages:
    """The model listing."""

    def __init__(
        self,
        *,
        router: Callable[[], Router],
        await_models: Callable[[], Awaitable[None]],
        authenticator: Authenticator,
        settings: Callable[[], Settings],
    ) -> None:
        """`await_models` returns when all models are known to the router."""
        self._router = router
        self._await_models = await_models
        self._authenticator = authenticator
        self._settings = settings

    async def list_models(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """All models of the caller, in OpenAI's list shape."""
        principal = await self._caller(scope)
        router = await self._complete_router()
        models = [
            _describe(name, router.group(name, principal.team_id))
            for name in router.names(principal.team_id)
            if _may_use(principal, router, name)
        ]
        await respond(send, 200, [JSON], msgspec.json.encode({"data": models, "object": "list"}))

    async def get_model(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """One model, or the contract's 404."""
        principal = await self._caller(scope)
        router = await self._complete_router()
        name = model or ""
        group = router.group(name, principal.team_id)
        if group is None or not _may_use(principal, router, name):
            raise ModelNotFound(f"The model `{name}` does not exist or is not accessible")
        await respond(send, 200, [JSON], msgspec.json.encode(_describe(name, group)))

    async def _complete_router(self) -> Router:
        """With the models of the database, unless that cannot be reached: then what is known without it."""
        with suppress(StoreUnavailable):
            await self._await_models()
        return self._router()

    async def _caller(self, scope: Scope) -> Principal:
        headers = dict(scope["headers"])
        credential = find_credential(headers, key_header=self._settings().key_header)
        principal = await self._authenticator.authenticate(credential)
        access.check_route(principal, scope["path"])
        return principal


class ModelNotFound(NotFound):
    """Rendered as `{"detail": …}`."""


def _may_use(principal: Principal, router: Router, name: str) -> bool:
    group = router.group(name, principal.team_id)
    wanted = access.apply_alias(principal, name)
    if group is None:
        return access.allows_model(principal, wanted)
    is_of_team = group.team_id is not None
    return access.allows_model(principal, wanted, access_groups=group.access_groups, is_of_team=is_of_team)


def _describe(name: str, group: ModelGroup | None) -> dict[str, Any]:
    described: dict[str, Any] = {"id": name, "object": "model", "created": _CREATED, "owned_by": "openai"}
    if group is not None:
        deployment = group.deployments[0]
        described["mode"] = deployment.mode
        if deployment.max_input_tokens is not None:
            described["max_input_tokens"] = deployment.max_input_tokens
        if deployment.max_output_tokens is not None:
            described["max_output_tokens"] = deployment.max_output_tokens
    return described
