"""What is served: the models of the configuration and those of the database, compiled together, swapped in at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from tollway.accounting.price_book import PriceBook
from tollway.config.compile import compile_snapshot
from tollway.config.configuration import Additions, Configuration, Environment, ModelEntry, combine
from tollway.config.problem import Problem
from tollway.config.sealing import Sealer, sealed_texts
from tollway.config.stored import lendable, read_additions
from tollway.core.errors import Misconfigured
from tollway.core.snapshot import Snapshot
from tollway.gateway.run import Gateway
from tollway.ports.models import Stored
from tollway.routing.router import Router

logger = logging.getLogger(__name__)


class Served:
    """Holds what the snapshot in force was made of, and makes the next one.

    Each half is read by one at a time. Compiling and swapping happen without a pause and with both halves as they are,
    so a reload of the file and a change in the database lose nothing of each other; what is wrong changes nothing.
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
        """`load` reads the database, which it may have to open first. Raises `ConfigurationError`."""
        self._discovered = tuple(discovered)
        self._prices = prices
        self._master_key = master_key
        self._sealer = sealer
        self._load = load
        self._file_turn = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._stores_models = configuration.server.stores_models
        self._gateway: Gateway | None = None
        self._stored: Stored | None = None if self._stores_models else Stored()
        self.configuration = configuration
        self.snapshot, self.warnings = self._compiled(configuration, version=1)

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
            await self._finish_reading(self._reading or self._begin_reading())

    async def refresh(self) -> None:
        """Reads the database anew. Raises `StoreUnavailable`; then everything stays as it was."""
        if self._stores_models:
            await self._finish_reading(self._begin_reading())

    async def close(self) -> None:
        """Returns once nothing is being read any more."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def reconfigure(self, read: Callable[[], Awaitable[Configuration]]) -> Configuration:
        """Swaps in what a new configuration says about calls; the one before. Whatever is raised, nothing changed."""
        async with self._file_turn:
            configuration, before = await read(), self.configuration
            self._swap(*self._compiled(configuration, version=self.snapshot.version + 1))
            self.configuration = configuration
            return before

    def _begin_reading(self) -> asyncio.Task[None]:
        self._reading = asyncio.create_task(self._read_database(after=self._reading))
        return self._reading

    async def _finish_reading(self, reading: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(reading)  # whoever waits may leave; a query is not left half-way
        finally:
            if reading is self._reading and reading.done():
                self._reading = None

    async def _read_database(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        stored = await self._load()
        await self._prepare_to_open(stored)
        previous, warned = self._stored, self.warnings
        self._stored = stored
        try:
            self._swap(*self._compiled(self.configuration, version=self.snapshot.version + 1))
        except BaseException:
            self._stored = previous
            raise
        if self._gateway is not None:
            self._gateway.await_models = None
        if self.warnings and self.warnings != warned:
            logger.warning("%s", self.warnings)

    async def _prepare_to_open(self, stored: Stored) -> None:
        documents = [row.params for row in stored.models] + [row.credential_values for row in stored.credentials]
        if next(sealed_texts(documents), None) is None:
            return
        try:
            await self._sealer.ready()
        except Misconfigured as error:  # what is sealed is left out and named; the rest is served
            logger.error("%s", error.message)

    def _swap(self, snapshot: Snapshot, warnings: str) -> None:
        self.snapshot, self.warnings = snapshot, warnings
        if self._gateway is not None:
            self._gateway.router = Router(snapshot)

    def _compiled(self, configuration: Configuration, *, version: int) -> tuple[Snapshot, str]:
        """The snapshot, and everything worth warning about as one text."""
        notices: list[Problem] = []
        snapshot = compile_snapshot(
            configuration,
            prices=self._prices,
            discovered=self._discovered,
            stored=self._additions(configuration),
            version=version,
            notices=notices,
        )
        return snapshot, combine([*configuration.notices, *notices])

    def _additions(self, configuration: Configuration) -> Additions | None:
        if self._stored is None:
            return None
        environ = lendable(configuration.environ, configuration.server, self._master_key)
        return read_additions(self._stored, configuration, environ=environ, sealer=self._sealer)
