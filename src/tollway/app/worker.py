"""One of several workers of a gateway: what it is told, and how its parent sees it."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import socket

import msgspec

from tollway.config.problem import ConfigurationError
from tollway.core.errors import Misconfigured
from tollway.core.redis import RedisAddress

_SHORT_LIFE_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told by the process that starts it."""

    name: str
    """Of this process, never used again: `2-1`, after it has been restarted `2-2`."""
    figures: Path
    """Where workers keep their metrics."""
    redis: RedisAddress | None
    """The embedded server; None: the configuration names one."""
    sockets: Sequence[socket]
    parent: int
    """A descriptor whose end means that the parent is gone."""
    ready: int
    """A descriptor to write to when calls can be served: what a person is to see first."""
    is_first: bool
    """It speaks for all: the others would say the same."""
    is_master_key_new: bool


class Backoff:
    """How long to wait before something that ended is started again: not at all at first, then longer and longer."""

    def __init__(self) -> None:
        self._failures = 0

    def pause_s(self, lived_s: float) -> float:
        """After a life of so many seconds."""
        if lived_s >= _SHORT_LIFE_S:
            self._failures = 0
        self._failures += 1
        return min(_FIRST_PAUSE_S * 2 ** (self._failures - 2), _LONGEST_PAUSE_S) if self._failures > 1 else 0.0


class Worker:
    """A place for a worker, and the process in it, as the parent sees them."""

    def __init__(self, number: int) -> None:
        """`number`: from 0."""
        self.number = number
        self.starts = 0
        self.pid: int | None = None
        self.ready: int | None = None
        """Where it says that it is ready; None once it has."""
        self.is_ready = False
        self.owes_reload = False
        """The configuration changed while it was starting."""
        self.due_at = 0.0
        self.backoff = Backoff()
        self._started_at = 0.0

    @property
    def name(self) -> str:
        """Of the process; see `Seat`."""
        return f"{self.number + 1}-{self.starts}"

    @property
    def lived_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._started_at

    def start(self, run: Callable[[int], None]) -> int:
        """Forks: `run` is the life of the new process and gets the descriptor to be ready on. The other end of it."""
        self.starts += 1
        self.is_ready = self.owes_reload = False
        self._started_at = time.monotonic()
        self.ready, ready = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.ready)
            _live(run, ready)
        os.close(ready)
        return self.ready

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it lives."""
        if self.pid is not None:
            os.kill(self.pid, number)

    def ended(self) -> int | None:
        """How it ended, once: its exit status, or the negative signal. None while it lives."""
        if self.pid is None:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid = None
        return os.waitstatus_to_exitcode(status)


def _live(run: Callable[[int], None], ready: int) -> None:
    """Never returns: nothing of the parent's is unwound in the child."""
    status = 1
    try:
        run(ready)
        status = 0
    except (ConfigurationError, Misconfigured) as error:
        sys.stderr.write(f"{error}\n")
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001 - this is the end of the process, and its last word
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
