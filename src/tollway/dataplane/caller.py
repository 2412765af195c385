"""Who asks, on the pages that are about models without calling one, and the call that they ask about."""

from __future__ import annotations

from collections.abc import Callable

from tollway.core.principal import Principal
from tollway.core.snapshot import Operation, Settings
from tollway.dataplane.asgi import Receive, Scope, read_body
from tollway.dataplane.controls import read_controls
from tollway.dialects.body import Fields
from tollway.dialects.registry import find_identity
from tollway.gateway.call import Call
from tollway.policy import access
from tollway.policy.auth import Authenticator, find_credential


class Callers:
    """Finds the caller of a page, as a call to a model would."""

    def __init__(self, authenticator: Authenticator, settings: Callable[[], Settings]) -> None:
        self._authenticator = authenticator
        self._settings = settings

    async def principal(self, scope: Scope) -> Principal:
        """Raises `Unauthenticated`, or `Forbidden` for a key that may not call models."""
        credential = find_credential(dict(scope["headers"]), key_header=self._settings().key_header)
        principal = await self._authenticator.authenticate(credential)
        access.check_route(principal, scope["path"])
        access.check_inference(principal)
        return principal

    async def body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises `PayloadTooLarge` or `ClientGone`."""
        return await read_body(receive, dict(scope["headers"]), self._settings().max_request_bytes)

    def call(
        self, scope: Scope, principal: Principal, fields: Fields, operation: Operation, model: str | None = None
    ) -> Call:
        """A call that is not going to be sent. Raises `InvalidRequest` as for one that is."""
        settings = self._settings()
        headers = dict(scope["headers"])
        call = Call(
            operation=operation, path=scope["path"], headers=headers, client_ip="", settings=settings, path_model=model
        )
        call.principal = principal
        call.controls = read_controls(fields, headers, principal, settings, operation)
        call.request = find_identity(operation).read_request(fields, path_model=model, is_stream=False)
        return call
