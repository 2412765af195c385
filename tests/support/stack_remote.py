"""Takes the orders of `docker_compose.py`, which runs in a process of its own, and carries them out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.stack import Service


class RemoteControl:
    """Listens on a Unix socket: one line with a verb and names of services in, lines of words out."""

    def __init__(self, path: Path, services: Mapping[str, Service], *, start_order: Sequence[str]) -> None:
        self.path = path
        self._services = services
        self._order = list(start_order)
        self._verbs: dict[str, Callable[[str], str]] = {
            "start": self._start,
            "stop": self._stop,
            "restart": lambda name: f"{self._stop(name)}\n{self._start(name)}",
            "hup": self._hang_up,
            "ps": self._describe,
        }
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more orders."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rw") as stream:
                    stream.write(self._obey(stream.readline().split()))

    def _obey(self, words: list[str]) -> str:
        verb, *names = words
        unknown = [name for name in names if name not in self._services]
        if unknown:
            return f"1\nno such service: {unknown[0]}\n"
        named = [name for name in self._order if not names or name in names]
        if verb == "stop":
            named.reverse()
        try:
            lines = [self._verbs[verb](name) for name in named]
        except (AssertionError, OSError, RuntimeError, TimeoutError) as error:  # whoever gave the order is told
            return f"1\n{error}\n"
        return "\n".join(["0", *lines, ""])

    def _start(self, name: str) -> str:
        self._services[name].start()
        return f"Container {name}  Started"

    def _stop(self, name: str) -> str:
        self._services[name].stop()
        return f"Container {name}  Stopped"

    def _hang_up(self, name: str) -> str:
        self._services[name].hang_up()
        return f"Container {name}  Killed"

    def _describe(self, name: str) -> str:
        service = self._services[name]
        health = "(healthy)" if service.is_ready else "(health: starting)"
        return f"{name:<12} {f'Up {health}' if service.is_running else 'Exited'}"
