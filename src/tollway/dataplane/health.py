"""Health, readiness and metrics, as probes, load balancers and scrapers ask for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.health import Checked
from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, Settings
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, respond
from tollway.gateway.probing import Prober
from tollway.gateway.run import Gateway
from tollway.observability.metrics import CONTENT_TYPE
from tollway.policy import access
from tollway.policy.auth import Authenticator, find_credential

DatabaseState = Literal["connected", "disconnected", "Not connected"]

_NOTICE = (b"litellm-health-field-notice", b"Addresses and texts of errors are shown with the master key only.")


class HealthPages:
    """Pages of the route table that are about the gateway itself."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        prober: Prober,
        newest: Callable[[], Mapping[str, Checked]],
        authenticator: Authenticator,
        render_metrics: Callable[[], bytes],
        settings: Callable[[], Settings],
        database_state: Callable[[], Awaitable[DatabaseState]],
        was_connected: Callable[[], bool],
        is_draining: Callable[[], bool],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`newest`: what probes in the background have found, by id of the deployment. `was_connected`: whether this
        process has ever read from the database."""
        self._gateway = gateway
        self._prober = prober
        self._newest = newest
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
        """Without a key: one line. With one: every deployment asked for a few tokens, or what was found when that was
        done in the background; details for admins only."""
        headers = dict(scope["headers"])
        settings = self._settings()
        try:
            credential = find_credential(headers, key_header=settings.key_header)
        except TollwayError:
            await respond(send, 200, [JSON], b'{"status":"healthy"}')
            return
        principal = await self._authenticator.authenticate(credential)
        wanted = parse_qs(scope["query_string"].decode("latin-1"))
        deployments = list(self._wanted(wanted.get("model", [""])[0], wanted.get("model_id", [""])[0]))
        if settings.probes_in_background:
            found = self._found(one for one in deployments if self._may_see(principal, one))
        else:
            found = await self._probe_all(deployments, principal)
        report = _report(found, is_admin=principal.is_admin, shows_details=settings.shows_probe_details)
        status = 503 if found and wanted and not report["healthy_count"] else 200
        notice = () if principal.is_admin else (_NOTICE,)
        await respond(send, status, [JSON, *notice], msgspec.json.encode(report))

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

    def _may_see(self, principal: Principal, deployment: Deployment) -> bool:
        group = self._gateway.router.group(deployment.group, principal.team_id)
        groups = group.access_groups if group is not None else frozenset[str]()
        return access.allows_model(principal, deployment.group, access_groups=groups)

    def _found(self, deployments: Iterable[Deployment]) -> list[tuple[Deployment, Checked]]:
        """What is known of those that were probed in the background."""
        newest = self._newest()
        return [(one, newest[one.id]) for one in deployments if one.id in newest]

    async def _probe_all(
        self, deployments: Iterable[Deployment], principal: Principal
    ) -> list[tuple[Deployment, Checked]]:
        """Each is one tiny call through the whole path, metered like any other and paid by the key that asks."""
        at_once = asyncio.Semaphore(self._settings().probes_at_once)

        async def probe(deployment: Deployment) -> tuple[Deployment, Checked]:
            async with at_once:
                return deployment, (await self._prober.check(deployment, principal)).checked

        return await asyncio.gather(*map(probe, deployments))


def _report(found: Iterable[tuple[Deployment, Checked]], *, is_admin: bool, shows_details: bool) -> dict[str, Any]:
    healthy: list[dict[str, Any]] = []
    unhealthy: list[dict[str, Any]] = []
    for deployment, checked in found:
        entry: dict[str, Any] = {"model": deployment.model_name, "model_id": deployment.id}
        if is_admin and deployment.api_base:
            entry["api_base"] = deployment.api_base
        if shows_details:
            entry |= {"response_time_ms": checked.response_ms, "checked_at": _time(checked.checked_at)}
            if not checked.is_healthy:
                entry["error"] = checked.error_message if is_admin else checked.error_class
        (healthy if checked.is_healthy else unhealthy).append(entry)
    return {
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
        "healthy_count": len(healthy),
        "unhealthy_count": len(unhealthy),
    }


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
