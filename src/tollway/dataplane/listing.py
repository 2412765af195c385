"""`GET /v1/models` and one model: what the caller's key may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.core.errors import NotFound
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
        self, *, router: Callable[[], Router], authenticator: Authenticator, settings: Callable[[], Settings]
    ) -> None:
        self._router = router
        self._authenticator = authenticator
        self._settings = settings

    async def list_models(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """All models of the caller, in OpenAI's list shape."""
        principal = await self._caller(scope)
        router = self._router()
        models = [_describe(name, router.group(name)) for name in router.names() if _may_use(principal, router, name)]
        await respond(send, 200, [JSON], msgspec.json.encode({"data": models, "object": "list"}))

    async def get_model(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """One model, or the contract's 404."""
        principal = await self._caller(scope)
        router = self._router()
        name = model or ""
        group = router.group(name)
        if group is None or not _may_use(principal, router, name):
            raise ModelNotFound(f"The model `{name}` does not exist or is not accessible")
        await respond(send, 200, [JSON], msgspec.json.encode(_describe(name, group)))

    async def _caller(self, scope: Scope) -> Principal:
        headers = dict(scope["headers"])
        credential = find_credential(headers, key_header=self._settings().key_header)
        principal = await self._authenticator.authenticate(credential)
        access.check_route(principal, scope["path"])
        return principal


class ModelNotFound(NotFound):
    """Rendered as `{"detail": …}`."""


def _may_use(principal: Principal, router: Router, name: str) -> bool:
    group = router.group(name)
    groups = group.access_groups if group is not None else frozenset()
    return access.allows_model(principal, access.apply_alias(principal, name), access_groups=groups)


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
