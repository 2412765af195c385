"""What a running gateway consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.accounting.price_book import PriceBook
from tollway.app.alerts import LateAlerts
from tollway.app.callbacks import LateCallbacks
from tollway.app.conversations import LateConversations
from tollway.app.feed import ChangeFeed
from tollway.app.fleet import Fleet
from tollway.app.late import Database
from tollway.app.probes import BackgroundProbes
from tollway.app.serving import Served
from tollway.app.shared import SharedCounters
from tollway.config.configuration import Configuration
from tollway.config.sealing import Sealer
from tollway.core.snapshot import Snapshot, TransportName
from tollway.dataplane.edge import Edge
from tollway.gateway.live import LiveSessions
from tollway.gateway.probing import Prober
from tollway.gateway.run import Gateway
from tollway.observability.metrics import Metrics
from tollway.policy.auth import Authenticator
from tollway.policy.entities import Entities
from tollway.policy.gate import Gate
from tollway.ports.counters import CounterStore
from tollway.ports.health import HealthStore
from tollway.ports.responses import ResponseStore
from tollway.ports.transport import Transport

if TYPE_CHECKING:
    from tollway.observability.worker_files import WorkerFigures


class Late(Protocol):
    """The management plane, which is made when it is first needed."""

    async def made(self) -> None:
        """Makes the application, if it was not yet."""
        ...

    async def rotate_keys(self) -> int:
        """Gives keys that are due new values; how many. Raises `StoreUnavailable`."""
        ...


@dataclass(slots=True, kw_only=True)
class Runtime:
    """Everything built at start. Handed down, never imported."""

    served: Served
    sealer: Sealer
    master_key: str
    is_master_key_new: bool
    prices: PriceBook
    database: Database
    counters: CounterStore
    shared: SharedCounters | None
    """None: this process counts alone."""
    fleet: Fleet | None
    feed: ChangeFeed
    journal: FileJournal
    ledger: Ledger
    authenticator: Authenticator
    entities: Entities
    sessions: LiveSessions
    metrics: Metrics
    figures: WorkerFigures | None
    """What this worker shows of its metrics to the others; None: there are none."""
    transports: Mapping[TransportName, Transport]
    alerts: LateAlerts
    callbacks: LateCallbacks
    conversations: LateConversations
    gateway: Gateway
    gate: Gate
    prober: Prober
    probes: BackgroundProbes
    health_store: HealthStore
    answers: ResponseStore | None
    """None: no answer is kept."""
    management: Late
    edge: Edge

    @property
    def configuration(self) -> Configuration:
        """The one in force."""
        return self.served.configuration

    @property
    def warnings(self) -> str:
        """What an operator ought to know about what is served; empty if nothing."""
        return self.served.warnings

    @property
    def snapshot(self) -> Snapshot:
        """What the data plane executes right now."""
        return self.served.snapshot
