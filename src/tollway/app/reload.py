"""Changing the configuration of a running gateway: all of it or nothing."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tollway.config.configuration import Configuration
from tollway.config.load import renewed
from tollway.config.problem import ConfigurationError
from tollway.core.errors import Misconfigured

if TYPE_CHECKING:
    from tollway.app.runtime import Runtime

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_LOOK_FOR_SECRETS_EVERY_S = 60.0
"""A reload may bring the first."""

Marks = tuple[tuple[int, int], ...]


class _NothingNew(Exception):
    """All secrets are what they were."""


class Reloader:
    """Reloads on SIGHUP and, if asked to, when a file of the configuration changes; and reads secrets of others again.

    The new configuration is read, checked and compiled beside the old one; an invalid one changes nothing. Calls in
    flight finish on what they started with.
    """

    def __init__(self, read: Callable[[], Configuration], runtime: Runtime, *, watches_files: bool) -> None:
        """`read` reads the sources anew; it raises `ConfigurationError`."""
        self._read = read
        self._runtime = runtime
        self._watches_files = watches_files
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listens for SIGHUP, and watches the files and the secrets."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._spawn)
        self._keep(asyncio.create_task(self._renew_secrets()))
        if self._watches_files:
            self._keep(asyncio.create_task(self._watch()))

    def stop(self) -> None:
        """No more reloads."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for task in self._tasks:
            task.cancel()

    async def reload(self) -> bool:
        """Reads and applies the configuration; whether it was valid."""
        return await self._apply(lambda: asyncio.to_thread(self._read))

    async def renew_secrets(self) -> bool:
        """Reads the secrets of others again, and applies what has changed; whether anything has."""

        async def read() -> Configuration:
            fresh = await asyncio.to_thread(renewed, self._runtime.configuration)
            if fresh is None:
                raise _NothingNew
            return fresh

        try:
            return await self._apply(read)
        except _NothingNew:
            return False

    async def _apply(self, read: Callable[[], Awaitable[Configuration]]) -> bool:
        warned = self._runtime.warnings
        try:
            before = await self._runtime.served.reconfigure(read)
        except (ConfigurationError, Misconfigured) as error:
            logger.error("Configuration not reloaded, the old one stays in force:\n%s", error)
            return False
        if self._runtime.warnings and self._runtime.warnings != warned:
            logger.warning("%s", self._runtime.warnings)
        fixed = changed_server_settings(before, self._runtime.configuration)
        if fixed:
            logger.warning("Configuration: %s take effect at the next start", ", ".join(fixed))
        count = len(self._runtime.snapshot.groups) + len(self._runtime.snapshot.wildcards)
        logger.info("Configuration reloaded: %d models", count)
        return True

    def _spawn(self) -> None:
        async def run() -> None:
            await self.reload()

        self._keep(asyncio.create_task(run()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew_secrets(self) -> None:
        """Now and then, for as long as there are any."""
        while True:
            refresh_s = self._runtime.configuration.written.secrets.refresh_s
            await asyncio.sleep(refresh_s or _LOOK_FOR_SECRETS_EVERY_S)
            if refresh_s is None:
                continue
            try:
                await self.renew_secrets()
            except Exception:  # this time; the next one is due all the same
                logger.exception("Secrets could not be read again")

    async def _watch(self) -> None:
        seen = _marks(self._runtime.configuration.files)
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = _marks(self._runtime.configuration.files)
            if now != seen:
                seen = now
                await self.reload()


def changed_server_settings(before: Configuration, after: Configuration) -> list[str]:
    """Settings that only a start can change, and that differ."""
    changed = [
        name
        for name in msgspec.structs.asdict(before.server)
        if getattr(before.server, name) != getattr(after.server, name)
    ]
    return [*changed, *(["the limits of the database pool"] if before.pool != after.pool else [])]


def _marks(files: tuple[Path, ...]) -> Marks:
    """What changes when a file does: time and inode (editors and mounts replace the file); zeros while it is gone."""
    marks = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            marks.append((0, 0))
        else:
            marks.append((status.st_mtime_ns, status.st_ino))
    return tuple(marks)
