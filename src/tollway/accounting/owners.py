"""Which workers write to a journal folder, and which of them are gone.

Each keeps an empty file `<worker>.owner` under an exclusive `flock` for as long as it lives. Shared counters hold the
money that a killed worker had reserved until its journal is in the ledger: this tells when that is so.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tollway.accounting.segment import segments_of

_SUFFIX = ".owner"


class Owners:
    """The workers of one journal folder."""

    def __init__(self, folder: Path, worker: str) -> None:
        """Announces `worker`, until the process ends. Raises `OSError`."""
        self._folder = folder
        self._worker = worker
        self._descriptor = os.open(self._path(worker), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def gone(self) -> list[str]:
        """Workers that ended without saying so, and none of whose records are left in the journal."""
        names = sorted(path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))
        return [name for name in names if name != self._worker and self._is_gone(name)]

    def bury(self, worker: str) -> None:
        """A worker that is gone has nothing left to give back."""
        self._path(worker).unlink(missing_ok=True)

    def leave(self) -> None:
        """This worker ends, and has settled every call."""
        self.bury(self._worker)
        os.close(self._descriptor)

    def _is_gone(self, worker: str) -> bool:
        if segments_of(self._folder, worker):
            return False
        try:
            descriptor = os.open(self._path(worker), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}{_SUFFIX}"
