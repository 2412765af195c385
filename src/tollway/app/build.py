"""From a configuration to a gateway that can serve: every implementation is chosen here."""

from __future__ import annotations

import time
from math import ceil
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from tollway.accounting import tokens
from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.accounting.owners import Owners
from tollway.accounting.price_book import PriceBook
from tollway.app.alerts import LateAlerts
from tollway.app.answers import Surroundings, open_answers
from tollway.app.callbacks import LateCallbacks
from tollway.app.conversations import LateConversations
from tollway.app.copies import ProcessCopies
from tollway.app.estimate import estimate
from tollway.app.feed import ChangeFeed
from tollway.app.fleet import bus_of, open_fleet
from tollway.app.keyfiles import load_or_create_key
from tollway.app.late import (
    Database,
    LateAnswerTable,
    LateConversationStore,
    LateEntityStore,
    LateHealthStore,
    LateKeyStore,
    LateLedgerStore,
    LateModelStore,
    LateProxiedTransport,
)
from tollway.app.management import LateManagement
from tollway.app.probes import BackgroundProbes
from tollway.app.runtime import Runtime
from tollway.app.serving import Served
from tollway.app.settings import database_url, salt_key
from tollway.app.shared import SharedCounters
from tollway.config.configuration import Configuration, ModelEntry, ServerSettings
from tollway.config.sealing import Sealer
from tollway.core.cooldown import Cooldown
from tollway.core.errors import Misconfigured
from tollway.core.ids import hash_key
from tollway.core.snapshot import Deployment, Settings, TransportName
from tollway.core.windows import duration_s
from tollway.dataplane.caller import Callers
from tollway.dataplane.counting import CountingPages
from tollway.dataplane.edge import Edge
from tollway.dataplane.health import HealthPages
from tollway.dataplane.listing import ModelPages
from tollway.dataplane.utilities import UtilityPages
from tollway.gateway.counting import TokenCounter
from tollway.gateway.figures import figures_of, labels_of_cooldown
from tollway.gateway.live import LiveSessions
from tollway.gateway.probing import Prober
from tollway.gateway.run import Gateway
from tollway.gateway.settle import Settler
from tollway.observability.logging import lines_dropped
from tollway.observability.metrics import Metrics
from tollway.policy.auth import Authenticator
from tollway.policy.entities import Entities
from tollway.policy.gate import Gate
from tollway.ports.ledger import Retention
from tollway.ports.transport import Transport
from tollway.routing.balancer import Balancer
from tollway.routing.router import Router
from tollway.stores.memory.counters import MemoryCounterStore
from tollway.upstream.demo import DemoTransport
from tollway.upstream.direct import DirectTransport

if TYPE_CHECKING:
    from tollway.app.worker import Seat
    from tollway.gateway.background import BackgroundBilling
    from tollway.observability.worker_files import WorkerFigures

_DAY_S = 86_400


def build(configuration: Configuration, discovered: tuple[ModelEntry, ...], seat: Seat | None = None) -> Runtime:
    """Builds the gateway, or one worker of it. Opens no connection and imports nothing heavy. Raises `Misconfigured`.

    `seat`: its place among other workers on this machine; None: it is alone.
    """
    server, settings = configuration.server, configuration.data_plane
    make_private(server.data_dir)
    key, is_new = master_key(configuration)
    prices = PriceBook.load()
    sealer = Sealer(lambda: salt_key(configuration))
    redis = server.redis if seat is None or seat.redis is None else seat.redis
    fleet = open_fleet(
        redis,
        sealer,
        principals_live_s=settings.key_cache_ttl_s + settings.key_grace_s,
        newest_change=lambda: feed.newest,
        hear_cooldown=lambda cooldown: balancer.cooldowns.hear(cooldown),
    )
    own_counters = MemoryCounterStore(time.time, timezone=settings.timezone, reset_time=settings.budget_reset_time)
    worker = token_hex(6)
    shared = None
    if redis is not None:
        replicas = max(server.replicas, server.workers)
        shared = SharedCounters(redis, own_counters, worker, timeout_s=server.counters_timeout_s, replicas=replicas)
    counters = own_counters if shared is None else shared.store
    bus, pool = bus_of(fleet, database_url(configuration), configuration.pool)
    database = Database(database_url(configuration), pool)
    served = Served(
        configuration,
        discovered=discovered,
        prices=prices,
        master_key=key,
        sealer=sealer,
        load=LateModelStore(database).load,
    )
    folder = server.data_dir / "journal"
    journal = FileJournal(folder, owner=worker, fsync=server.journal_fsync)
    owners = None if shared is None else Owners(folder, worker)
    ledger = Ledger(journal, LateLedgerStore(database), counters, owners=owners, retention=_retention(server))
    gauges = {
        "tollway_journal_records": lambda: float(journal.buffered),
        "tollway_ledger_lag_seconds": journal.lag_s,
        "tollway_log_lines_dropped": lambda: float(lines_dropped()),
    }
    if shared is not None:
        gauges |= shared.gauges
    metrics = Metrics(gauges=gauges, deployments=lambda: figures_of(gateway.router.snapshot, balancer))
    principals = fleet.principals if fleet is not None else None
    figures = None if seat is None else _figures(seat, metrics)
    authenticator = Authenticator(
        hash_key(key),
        LateKeyStore(database),
        time.time,
        ttl_s=settings.key_cache_ttl_s,
        size=settings.key_cache_size,
        grace_s=settings.key_grace_s,
        copies=principals,
    )
    entities = Entities(
        LateEntityStore(database), time.time, ttl_s=settings.key_cache_ttl_s, size=settings.key_cache_size
    )
    sessions = LiveSessions(entities)
    copies = ProcessCopies(authenticator, entities, sessions, served, principals)
    feed = ChangeFeed(database.change_log, copies, bus, told_by=worker)
    transports = _transports(server.ssl_certificate)

    def tell_of_cooldown(deployment: Deployment, cooldown: Cooldown) -> None:
        metrics.record_cooldown(labels_of_cooldown(deployment, cooldown))
        alerts.set_aside(deployment, cooldown)
        if fleet is not None:
            fleet.cooldowns.tell(cooldown)

    balancer = Balancer(time.time, tell_of_cooldown)
    surroundings = Surroundings(database, LateAnswerTable(database), sealer, transports, configuration.environ)
    answers = open_answers(configuration.answers, surroundings)
    callers = Callers(authenticator, lambda: gateway.router.snapshot.settings)
    settler = Settler(counters, journal, metrics, estimate)

    def billing() -> BackgroundBilling:
        from tollway.app.background import background_billing

        return background_billing(settler, counters, ledger, database, _retention(server))

    conversations = LateConversations(LateConversationStore(database), sealer, transports, callers, billing)
    callbacks = LateCallbacks(
        sealer,
        environ=lambda: served.configuration.environ,
        lendable=lambda: served.environ,
        settings=lambda: current_settings(),
        metrics=metrics,
    )
    settler.hear = callbacks.hear
    alerts = LateAlerts(lambda: served.configuration, metrics.tally)
    settler.failed, settler.crossed = alerts.failed, alerts.crossed
    gateway = Gateway(
        router=Router(served.snapshot),
        balancer=balancer,
        transports=transports,
        counters=counters,
        seed=ledger.seed,
        journal=journal,
        settler=settler,
        entities=entities,
        answers=answers,
        threads=conversations.threads,
    )
    served.serve_by(gateway)

    def current_settings() -> Settings:
        return gateway.router.snapshot.settings

    prober = Prober(gateway, current_settings, worker)
    health_store = LateHealthStore(database)
    lease = fleet.lease("probes", holder=worker) if fleet is not None else None
    probes = BackgroundProbes(gateway, prober, health_store, lease=lease, is_one_of_several=seat is not None)
    health = HealthPages(
        gateway=gateway,
        prober=prober,
        newest=lambda: probes.newest,
        authenticator=authenticator,
        render_metrics=metrics.render if figures is None else figures.render,
        settings=current_settings,
        database_state=database.state,
        was_connected=lambda: database.was_opened,
        is_draining=lambda: edge.is_draining,
    )
    model_pages = ModelPages(
        router=lambda: gateway.router,
        await_models=served.complete,
        authenticator=authenticator,
        settings=current_settings,
    )
    management = LateManagement(lambda: runtime)
    counter = TokenCounter(gateway, transports, estimate)
    counting = CountingPages(counter, callers)
    utilities = UtilityPages(gateway, counter, callers)
    gate = Gate()
    edge = Edge(
        gateway=gateway,
        gate=gate,
        sessions=sessions,
        authenticator=authenticator,
        metrics=metrics,
        settings=current_settings,
        pages={
            "list_models": model_pages.list_models,
            "get_model": model_pages.get_model,
            "liveliness": health.liveliness,
            "readiness": health.readiness,
            "health": health.health,
            "metrics": health.metrics,
            "count_tokens": counting.count_tokens,
            "token_counter": utilities.token_counter,
            "supported_params": utilities.supported_params,
            "transform_request": utilities.transform_request,
            "get_response": conversations.page(lambda: gateway.router, "get"),
            "delete_response": conversations.page(lambda: gateway.router, "delete"),
            "cancel_response": conversations.page(lambda: gateway.router, "cancel"),
            "list_input_items": conversations.page(lambda: gateway.router, "list_input_items"),
            "route": utilities.route,
        },
        management=management,
        root_path=server.root_path,
    )
    runtime = Runtime(
        served=served,
        sealer=sealer,
        master_key=key,
        is_master_key_new=is_new if seat is None else seat.is_master_key_new,
        prices=prices,
        database=database,
        fleet=fleet,
        feed=feed,
        counters=counters,
        shared=shared,
        journal=journal,
        ledger=ledger,
        authenticator=authenticator,
        entities=entities,
        sessions=sessions,
        metrics=metrics,
        figures=figures,
        transports=transports,
        alerts=alerts,
        callbacks=callbacks,
        conversations=conversations,
        gateway=gateway,
        answers=answers,
        gate=gate,
        prober=prober,
        probes=probes,
        health_store=health_store,
        management=management,
        edge=edge,
    )
    return runtime


def make_private(folder: Path) -> None:
    """Makes the data folder if there is none. Raises `Misconfigured`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"Cannot make the data folder {folder}: {error.strerror}. Give another --data-dir."
        ) from None


def master_key(configuration: Configuration) -> tuple[str, bool]:
    """The master key and whether it was made just now. Raises `Misconfigured`."""
    server = configuration.server
    if server.master_key is not None:
        return server.master_key, False
    stored = load_or_create_key(server.data_dir / "master_key")
    return stored.value, stored.is_new


def _retention(server: ServerSettings) -> Retention | None:
    if server.records_kept is None:
        return None
    return Retention(
        days=ceil(duration_s(server.records_kept) / _DAY_S),
        interval_s=duration_s(server.retention_interval),
        batch_size=server.retention_batch_size,
    )


def _figures(seat: Seat, metrics: Metrics) -> WorkerFigures:
    from tollway.observability.worker_files import WorkerFigures

    return WorkerFigures(seat.figures, seat.name, metrics)


def _transports(certificate: str | None) -> dict[TransportName, Transport]:
    return {
        "direct": DirectTransport(certificate=certificate),
        "proxied": LateProxiedTransport(certificate),
        "demo": DemoTransport(lambda text: tokens.count_text(text, model="gpt-4o")),
    }
