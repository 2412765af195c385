"""The management plane, imported and made when it is first needed, or soon after the start."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from tollway.core.errors import TollwayError
from tollway.core.health import PROBE_TAG, Checked
from tollway.core.principal import Principal
from tollway.dataplane.asgi import JSON, App, Receive, Scope, Send, respond
from tollway.dataplane.routes import ROUTES
from tollway.dialects.openai.errors import render_error
from tollway.policy.auth import find_credential

if TYPE_CHECKING:
    from tollway.app.late import Opened
    from tollway.app.runtime import Runtime
    from tollway.config.configuration import Configuration, ModelEntry
    from tollway.control.keys.rotation import KeyRotation
    from tollway.control.services import Policies


logger = logging.getLogger(__name__)


class _Made(NamedTuple):
    app: App
    rotation: KeyRotation


class LateManagement:
    """ASGI application that makes the management app when the first request for it comes."""

    def __init__(self, runtime: Callable[[], Runtime]) -> None:
        self._runtime = runtime
        self._making: asyncio.Task[_Made] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; 503 while the database cannot be opened."""
        try:
            app = (await self._complete()).app
        except Exception as error:
            if not isinstance(error, TollwayError):
                logger.exception("The management plane could not be made")
                error = TollwayError("Internal server error")
            await respond(send, error.status, [*error.headers, JSON], render_error(error))
            return
        await app(scope, receive, send)

    async def made(self) -> None:
        """Makes the app, if it was not yet. A failure is not remembered."""
        await self._complete()

    async def rotate_keys(self) -> int:
        """Gives keys that are due new values; how many. Raises `StoreUnavailable`."""
        return await (await self._complete()).rotation.rotate_due()

    async def _complete(self) -> _Made:
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            self._making = asyncio.create_task(self._make())
        return await asyncio.shield(self._making)

    async def _make(self) -> _Made:
        runtime = self._runtime()
        opened = await runtime.database.opened()
        await runtime.served.complete()
        return await asyncio.to_thread(_make, runtime, opened)


def _make(runtime: Runtime, opened: Opened) -> _Made:
    from tollway.app.probes import PAYER
    from tollway.callbacks.table import ALERT_CHANNELS
    from tollway.config.compile import compile_entry
    from tollway.control.api import create_app
    from tollway.control.keys.rotation import KeyRotation
    from tollway.control.services import Services

    async def authenticate(headers: Mapping[bytes, bytes]) -> Principal:
        credential = find_credential(headers, key_header=runtime.snapshot.settings.key_header)
        return await runtime.authenticator.authenticate(credential)

    async def try_deployment(entry: ModelEntry) -> Checked:
        group = compile_entry(entry, runtime.configuration, prices=runtime.prices)
        outcome = await runtime.prober.check(group.deployments[0], PAYER, group=group, tags=(PROBE_TAG,))
        return outcome.checked

    async def try_service(name: str) -> None:
        if name in ALERT_CHANNELS:
            await runtime.alerts.send_test(name)
        else:
            await runtime.callbacks.send_test(name)

    services = Services(
        engine=opened.engine,
        keys=opened.keys,
        ledger=runtime.ledger,
        spend=opened.spend,
        authenticate=authenticate,
        changed=runtime.feed.made_here,
        told_by=runtime.feed.told_by,
        clock=time.time,
        prices=runtime.prices,
        snapshot=lambda: runtime.snapshot,
        configuration=lambda: runtime.configuration,
        lendable=lambda: runtime.served.environ,
        sealer=runtime.sealer,
        policies=lambda: policies_of(runtime.configuration),
        answers=runtime.answers,
        try_deployment=try_deployment,
        try_service=try_service,
        gate=runtime.gate,
        try_settings=runtime.served.tried,
    )
    return _Made(create_app(services, inference_routes=ROUTES), KeyRotation(services))


def policies_of(configuration: Configuration) -> Policies:
    """What a configuration says about keys, teams and users that are made."""
    from tollway.control.services import KeyPolicy, Policies, TeamPolicy

    keeps_administrators_out = configuration.origins["general_settings.disable_auto_add_proxy_admin_to_teams"].value
    return Policies(
        keys=KeyPolicy(
            defaults=configuration.default_key_params,
            ceilings=configuration.upperbound_key_params,
            grace_period=configuration.server.rotation_grace,
        ),
        teams=TeamPolicy(
            defaults=configuration.default_team_params,
            adds_administrators=not keeps_administrators_out,
            metadata_fields=configuration.team_metadata_fields,
        ),
        user_defaults=configuration.default_user_params,
        stores_audit_log=configuration.stores_audit_log,
    )
