"""Programs that run beside a test: started, awaited, stopped, and quoted when something goes wrong."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class BackgroundProcess:
    """A child process whose output goes to a file."""

    def __init__(
        self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """All it has written so far."""
        return self.log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], *, what: str, timeout_s: float = 30) -> None:
        """Returns once `is_ready`; raises with the process's own words if it ends or takes too long."""
        give_up_at = time.monotonic() + timeout_s
        while not is_ready():
            if not self.is_running:
                raise RuntimeError(f"{what}: the process ended with {self._process.returncode}:\n{self.output}")
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{what}: not within {timeout_s} s:\n{self.output}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        if self.is_running:
            self._process.send_signal(number)

    def wait(self, timeout_s: float = 20) -> int:
        """Exit code, once it has ended by itself."""
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 20) -> int:
        """Asks it to end; kills it and fails if it does not. Its exit code (negative: the signal that ended it)."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"did not end within {timeout_s} s of SIGTERM:\n{self.output}") from None

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self.signal(signal.SIGKILL)
        self.wait()
