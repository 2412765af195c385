"""aimock, a provider mock that others wrote (npm `@copilotkit/aimock`), behind the gateway.

The fixture file says what it answers; `requests` shows what the gateway sent it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.processes import BackgroundProcess
from tests.support.programs import find_program

_CLIENTS = Path(__file__).resolve().parents[1] / "clients"


@dataclass(frozen=True)
class Aimock:
    """A running mock."""

    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_base(self) -> str:
        """What an OpenAI deployment gets as `api_base`."""
        return f"{self.origin}/v1"

    def requests(self) -> list[dict[str, Any]]:
        """Everything it was asked, oldest first."""
        journal: list[dict[str, Any]] = self._get("/v1/_requests")
        return journal

    def is_ready(self) -> bool:
        try:
            return bool(self._get("/health"))
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path: str) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())


@contextmanager
def running_aimock(folder: Path, fixtures: Path) -> Iterator[Aimock]:
    """The mock with the answers of a fixture file; requests without one are errors."""
    mock = Aimock(free_port())
    program = _CLIENTS / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
    command = [find_program("node", package="nodejs"), str(program), "--port", str(mock.port)]
    command += ["--fixtures", str(fixtures), "--strict", "--validate-on-load", "--log-level", "warn"]
    process = BackgroundProcess(command, log=folder / "aimock.log")
    try:
        process.wait_until(mock.is_ready, what="starting aimock")
        yield mock
    finally:
        process.stop()
