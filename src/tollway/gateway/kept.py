"""Responses that are asked for again, wherever they are kept: with their provider, or here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, ModelGroup, Settings, TransportName
from tollway.dialects.responses.naming import ResponseNames
from tollway.dialects.responses.relay import ResponsesIdentity
from tollway.dialects.responses.state import ResponseState
from tollway.gateway.archive import Archive
from tollway.gateway.attempt import below
from tollway.gateway.conversation import vendor_name
from tollway.gateway.response_ids import ResponseIds, UpstreamResponse, owner_of
from tollway.gateway.threads import deployment_gone, find_deployment, unknown
from tollway.gateway.vendor_headers import passed_on
from tollway.ports.transport import Transport, UpstreamRequest
from tollway.ports.transport import UpstreamResponse as Answer
from tollway.routing.router import Router


class WithProvider(msgspec.Struct, frozen=True):
    """A response that its provider keeps."""

    id: str
    """As the caller calls it."""
    response: UpstreamResponse
    deployment: Deployment
    names: ResponseNames

    @property
    def identity(self) -> ResponsesIdentity:
        """How what the provider says of it passes to the caller."""
        return ResponsesIdentity(self.names)


class KeptResponses:
    """Finds responses, and asks their providers for them."""

    def __init__(
        self,
        router: Callable[[], Router],
        transports: Mapping[TransportName, Transport],
        archive: Archive,
        ids: ResponseIds,
    ) -> None:
        self._router = router
        self._transports = transports
        self._archive = archive
        self._ids = ids

    async def find(self, id: str, principal: Principal, settings: Settings) -> WithProvider | ResponseState:
        """Raises `NotFound` if there is none, or it is somebody else's."""
        await self._ids.ready()
        owner = owner_of(principal)
        response = self._ids.read(id)
        if response is None:
            state = await self._archive.find(id, None if settings.shares_responses else owner)
            if state is None:
                raise unknown(id, None)
            return state
        if response.owner != owner and not settings.shares_responses:
            raise unknown(id, None)
        deployment = find_deployment(response, principal, self._router())
        if deployment is None or "responses" not in deployment.endpoints:
            raise deployment_gone(response, id)

        def write(upstream_id: str) -> str:
            return self._ids.write(msgspec.structs.replace(response, id=upstream_id))

        return WithProvider(id, response, deployment, ResponseNames(write, {response.id: id}))

    def group_of(self, kept: WithProvider) -> ModelGroup | None:
        """The model group of the deployment that keeps a response."""
        return self._router().snapshot.by_id.get(kept.deployment.id)

    async def delete(self, state: ResponseState) -> bool:
        """Forgets one that is kept here; whether it was still there."""
        return await self._archive.delete(state.id, state.owner)

    async def ask(
        self, kept: WithProvider, settings: Settings, method: str, suffix: str = "", query: str = ""
    ) -> Answer:
        """What its provider says. Raises `UpstreamError` for anything but success."""
        deployment = kept.deployment
        endpoint = deployment.endpoints["responses"]
        credential = endpoint.credential
        response = await self._transports[deployment.transport].send(
            UpstreamRequest(
                endpoint=endpoint,
                method=method,
                target=below(endpoint.target, f"/{quote(kept.response.id, safe='')}{suffix}", query),
                body=b"",
                headers=await credential(endpoint, b"") if credential is not None else (),
                timeouts=deployment.timeouts,
                max_response_bytes=settings.max_response_bytes,
            )
        )
        if response.status == 200:
            return response
        try:
            body = await response.read()
        finally:
            response.close()
        error = kept.identity.parse_error(response.status, body, vendor_name(deployment), passed_on(response.headers))
        error.message = error.message.replace(kept.response.id, kept.id)
        raise error
