"""Health, readiness and metrics, as probes, load balancers and scrapers ask for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, Operation, Settings
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, respond
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.call import Call, Controls
from tollway.gateway.run import Answer, Gateway
from tollway.observability.metrics import CONTENT_TYPE
from tollway.policy.auth import Authenticator, find_credential

DatabaseState = Literal["connected", "disconnected", "Not connected"]

PROBE_TIMEOUT_S = 60.0
PROBES_AT_ONCE = 10

_PROBES: dict[str, tuple[Operation, dict[str, Any]]] = {
    "chat": ("chat", {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}),
    "completion": ("completions", {"prompt": "ping", "max_tokens": 5}),
    "embedding": ("embeddings", {"input": "ping"}),
}


class HealthPages:
    """Pages of the route table that are about the gateway itself."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        authenticator: Authenticator,
        render_metrics: Callable[[], bytes],
        settings: Callable[[], Settings],
        database_state: Callable[[], Awaitable[DatabaseState]],
        was_connected: Callable[[], bool],
        is_draining: Callable[[], bool],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`was_connected`: whether this process has ever read from the database."""
        self._gateway = gateway
        self._authenticator = authenticator
        self._render_metrics = render_metrics
        self._settings = settings
        self._database_state = database_state
        self._was_connected = was_connected
        self._is_draining = is_draining
        self._steady = steady
        self._away_since: float | None = None
        """When a probe first found the database away; None: the last one did not."""

    async def liveliness(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """The process runs its loop."""
        await respond(send, 200, [JSON], b'"I\'m alive!"')

    async def readiness(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """Traffic may come: not while draining, nor once an absent database leaves nobody to be served."""
        if self._is_draining():
            await respond(send, 503, [JSON], b'{"status":"shutting_down"}')
            return
        state = await self._database_state()
        status = self._status(state)
        body = msgspec.json.encode({"status": status, "db": state})
        await respond(send, 503 if status == "unhealthy" else 200, [JSON], body)

    def _status(self, state: DatabaseState) -> Literal["healthy", "degraded", "unhealthy"]:
        """A database that all replicas share is away from all of them: a balancer that took them out would make its
        outage everybody's. So whoever has read from it stays in as long as the keys in use keep working.
        """
        if state != "disconnected":
            self._away_since = None
            return "healthy"
        now = self._steady()
        if self._away_since is None:
            self._away_since = now
        is_in_grace = now - self._away_since < self._settings().key_grace_s
        return "degraded" if is_in_grace and self._was_connected() else "unhealthy"

    async def health(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """Without a key: one line. With one: every deployment asked for a few tokens; details for admins only."""
        headers = dict(scope["headers"])
        try:
            credential = find_credential(headers, key_header=self._settings().key_header)
        except TollwayError:
            await respond(send, 200, [JSON], b'{"status":"healthy"}')
            return
        principal = await self._authenticator.authenticate(credential)
        wanted = parse_qs(scope["query_string"].decode("latin-1"))
        deployments = list(self._wanted(wanted.get("model", [""])[0], wanted.get("model_id", [""])[0]))
        report = await self._probe_all(deployments, principal)
        status = 503 if deployments and wanted and not report["healthy_count"] else 200
        await respond(send, status, [JSON], msgspec.json.encode(report))

    async def metrics(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """Every series; open unless `require_auth_for_metrics_endpoint` is set."""
        if self._settings().is_metrics_key_required:
            headers = dict(scope["headers"])
            credential = find_credential(headers, key_header=self._settings().key_header)
            await self._authenticator.authenticate(credential)
        body = await asyncio.to_thread(self._render_metrics)
        await respond(send, 200, [(b"content-type", CONTENT_TYPE)], body)

    def _wanted(self, model: str, model_id: str) -> Iterable[Deployment]:
        for group in self._gateway.router.snapshot.groups.values():
            for deployment in group.deployments:
                if model in ("", group.name, deployment.model_name) and model_id in ("", deployment.id):
                    yield deployment

    async def _probe_all(self, deployments: list[Deployment], principal: Principal) -> dict[str, Any]:
        at_once = asyncio.Semaphore(PROBES_AT_ONCE)

        async def probe(deployment: Deployment) -> dict[str, Any]:
            async with at_once:
                return await self._probe(deployment, principal)

        entries = await asyncio.gather(*map(probe, deployments))
        healthy = [entry for entry in entries if "error" not in entry]
        unhealthy = [entry for entry in entries if "error" in entry]
        return {
            "healthy_endpoints": healthy,
            "unhealthy_endpoints": unhealthy,
            "healthy_count": len(healthy),
            "unhealthy_count": len(unhealthy),
        }

    async def _probe(self, deployment: Deployment, principal: Principal) -> dict[str, Any]:
        """One tiny call through the whole path, metered like any other and paid by the key that asks."""
        entry: dict[str, Any] = {"model": deployment.model_name, "model_id": deployment.id}
        if principal.is_admin and deployment.api_base:
            entry["api_base"] = deployment.api_base
        operation, body = _PROBES.get(deployment.mode, _PROBES["chat"])
        call = Call(
            operation=operation,
            path="/health",
            headers={},
            client_ip="",
            settings=self._settings(),
            path_model=deployment.id,
        )
        call.principal = principal
        call.controls = Controls(timeout_s=PROBE_TIMEOUT_S)
        call.raw_body = msgspec.json.encode(body)
        identity = find_identity(operation)
        call.request = identity.read_request(read_fields(call.raw_body), path_model=None, is_stream=False)
        try:
            answer = await self._gateway.serve(call)
            assert isinstance(answer, Answer)
        except TollwayError as error:
            await self._gateway.settle_failure(call, error)
            entry["error"] = error.message if principal.is_admin else error.type
        return entry
