"""Running the gateway: the server, its signals, and what it says when it starts."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from typing_extensions import override

from tollway.app.build import build
from tollway.app.garbage import spare_what_lives_on
from tollway.app.memory import ceiling, watch_memory
from tollway.app.reload import Reloader
from tollway.app.runtime import Runtime
from tollway.app.settings import with_settings_of_database
from tollway.app.welcome import welcome
from tollway.config.configuration import Configuration, ModelEntry
from tollway.config.discover import discover
from tollway.config.load import load
from tollway.config.secrets import KeptSecrets
from tollway.core.errors import StoreUnavailable
from tollway.core.tasks import end_tasks
from tollway.dataplane.asgi import Receive, Scope, Send
from tollway.observability.logging import configure_logging, log_without_thread
from tollway.providers import discovery
from tollway.server.http1 import HttpProtocol

if TYPE_CHECKING:
    from tollway.app.worker import Seat
    from tollway.observability.worker_files import WorkerFigures

logger = logging.getLogger(__name__)

_WARM_UP_AFTER_S = 0.5
_RETRY_DATABASE_S = 5.0
_SETTLING_POLLS, _SETTLING_POLL_S = 500, 0.01
_WRITE_METRICS_S, _WRITE_METRICS_SHARE = 1.0, 50


def serve(path: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str], *, watches_files: bool) -> None:
    """Runs the gateway until it is told to stop. Raises `ConfigurationError` or `Misconfigured` before it listens."""

    secrets = KeptSecrets()

    def reload() -> Configuration:
        return load(path, flags=flags, environ=environ, reader=secrets)

    configuration, trouble = asyncio.run(_with_settings_of_database(reload()))
    if configuration.server.workers > 1:
        sys.exit(_supervise(configuration, trouble, reload, watches_files=watches_files))
    server = configuration.server
    log = configure_logging(format=server.log_format, level=server.log_level)
    try:
        _report(trouble)
        found = _found(configuration)
        _run(configuration, found, reload, watches_files=watches_files)
    finally:
        log.stop()


def _supervise(
    configuration: Configuration,
    trouble: StoreUnavailable | None,
    reload: Callable[[], Configuration],
    *,
    watches_files: bool,
) -> int:
    """Runs several workers; the exit status."""
    from tollway.app.supervisor import supervise

    server = configuration.server
    log_without_thread(format=server.log_format, level=server.log_level)
    _report(trouble)
    found = _found(configuration)

    def serve_as_worker(configuration: Configuration, seat: Seat) -> None:
        log = configure_logging(format=server.log_format, level=server.log_level)
        try:
            _run(configuration, found, reload, watches_files=watches_files, seat=seat)
        finally:
            log.stop()

    return supervise(configuration, reload, serve_as_worker)


def _run(
    configuration: Configuration,
    found: tuple[ModelEntry, ...],
    reload: Callable[[], Configuration],
    *,
    watches_files: bool,
    seat: Seat | None = None,
) -> None:
    """Runs a gateway, or one worker of it, until it is told to stop. Raises `Misconfigured` before it serves."""
    runtime = build(configuration, found, seat)
    if runtime.warnings and (seat is None or seat.is_first):
        logger.warning("%s", runtime.warnings)
    reloader = Reloader(reload, runtime, watches_files=watches_files)
    server = _Server(_uvicorn_config(configuration, Application(runtime, reloader, seat)), runtime, seat)
    server.run(None if seat is None else list(seat.sockets))


def _report(trouble: StoreUnavailable | None) -> None:
    if trouble is not None:
        logger.error(
            "%s Settings that were changed over the API count once it is back; those that need a start, at the "
            "next one.",
            trouble.message,
        )


def _found(configuration: Configuration) -> tuple[ModelEntry, ...]:
    return () if configuration.has_model_list else asyncio.run(_discover(configuration))


async def _with_settings_of_database(
    configuration: Configuration,
) -> tuple[Configuration, StoreUnavailable | None]:
    """The configuration to start with, and why the database has no say in it, if it has none."""
    try:
        return await with_settings_of_database(configuration), None
    except StoreUnavailable as error:
        return configuration, error


async def _discover(configuration: Configuration) -> tuple[ModelEntry, ...]:
    return discover(configuration.environ, local_models=await discovery.discover())


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
        ws_max_size=configuration.data_plane.max_request_bytes,
        ws_per_message_deflate=False,  # events are small, and many
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

    def __init__(self, runtime: Runtime, reloader: Reloader, seat: Seat | None = None) -> None:
        self._runtime = runtime
        self._reloader = reloader
        self._seat = seat
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
        if self._seat is not None:
            asyncio.get_running_loop().add_reader(self._seat.parent, self._stop_without_parent)
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
        self._tasks = [asyncio.create_task(self._warm_up()), asyncio.create_task(runtime.probes.run())]
        most_bytes = ceiling(runtime.configuration.server.max_memory_bytes, runtime.configuration.server.workers)
        if most_bytes is not None:
            self._tasks.append(asyncio.create_task(watch_memory(runtime.gate, most_bytes)))
        if runtime.configuration.server.rotates_keys:
            self._tasks.append(asyncio.create_task(self._rotate_keys()))
        if runtime.figures is not None:
            self._tasks.append(asyncio.create_task(_keep_written(runtime.figures)))
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

    def _stop_without_parent(self) -> None:
        assert self._seat is not None
        asyncio.get_running_loop().remove_reader(self._seat.parent)
        logger.error("The process that started this worker is gone; the worker stops")
        signal.raise_signal(signal.SIGTERM)

    async def _stop(self) -> None:
        runtime = self._runtime
        self._reloader.stop()
        await end_tasks(self._tasks)
        await runtime.feed.stop()
        for _ in range(_SETTLING_POLLS):  # calls that were cut off are being settled
            if not runtime.metrics.in_flight:
                break
            await asyncio.sleep(_SETTLING_POLL_S)
        if runtime.figures is not None:
            await asyncio.to_thread(_write, runtime.figures)
        await asyncio.gather(runtime.callbacks.close(), runtime.alerts.close())
        await runtime.conversations.close()
        await runtime.ledger.close()
        if runtime.shared is not None:
            await runtime.shared.close()
        if runtime.answers is not None:
            await runtime.answers.close()
        for transport in runtime.transports.values():
            await transport.close()
        await runtime.served.close()
        await runtime.database.close()
        if runtime.fleet is not None:
            await runtime.fleet.close()
        logger.info("Stopped: every call is settled")


async def _keep_written(figures: WorkerFigures) -> None:
    """Shows this worker's metrics to the others: every second, but never for more than a fiftieth of the time."""
    while True:
        took_s = await asyncio.to_thread(_write, figures)
        await asyncio.sleep(max(_WRITE_METRICS_S, _WRITE_METRICS_SHARE * took_s))


def _write(figures: WorkerFigures) -> float:
    """Seconds of processor time that it took."""
    began = time.thread_time()
    try:
        figures.write()
    except OSError as error:
        logger.error("The metrics of this worker cannot be written, so that the others cannot show them: %s", error)
    return time.thread_time() - began


class _Server(uvicorn.Server):
    """uvicorn with our signals: the first stops new calls and lets those in flight finish, a second stops at once."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime, seat: Seat | None) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._seat = seat

    @override
    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            self._say(welcome(self._runtime, port))

    def _say(self, text: str) -> None:
        if self._seat is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:  # one of many: it is said when all are ready
            os.write(self._seat.ready, text.encode())
            os.close(self._seat.ready)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Nothing is logged here: this may have interrupted somebody who is logging, and holds the lock of the queue.
        # A terminal or a service manager may tell workers what it tells the supervisor, which tells them as well: only
        # that one may end them at once, by killing them.
        if self._seat is not None and (self.should_exit or sig == signal.SIGINT):
            return
        if self.should_exit and sig == signal.SIGTERM:
            self.force_exit = True
        self._runtime.edge.is_draining = True
        super().handle_exit(sig, frame)

    @override
    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        grace, calls = self.config.timeout_graceful_shutdown, self._runtime.metrics.in_flight
        logger.info("Stopping: %d calls in flight have %s s to finish; again to stop at once", calls, grace)
        await super().shutdown(sockets)
        self._captured_signals.clear()  # stopping when told to is not dying of a signal: exit status 0
