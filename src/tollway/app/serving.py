"""What is served: the configuration and what the database adds to it, compiled together, swapped in at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from tollway.accounting.price_book import PriceBook
from tollway.config.compile import compile_snapshot
from tollway.config.configuration import (
    Additions,
    Configuration,
    Environment,
    ModelEntry,
    StoredSettings,
    combine,
)
from tollway.config.load import with_stored
from tollway.config.overlay import blamed, leave_out, open_settings
from tollway.config.problem import ConfigurationError, Problem
from tollway.config.sealing import Sealer, sealed_texts
from tollway.config.stored import lendable, read_additions
from tollway.core.errors import Misconfigured
from tollway.core.snapshot import Snapshot
from tollway.gateway.run import Gateway
from tollway.ports.models import Stored
from tollway.routing.router import Router

logger = logging.getLogger(__name__)


class _Compiled(NamedTuple):
    configuration: Configuration
    """With the settings of the database that can be used."""
    snapshot: Snapshot
    notices: tuple[Problem, ...]
    """Everything worth warning about."""


class Served:
    """Holds what the snapshot in force was made of, and makes the next one.

    Each half is read by one at a time, and compiling and swapping takes a turn of its own with both halves as they are:
    a reload of the file and a change in the database lose nothing of each other, and what is wrong changes nothing.
    Before the database has been read, its models are awaited by whoever asks for an unknown one.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        discovered: Sequence[ModelEntry],
        prices: PriceBook,
        master_key: str,
        sealer: Sealer,
        load: Callable[[], Awaitable[Stored]],
    ) -> None:
        """`configuration` may hold settings of the database already, which count until it is read. `load` reads it, and
        may have to open it first. Raises `ConfigurationError`.
        """
        self._discovered = tuple(discovered)
        self._prices = prices
        self._master_key = master_key
        self._sealer = sealer
        self._load = load
        self._file_turn, self._database_turn, self._turn = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._queued: asyncio.Task[None] | None = None
        self._stores_models = configuration.server.stores_models
        self._gateway: Gateway | None = None
        self._stored: Stored | None = None if self._stores_models else Stored()
        self._settings_at_start = configuration.stored
        made = self._compiled(configuration, self._settings_at_start, self._stored, 1)
        self.configuration, self.snapshot, self.warnings = made.configuration, made.snapshot, combine(made.notices)

    @property
    def environ(self) -> Environment:
        """The variables that models of the database may refer to."""
        return lendable(self.configuration.environ, self.configuration.server, self._master_key)

    def serve_by(self, gateway: Gateway) -> None:
        """Keeps this gateway's router up to date from now on."""
        self._gateway = gateway
        if self._stored is None:
            gateway.await_models = self.complete

    async def complete(self) -> None:
        """Returns once the models of the database are served. Raises `StoreUnavailable` while it cannot be read."""
        if self._stored is None:
            # Whoever waits may leave; a query is not left half-way.
            await asyncio.shield(self._reading or self._queued or self._queue())

    async def refresh(self) -> None:
        """Reads the database anew. Raises `StoreUnavailable`; then everything stays as it was."""
        if self._stores_models:
            await asyncio.shield(self._queued or self._queue())

    async def close(self) -> None:
        """Returns once nothing is being read any more."""
        for task in (self._reading, self._queued):
            if task is not None:
                await asyncio.wait([task])

    async def reconfigure(self, read: Callable[[], Awaitable[Configuration]]) -> Configuration:
        """Swaps in what a new configuration says about calls; the one before. Whatever is raised, nothing changed."""
        async with self._file_turn:
            configuration, before = await read(), self.configuration
            await self._serve(configuration=configuration)
            return before

    async def tried(self, settings: StoredSettings) -> Configuration:
        """What these settings of the database would make of everything, with all there is to know about it in its
        notices. Nothing changes. Raises `ConfigurationError`.
        """
        made = await asyncio.to_thread(self._compiled, self.configuration, settings, self._stored, 0)
        return msgspec.structs.replace(made.configuration, notices=made.notices)

    def _queue(self) -> asyncio.Task[None]:
        """A read that has not begun: it will see every change that was made before now."""
        self._queued = asyncio.create_task(self._read_in_turn())
        return self._queued

    async def _read_in_turn(self) -> None:
        async with self._database_turn:
            self._reading, self._queued = self._queued, None
            try:
                stored = await self._load()
                await self._prepare_to_open(stored)
                warned = self.warnings
                await self._serve(stored=stored)
            finally:
                self._reading = None
        if self._gateway is not None:
            self._gateway.await_models = None
        if self.warnings and self.warnings != warned:
            logger.warning("%s", self.warnings)

    async def _prepare_to_open(self, stored: Stored) -> None:
        documents = [
            *(row.params for row in stored.models),
            *(row.credential_values for row in stored.credentials),
            *(row.value for row in stored.settings),
        ]
        if next(sealed_texts(documents), None) is None:
            return
        try:
            await self._sealer.ready()
        except Misconfigured as error:  # what is sealed is left out and named; the rest is served
            logger.error("%s", error.message)

    async def _serve(self, *, configuration: Configuration | None = None, stored: Stored | None = None) -> None:
        """Compiles one changed half with the other as it is, and swaps the result in. Raises `ConfigurationError`."""
        async with self._turn:
            configuration, stored = configuration or self.configuration, stored or self._stored
            version = self.snapshot.version + 1
            # In a thread: many models take long enough to be felt by calls in flight.
            settings = self._settings_at_start if stored is None else open_settings(stored.settings, self._sealer)
            made = await asyncio.to_thread(self._compiled, configuration, settings, stored, version)
            self._stored = stored
            self.configuration, self.snapshot, self.warnings = made.configuration, made.snapshot, combine(made.notices)
            if self._gateway is not None:
                self._gateway.route_by(Router(made.snapshot))

    def _compiled(
        self, configuration: Configuration, settings: StoredSettings, stored: Stored | None, version: int
    ) -> _Compiled:
        """All of it together. Settings of the database that cannot be used are left out."""
        while True:
            if settings != configuration.stored:
                configuration = with_stored(configuration, settings)
            notices: list[Problem] = []
            try:
                snapshot = compile_snapshot(
                    configuration,
                    prices=self._prices,
                    discovered=self._discovered,
                    stored=self._additions(configuration, stored),
                    version=version,
                    notices=notices,
                )
            except ConfigurationError as error:
                if not configuration.stored.paths:
                    raise
                settings = leave_out(configuration.stored, blamed(configuration.stored, error.problems))
            else:
                return _Compiled(configuration, snapshot, (*configuration.notices, *notices))

    def _additions(self, configuration: Configuration, stored: Stored | None) -> Additions | None:
        if stored is None:
            return None
        environ = lendable(configuration.environ, configuration.server, self._master_key)
        return read_additions(stored, configuration, environ=environ, sealer=self._sealer)
