"""Running the gateway: the server, its signals, and what it says when it starts."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from typing_extensions import override

from tollway.app.build import build
from tollway.app.garbage import spare_what_lives_on
from tollway.app.reload import Reloader
from tollway.app.runtime import Runtime
from tollway.app.settings import with_settings_of_database
from tollway.app.welcome import welcome
from tollway.config.configuration import Configuration, ModelEntry
from tollway.config.discover import discover
from tollway.config.load import load
from tollway.core.errors import StoreUnavailable
from tollway.dataplane.asgi import Receive, Scope, Send
from tollway.observability.logging import configure_logging
from tollway.providers import ollama
from tollway.server.http1 import HttpProtocol

logger = logging.getLogger(__name__)

_WARM_UP_AFTER_S = 0.5
_RETRY_DATABASE_S = 5.0
_SETTLING_POLLS, _SETTLING_POLL_S = 500, 0.01


def serve(path: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str], *, watches_files: bool) -> None:
    """Runs the gateway until it is told to stop. Raises `ConfigurationError` or `Misconfigured` before it listens."""

    def reload() -> Configuration:
        return load(path, flags=flags, environ=environ)

    configuration, trouble = asyncio.run(_with_settings_of_database(reload()))
    server = configuration.server
    log = configure_logging(format=server.log_format, level=server.log_level)
    try:
        if trouble is not None:
            logger.error(
                "%s Settings that were changed over the API count once it is back; those that need a start, at the "
                "next one.",
                trouble.message,
            )
        found = () if configuration.has_model_list else asyncio.run(_discover(configuration))
        runtime = build(configuration, found)
        if runtime.warnings:
            logger.warning("%s", runtime.warnings)
        reloader = Reloader(reload, runtime, watches_files=watches_files)
        _Server(_uvicorn_config(configuration, Application(runtime, reloader)), runtime).run()
    finally:
        log.stop()


async def _with_settings_of_database(
    configuration: Configuration,
) -> tuple[Configuration, StoreUnavailable | None]:
    """The configuration to start with, and why the database has no say in it, if it has none."""
    try:
        return await with_settings_of_database(configuration), None
    except StoreUnavailable as error:
        return configuration, error


async def _discover(configuration: Configuration) -> tuple[ModelEntry, ...]:
    return discover(configuration.environ, local_models=await ollama.discover())


def _uvicorn_config(configuration: Configuration, app: Application) -> uvicorn.Config:
    server = configuration.server
    return uvicorn.Config(
        app,
        host=server.host,
        port=server.port,
        loop="uvloop",
        http=HttpProtocol,
        interface="asgi3",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=int(server.keepalive_s),
        timeout_graceful_shutdown=int(server.drain_grace_s),
        ssl_keyfile=server.ssl_keyfile,
        ssl_certfile=server.ssl_certfile,
    )


class Application:
    """The outermost ASGI application: starting and stopping, and otherwise the edge."""

    def __init__(self, runtime: Runtime, reloader: Reloader) -> None:
        self._runtime = runtime
        self._reloader = reloader
        self._tasks: list[asyncio.Task[None]] = []

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serves one ASGI connection."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        return self._runtime.edge(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._start()
        except Exception as error:
            logger.exception("The gateway could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        runtime = self._runtime
        if runtime.shared is not None:
            await runtime.shared.start(runtime.ledger)
        try:
            await runtime.ledger.replay()
        except StoreUnavailable as error:
            logger.error("%s Records of the last run stay in the journal and follow when it is back.", error.message)
        runtime.ledger.start()
        if runtime.fleet is not None:
            runtime.fleet.start()
        runtime.feed.start()
        self._reloader.start()
        self._tasks = [asyncio.create_task(self._warm_up())]
        if runtime.configuration.server.rotates_keys:
            self._tasks.append(asyncio.create_task(self._rotate_keys()))
        spare_what_lives_on()

    async def _warm_up(self) -> None:
        """Makes the management plane before somebody waits for it."""
        await asyncio.sleep(_WARM_UP_AFTER_S)
        is_told = False
        while True:
            try:
                await self._runtime.management.made()
                spare_what_lives_on()
                return
            except StoreUnavailable as error:
                if not is_told:
                    logger.error("%s Calls that need it get 503 until it is back.", error.message)
                is_told = True
            await asyncio.sleep(_RETRY_DATABASE_S)

    async def _rotate_keys(self) -> None:
        """Looks for keys that are due, now and then. One that a stop cuts short is rolled back and due again."""
        while True:
            await asyncio.sleep(self._runtime.configuration.server.rotation_check_s)
            try:
                await self._runtime.management.rotate_keys()
            except StoreUnavailable:
                logger.debug("The database is away; keys that are due are rotated when it is back")
            except Exception:  # whatever was wrong this time, the next round is due all the same
                logger.exception("Keys could not be rotated")

    async def _stop(self) -> None:
        runtime = self._runtime
        self._reloader.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await runtime.feed.stop()
        for _ in range(_SETTLING_POLLS):  # calls that were cut off are being settled
            if not runtime.metrics.in_flight:
                break
            await asyncio.sleep(_SETTLING_POLL_S)
        await runtime.ledger.close()
        if runtime.shared is not None:
            await runtime.shared.close()
        for transport in runtime.transports.values():
            await transport.close()
        await runtime.served.close()
        await runtime.database.close()
        if runtime.fleet is not None:
            await runtime.fleet.close()
        logger.info("Stopped: every call is settled")


class _Server(uvicorn.Server):
    """uvicorn with our signals: the first stops new calls and lets those in flight finish, a second stops at once."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime) -> None:
        super().__init__(config)
        self._runtime = runtime

    @override
    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            sys.stdout.write(welcome(self._runtime, port))
            sys.stdout.flush()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            grace = self.config.timeout_graceful_shutdown
            calls = self._runtime.metrics.in_flight
            logger.info("Stopping: %d calls in flight have %s s to finish; again to stop at once", calls, grace)
        elif sig == signal.SIGTERM:
            self.force_exit = True
        self._runtime.edge.is_draining = True
        super().handle_exit(sig, frame)

    @override
    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        await super().shutdown(sockets)
        self._captured_signals.clear()  # stopping when told to is not dying of a signal: exit status 0
