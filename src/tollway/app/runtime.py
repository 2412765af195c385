"""What a running gateway consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.accounting.price_book import PriceBook
from tollway.app.late import Database
from tollway.config.compile import compile_snapshot
from tollway.config.configuration import Configuration, ModelEntry, combine
from tollway.config.problem import Problem
from tollway.core.changes import Change
from tollway.core.snapshot import Snapshot, TransportName
from tollway.dataplane.asgi import App
from tollway.dataplane.edge import Edge
from tollway.gateway.run import Gateway
from tollway.observability.metrics import Metrics
from tollway.policy.auth import Authenticator
from tollway.policy.entities import Entities
from tollway.ports.transport import Transport
from tollway.routing.router import Router
from tollway.stores.memory.counters import MemoryCounterStore


class Late(Protocol):
    """An application that is made when it is first needed."""

    async def made(self) -> App:
        """The application, made now if it was not yet."""
        ...


@dataclass(slots=True, kw_only=True)
class Runtime:
    """Everything built at start. Handed down, never imported."""

    configuration: Configuration
    warnings: str
    """What an operator ought to know about it; empty if nothing."""
    discovered: tuple[ModelEntry, ...]
    master_key: str
    is_master_key_new: bool
    prices: PriceBook
    database: Database
    counters: MemoryCounterStore
    journal: FileJournal
    ledger: Ledger
    authenticator: Authenticator
    entities: Entities
    metrics: Metrics
    transports: Mapping[TransportName, Transport]
    gateway: Gateway
    management: Late
    edge: Edge

    @property
    def snapshot(self) -> Snapshot:
        """What the data plane executes right now."""
        return self.gateway.router.snapshot

    async def changed(self, change: Change) -> None:
        """Something was created, changed or deleted: whoever keeps a copy of it forgets it."""
        self.authenticator.changed(change)
        self.entities.changed(change)

    def apply(self, configuration: Configuration) -> None:
        """Swaps in what a new configuration says about calls. Raises before anything has changed."""
        snapshot, self.warnings = compiled(
            configuration, self.prices, self.discovered, version=self.snapshot.version + 1
        )
        self.gateway.router = Router(snapshot)
        self.configuration = configuration


def compiled(
    configuration: Configuration, prices: PriceBook, discovered: tuple[ModelEntry, ...], *, version: int
) -> tuple[Snapshot, str]:
    """The snapshot of a configuration, and everything worth warning about as one text."""
    notices: list[Problem] = []
    snapshot = compile_snapshot(configuration, prices=prices, discovered=discovered, version=version, notices=notices)
    return snapshot, combine([*configuration.notices, *notices])
