"""Several workers on one machine: started, watched, started again, and stopped together.

The supervisor serves no call and has no threads, so that it can fork: each worker is a whole gateway in a copy of this
process. It opens the sockets, makes what may be made only once (keys, the schema, the embedded Valkey), and lives
longer than all of them. Should it be killed, workers see it by a pipe and stop as they would on SIGTERM, and Linux
stops the Valkey.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType

import msgspec

from tollway.app.build import make_private, master_key
from tollway.app.embedded import EmbeddedValkey
from tollway.app.late import import_stores
from tollway.app.listeners import Listeners
from tollway.app.run_folder import RunFolder
from tollway.app.settings import database_url, salt_key
from tollway.app.worker import Backoff, Seat, Worker
from tollway.config.configuration import Configuration
from tollway.config.load import with_stored
from tollway.config.problem import ConfigurationError
from tollway.core.errors import Misconfigured, StoreUnavailable
from tollway.db.upgrade import upgrade
from tollway.observability.worker_files import fold

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_AFTER_DRAIN_S = 30.0
"""For settling and flushing, before a worker that still has not ended is killed."""
_LONGEST_WAIT_S = 60.0

Serve = Callable[[Configuration, Seat], None]
"""The life of a worker."""


def supervise(configuration: Configuration, read: Callable[[], Configuration], serve: Serve) -> int:
    """Runs the workers until told to stop; the exit status.

    `read` reads the configuration's sources anew. Raises `ConfigurationError` or `Misconfigured` before anything is
    served.
    """
    server = configuration.server
    with ExitStack() as ending:
        make_private(server.data_dir)
        listeners = Listeners(server.host, server.port)
        ending.callback(listeners.close)
        folder = RunFolder(server.data_dir)
        ending.callback(folder.remove)
        valkey = None
        if server.redis is None:
            valkey = EmbeddedValkey(folder.path)
            ending.callback(valkey.stop)
            valkey.start()
        _, is_master_key_new = master_key(configuration)
        salt_key(configuration)
        with suppress(StoreUnavailable, Misconfigured):  # workers say so, and try again
            asyncio.run(upgrade(database_url(configuration)))
        supervisor = Supervisor(
            configuration, read, serve, listeners=listeners, folder=folder, valkey=valkey, is_key_new=is_master_key_new
        )
        return supervisor.run()


def _load_what_workers_share() -> None:
    """Imports what every worker will need, so that those forked from now on start at once and share its memory."""
    import tollway.control.api
    import tollway.stores.redis.counters  # noqa: F401

    import_stores()
    gc.collect()
    gc.freeze()  # so that collections in workers leave this memory alone


class Supervisor:
    """The parent of the workers, and of the embedded Valkey if there is one."""

    def __init__(
        self,
        configuration: Configuration,
        read: Callable[[], Configuration],
        serve: Serve,
        *,
        listeners: Listeners,
        folder: RunFolder,
        valkey: EmbeddedValkey | None,
        is_key_new: bool,
    ) -> None:
        self._configuration = configuration
        self._read = read
        self._serve = serve
        self._listeners = listeners
        self._folder = folder
        self._valkey = valkey
        self._is_key_new = is_key_new
        self._workers = [Worker(number) for number in range(configuration.server.workers)]
        self._welcome = ""
        self._has_started = False
        """All workers were ready at the same time once; before that, one that ends ends everything."""
        self._has_loaded = False
        self._stop_by: float | None = None
        """When to kill who has not ended; None: nobody is to end."""
        self._status = 0
        self._received: list[int] = []
        self._valkey_backoff, self._valkey_since, self._valkey_due = Backoff(), time.monotonic(), 0.0
        self._news = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._alive, self._life = os.pipe()
        """Workers watch the one end; the other is closed when this process is gone."""

    def run(self) -> int:
        """Until every worker has ended; the exit status."""
        with self._signals():
            try:
                while True:
                    self._start_what_is_due()
                    self._wait()
                    self._obey()
                    self._mourn()
                    if self._stop_by is not None and not self._living():
                        return self._status
            finally:
                self._kill()

    # Starting

    def _start_what_is_due(self) -> None:
        if self._stop_by is not None:
            return
        now = time.monotonic()
        # The first one alone: it brings the journals of the last run to the ledger, and says what there is to say.
        wanted = self._workers if self._has_started or self._workers[0].is_ready else self._workers[:1]
        for worker in wanted:
            if worker.pid is None and worker.due_at <= now:
                self._start(worker)
        if not self._has_loaded:  # after the first, which need not wait for what only later calls need
            self._has_loaded = True
            _load_what_workers_share()
        if self._valkey is not None and self._valkey_due and self._valkey_due <= now:
            self._valkey_due, self._valkey_since = 0.0, now
            try:
                self._valkey.restart()
            except Misconfigured as error:
                logger.error("%s", error.message)
                self._valkey_due = now + self._valkey_backoff.pause_s(0)

    def _start(self, worker: Worker) -> None:
        try:
            self._listeners.open(worker.number)
        except OSError as error:
            logger.error("worker %d cannot listen again: %s", worker.number + 1, error.strerror)
            worker.due_at = time.monotonic() + worker.backoff.pause_s(0)
            return
        is_first = worker.starts == worker.number == 0
        if worker.starts:
            self._read_anew()
        ready = worker.start(partial(self._be, worker, is_first=is_first))
        self._news.register(ready, selectors.EVENT_READ, worker)

    def _be(self, worker: Worker, ready: int, *, is_first: bool) -> None:
        """In the new process: lets go of all that is the supervisor's, and serves."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._news.close()
        self._woken.close()
        self._wake.close()
        os.close(self._life)
        for other in self._workers:
            if other is not worker and other.ready is not None:
                os.close(other.ready)
        self._listeners.keep(worker.number)
        seat = Seat(
            name=worker.name,
            figures=self._folder.path,
            redis=None if self._valkey is None else self._valkey.address,
            sockets=self._listeners.of(worker.number),
            parent=self._alive,
            ready=ready,
            is_first=is_first,
            is_master_key_new=self._is_key_new and is_first,
        )
        self._serve(self._configuration, seat)

    def _read_anew(self) -> None:
        """Whoever starts later starts with the configuration as it is then, or as it last was right."""
        with suppress(ConfigurationError, Misconfigured, OSError):
            self._configuration = with_stored(self._read(), self._configuration.stored)

    # Waiting

    @contextmanager
    def _signals(self) -> Iterator[None]:
        for end in (self._woken, self._wake):
            end.setblocking(False)
        self._news.register(self._woken, selectors.EVENT_READ, None)
        handlers = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)

    def _wait(self) -> None:
        for key, _ in self._news.select(self._patience_s()):
            if key.data is None:
                self._woken.recv(4096)
            else:
                self._hear(key.data)

    def _patience_s(self) -> float:
        moments = [worker.due_at for worker in self._workers if worker.pid is None and worker.due_at]
        moments += [self._valkey_due] if self._valkey_due else []
        if self._stop_by is not None:
            moments = [self._stop_by]
        return max(0.0, min([_LONGEST_WAIT_S, *(moment - time.monotonic() for moment in moments)]))

    def _hear(self, worker: Worker) -> None:
        assert worker.ready is not None
        said = os.read(worker.ready, 1 << 16).decode()
        self._no_more_news(worker)
        if not said:
            return  # it ended before it was ready: that is noticed elsewhere
        worker.is_ready = True
        self._welcome = self._welcome or said
        if worker.owes_reload:
            worker.signal(signal.SIGHUP)
        if not self._has_started and all(each.is_ready for each in self._workers):
            self._has_started = True
            sys.stdout.write(self._welcome)
            sys.stdout.flush()

    def _no_more_news(self, worker: Worker) -> None:
        if worker.ready is not None:
            self._news.unregister(worker.ready)
            os.close(worker.ready)
            worker.ready = None

    # Signals

    def _obey(self) -> None:
        while self._received:
            match self._received.pop(0):
                case signal.SIGTERM | signal.SIGINT:
                    self._stop()
                case signal.SIGHUP:
                    self._reload()

    def _stop(self) -> None:
        if self._stop_by is not None:
            logger.info("Stopping at once")
            self._kill()
            return
        grace_s = self._configuration.server.drain_grace_s
        self._stop_by = time.monotonic() + grace_s + _AFTER_DRAIN_S
        self._listeners.close()
        for worker in self._workers:
            worker.signal(signal.SIGTERM)

    def _reload(self) -> None:
        self._read_anew()
        for worker in self._workers:
            if worker.is_ready:
                worker.signal(signal.SIGHUP)
            else:
                worker.owes_reload = True

    def _kill(self) -> None:
        for worker in self._workers:
            worker.signal(signal.SIGKILL)

    # Ends

    def _living(self) -> bool:
        if self._stop_by is not None and time.monotonic() > self._stop_by:
            logger.error("Workers did not end in time and are killed; what they had not flushed is in the journal")
            self._stop_by, self._status = time.monotonic() + _LONGEST_WAIT_S, 1
            self._kill()
        return any(worker.pid is not None for worker in self._workers)

    def _mourn(self) -> None:
        for worker in self._workers:
            status = worker.ended()
            if status is not None:
                was_ready, worker.is_ready = worker.is_ready, False
                self._no_more_news(worker)
                self._bury(worker, status, was_ready=was_ready)
        if self._valkey is not None and not self._valkey_due and self._stop_by is None:
            ended = self._valkey.ended
            if ended is not None:
                pause_s = self._valkey_backoff.pause_s(time.monotonic() - self._valkey_since)
                self._valkey_due = time.monotonic() + pause_s
                logger.error("The embedded Valkey ended (%s); it is started again %s", _how(ended), _when(pause_s))

    def _bury(self, worker: Worker, status: int, *, was_ready: bool) -> None:
        if self._stop_by is not None:
            if status not in (0, -signal.SIGKILL) and (was_ready or status != -signal.SIGTERM):
                self._status = 1
            return
        if not self._has_started:
            logger.error("worker %d could not start (%s)", worker.number + 1, _how(status))
            self._status = 1
            self._stop()
            return
        try:
            fold(self._folder.path, worker.name)
        except (OSError, msgspec.MsgspecError) as error:
            logger.error("The metrics of worker %d are lost: %s", worker.number + 1, error)
        pause_s = worker.backoff.pause_s(worker.lived_s)
        worker.due_at = time.monotonic() + pause_s
        if pause_s:
            self._listeners.shut(worker.number)
        logger.error("worker %d ended (%s); it is started again %s", worker.number + 1, _how(status), _when(pause_s))


def _how(status: int) -> str:
    return f"status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"


def _when(pause_s: float) -> str:
    return f"in {pause_s:g} s" if pause_s else "at once"
